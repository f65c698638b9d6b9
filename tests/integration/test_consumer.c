/* The consumer against a cluster: positions, records, ends of partitions, rebalances. */
#include <unistd.h>

#include "tests/integration/consumer_fixture.h"
#include "workers/source/consumer_rebalance.h"

static void test_assigned_without_position_delivers_nothing(void **state)
{
    struct fixture *f = fixture_open(2);
    (void)state;
    for (int t = 0; t < TOPIC_COUNT; t++)
        produce(f, (enum topic)t, 1, 0, 100);
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 6, m);
    for_ms(m, 300);
    assert_int_equal(m->seen[0][1].records, 0);
    assert_int_equal(m->before_revokes, 0);
    member_close(m);
    fixture_close(f);
}

static struct consumer_figures figures(const struct member *member)
{
    struct consumer_figures figures;
    consumer_figures(member->consumer, &figures);
    return figures;
}

/* One of two members has some partitions of the topic, and knows of all. */
static void test_figures_count_all_partitions_and_each_assignment(void **state)
{
    struct fixture *f = fixture_open(3);
    (void)state;
    struct member *a = member_open(f, NULL, NULL);
    assert_int_equal(figures(a).connections, 0);
    UNTIL(assigned(a) == 9, a);
    assert_int_equal(figures(a).assignments, 1);
    struct member *b = member_open(f, NULL, NULL);
    UNTIL(assigned(a) + assigned(b) == 9 && assigned(b) > 0, a, b);
    assert_in_range(figures(a).assignments, 2, 5);
    for (int p = 0; p < 3; p++)
        if (a->seen[TOPIC_CASES][p].assigned)
            position(a, TOPIC_CASES, p, 0);
    UNTIL(figures(a).partitions[TOPIC_CASES] == 3 && figures(a).connections > 0, a, b);
    member_close(b);
    member_close(a);
    fixture_close(f);
}

static void test_position_flows_from_there_to_the_end(void **state)
{
    struct fixture *f = fixture_open(2);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 5000);
    produce(f, TOPIC_AGENTS, 1, 0, 300);
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 6, m);
    position(m, TOPIC_CASES, 0, 0);
    position(m, TOPIC_AGENTS, 1, 299);
    position(m, TOPIC_DIRECTORY, 0, CONSUMER_BEGINNING);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 5000 && m->seen[TOPIC_AGENTS][1].eof == 300 &&
              m->seen[TOPIC_DIRECTORY][0].eof == 0,
          m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 5000);
    assert_int_equal(m->seen[TOPIC_AGENTS][1].records, 1);
    assert_int_equal(consumer_end_offset(m->consumer, TOPIC_CASES, 0), 5000);
    assert_int_equal(consumer_end_offset(m->consumer, TOPIC_CASES, 1), -1);

    produce(f, TOPIC_CASES, 0, 5000, 10);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 5010, m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 5010);
    assert_int_equal(m->errors, 0);
    member_close(m);
    fixture_close(f);
}

/* Sets any partition to any offset at any time: check_record() detects lost and stale records. */
static void test_position_while_records_flow_is_exact(void **state)
{
    enum { COUNT = 3000, PARTITIONS = 4 };
    struct fixture *f = fixture_open(PARTITIONS);
    unsigned seed = (unsigned)clock_wall_us();
    int turns = getenv("CASEVIEW_TEST_TURNS") ? atoi(getenv("CASEVIEW_TEST_TURNS")) : 300;
    (void)state;
    print_message("seed %u, %d positions\n", seed, turns);
    srand(seed);
    for (int p = 0; p < PARTITIONS; p++)
        produce(f, TOPIC_CASES, p, 0, COUNT);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == PARTITIONS * TOPIC_COUNT, m);
    for (int p = 0; p < PARTITIONS; p++)
        position(m, TOPIC_CASES, p, 0);

    for (int i = 0; i < turns; i++) {
        int p = rand() % PARTITIONS;
        if (rand() % 8 == 0)
            consumer_pause(m->consumer, TOPIC_CASES, p), m->seen[TOPIC_CASES][p].positioned = false;
        else
            position(m, TOPIC_CASES, p, rand() % (COUNT + 1));
        for (int polls = rand() % 6; polls > 0; polls--)
            turn(m, rand() % 8, 1 + (size_t)(rand() % 512));
    }
    for (int p = 0; p < PARTITIONS; p++)
        position(m, TOPIC_CASES, p, COUNT / 2);
    for (int p = 0; p < PARTITIONS; p++) {
        UNTIL(m->seen[TOPIC_CASES][p].eof == COUNT, m);
        assert_int_equal(m->seen[TOPIC_CASES][p].records, COUNT - COUNT / 2);
    }
    member_close(m);
    fixture_close(f);
}

static void test_position_beyond_the_end_is_out_of_range(void **state)
{
    struct fixture *f = fixture_open(2);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 100);
    produce(f, TOPIC_CASES, 1, 0, 100);
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 6, m);
    for (int i = 0; i < 20; i++) {
        position(m, TOPIC_CASES, 0, 1000 + i);
        position(m, TOPIC_CASES, 1, 50);
        UNTIL(m->seen[TOPIC_CASES][0].out_of_range && m->seen[TOPIC_CASES][1].eof == 100, m);
        assert_int_equal(m->seen[TOPIC_CASES][1].records, 50);
        position(m, TOPIC_CASES, 0, 40);
        UNTIL(m->seen[TOPIC_CASES][0].eof == 100, m);
        assert_int_equal(m->seen[TOPIC_CASES][0].records, 60);
    }
    /* An invalid position that is replaced before its error was delivered, or while the error is in flight. */
    for (int i = 0; i < 40; i++) {
        position(m, TOPIC_CASES, 0, 1000 + i);
        for (int polls = i % 5; polls > 0; polls--)
            turn(m, polls, 512);
        position(m, TOPIC_CASES, 0, i);
        UNTIL(m->seen[TOPIC_CASES][0].eof == 100, m);
        assert_int_equal(m->seen[TOPIC_CASES][0].records, 100 - i);
    }
    member_close(m);
    fixture_close(f);
}

static void test_pause_stops_until_the_next_position(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 2000);
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    position(m, TOPIC_AGENTS, 0, 0);
    while (m->seen[TOPIC_CASES][0].records == 0)
        turn(m, 50, 10);
    consumer_pause(m->consumer, TOPIC_CASES, 0);
    m->seen[TOPIC_CASES][0].positioned = false;
    for_ms(m, 200);
    /* The start of another partition does not start it. */
    position(m, TOPIC_AGENTS, 0, 0);
    for_ms(m, 200);
    position(m, TOPIC_CASES, 0, 7);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 2000, m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 1993);
    member_close(m);
    fixture_close(f);
}

/* Each pause reaches the library while its queue has records of all partitions. */
static void test_pause_of_one_loses_nothing_of_the_others(void **state)
{
    enum { COUNT = 2000, PARTITIONS = 8, ROUNDS = 10 };
    struct fixture *f = fixture_open(PARTITIONS);
    (void)state;
    for (int p = 0; p < PARTITIONS; p++)
        produce(f, TOPIC_CASES, p, 0, COUNT);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == PARTITIONS * TOPIC_COUNT, m);
    for (int round = 0; round < ROUNDS; round++) {
        for (int p = 0; p < PARTITIONS; p++)
            position(m, TOPIC_CASES, p, 0);
        int first = round % PARTITIONS, records = 0;
        while (m->seen[TOPIC_CASES][first].records == 0)
            turn(m, 50, 16);
        for (int i = 0; i < PARTITIONS - 1; i++) {
            int p = (first + i) % PARTITIONS;
            consumer_pause(m->consumer, TOPIC_CASES, p);
            m->seen[TOPIC_CASES][p].positioned = false;
            turn(m, 20, 300);
        }
        int last = (first + PARTITIONS - 1) % PARTITIONS;
        UNTIL(m->seen[TOPIC_CASES][last].eof == COUNT, m);
        for (int p = 0; p < PARTITIONS; p++)
            records += m->seen[TOPIC_CASES][p].records;
        assert_int_equal(m->seen[TOPIC_CASES][last].records, COUNT);
        assert_true(records > COUNT);
    }
    member_close(m);
    fixture_close(f);
}

/* At most one record every 3 ms, so that fewer than 10,000 are read until the deadline, however slow the machine is. */
static void read_slowly(struct member *m, int64_t deadline)
{
    assert_true(clock_mono_ms() < deadline);
    usleep(1000 * WAIT_MS / 10000);
    turn(m, 5, 1);
}

/* The library has fetched far ahead when the group revokes partitions: none of that is delivered. */
static void test_queued_records_of_a_lost_partition_are_dropped(void **state)
{
    enum { COUNT = 20000 };
    struct fixture *f = fixture_open(4);
    (void)state;
    for (int p = 0; p < 4; p++)
        produce(f, TOPIC_CASES, p, 0, COUNT);
    struct member *a = member_open(f, NULL, NULL);
    UNTIL(assigned(a) == 12, a);
    for (int p = 0; p < 4; p++)
        position(a, TOPIC_CASES, p, 0);
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    for (int ends = 0; ends < 4;) { /* fetched: the last stable offsets are known */
        read_slowly(a, deadline);
        ends = 0;
        for (int p = 0; p < 4; p++)
            ends += consumer_end_offset(a->consumer, TOPIC_CASES, p) == COUNT;
    }

    struct member *b = member_open(f, NULL, NULL);
    while (assigned(a) != 6 || assigned(b) != 6) {
        read_slowly(a, deadline);
        turn(b, 5, 512);
    }
    for (int p = 0; p < 4; p++) {
        assert_true(a->seen[TOPIC_CASES][p].records < COUNT / 2);
        assert_true(a->announced_revokes[TOPIC_CASES][p] > 0);
        assert_int_equal(a->announced_revokes[TOPIC_CASES][p], a->seen[TOPIC_CASES][p].revokes);
    }
    /* check_record() fails on a record of a partition that is not assigned or not positioned. */
    for_ms(a, 500);
    for (int p = 0; p < 4; p++) {
        struct member *owner = a->seen[TOPIC_CASES][p].assigned ? a : b;
        position(owner, TOPIC_CASES, p, COUNT - 100);
    }
    for (int p = 0; p < 4; p++) {
        struct member *owner = a->seen[TOPIC_CASES][p].assigned ? a : b;
        UNTIL(owner->seen[TOPIC_CASES][p].eof == COUNT, a, b);
        assert_int_equal(owner->seen[TOPIC_CASES][p].records, 100);
    }
    member_close(b);
    member_close(a);
    fixture_close(f);
}

/* As librdkafka does when it learns of new partitions at the wrong moment: see on_assign() in consumer_rebalance.c. */
static void test_assignment_without_revocation_replaces_the_one_before(void **state)
{
    struct fixture *f = fixture_open(2);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 1000);
    produce(f, TOPIC_CASES, 1, 0, 1000);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 6, m);
    position(m, TOPIC_CASES, 0, 0);
    position(m, TOPIC_CASES, 1, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 1000 && m->seen[TOPIC_CASES][1].eof == 1000, m);

    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consumer_partitions_name(&m->consumer->partitions, TOPIC_CASES), 0);
    consumer_rebalance_on_change(m->consumer->rk, RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, list, m->consumer);
    rd_kafka_topic_partition_list_destroy(list);
    UNTIL(m->seen[TOPIC_CASES][0].revokes == 1 && assigned(m) == 1, m);
    assert_int_equal(m->losts, 1); /* another member may have had them in between */
    assert_int_equal(m->seen[TOPIC_CASES][1].revokes, 1);

    position(m, TOPIC_CASES, 0, 500);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 1000, m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 500);
    member_close(m);
    fixture_close(f);
}

static void test_second_member_takes_its_share(void **state)
{
    struct fixture *f = fixture_open(4);
    (void)state;
    for (int p = 0; p < 4; p++)
        produce(f, TOPIC_CASES, p, 0, 1000);
    struct member *a = member_open(f, NULL, NULL);
    UNTIL(assigned(a) == 12, a);
    for (int p = 0; p < 4; p++)
        position(a, TOPIC_CASES, p, 0);
    UNTIL(a->seen[TOPIC_CASES][3].eof == 1000, a);

    struct member *b = member_open(f, NULL, NULL);
    UNTIL(assigned(a) == 6 && assigned(b) == 6, a, b);
    assert_true(a->before_revokes >= 1);
    assert_int_equal(a->losts, 0);
    assert_true(a->budget_ms > 0);
    for (int t = 0; t < TOPIC_COUNT; t++)
        for (int p = 0; p < 4; p++)
            assert_int_equal(a->seen[t][p].assigned + b->seen[t][p].assigned, 1);
    struct member *of[4];
    for (int p = 0; p < 4; p++) {
        of[p] = a->seen[TOPIC_CASES][p].assigned ? a : b;
        position(of[p], TOPIC_CASES, p, 500);
    }
    for (int p = 0; p < 4; p++) {
        UNTIL(of[p]->seen[TOPIC_CASES][p].eof == 1000, a, b);
        assert_int_equal(of[p]->seen[TOPIC_CASES][p].records, 500);
    }
    member_close(b); /* leaves the group, so that the other member gets all without waiting for the session time-out */
    UNTIL(assigned(a) == 12, a);
    member_close(a);
    fixture_close(f);
}

static void test_late_topic_is_waited_for(void **state)
{
    struct fixture *f = fixture_open(0);
    (void)state;
    if (f->mock) /* the mock cluster creates any topic that is asked for */
        rd_kafka_mock_topic_set_error(f->mock, f->topics[TOPIC_DIRECTORY], RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    fixture_create_topic(f, TOPIC_CASES, 2);
    fixture_create_topic(f, TOPIC_AGENTS, 2);
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 4 && m->errors > 0, m);
    assert_non_null(strstr(m->error, f->topics[TOPIC_DIRECTORY]));
    if (f->mock)
        rd_kafka_mock_topic_set_error(f->mock, f->topics[TOPIC_DIRECTORY], RD_KAFKA_RESP_ERR_NO_ERROR);
    else
        fixture_create_topic(f, TOPIC_DIRECTORY, 2);
    UNTIL(m->seen[TOPIC_DIRECTORY][0].assigned && m->seen[TOPIC_CASES][0].assigned, m);
    member_close(m);
    fixture_close(f);
}

static void test_commit_is_seen_by_lag_tools(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 10);
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 10, m);
    consumer_commit(m->consumer, TOPIC_CASES, 0, 7);
    member_close(m);

    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", f->servers, text, sizeof text), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "group.id", f->group, text, sizeof text), RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, f->topics[TOPIC_CASES], 0);
    assert_int_equal(rd_kafka_committed(rk, list, WAIT_MS), 0);
    assert_int_equal(list->elems[0].offset, 7);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    fixture_close(f);
}

/* A record larger than the queue and than one fetch is read all the same. */
static void test_record_larger_than_the_queue_is_read(void **state)
{
    enum { LARGE = 3000000 }; /* the mock cluster keeps 5 MB of a partition */
    struct fixture *f = fixture_open(1);
    char *value = calloc(1, LARGE);
    (void)state;
    assert_non_null(value);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rd_kafka_producev(f->rk, RD_KAFKA_V_TOPIC(f->topics[TOPIC_CASES]), RD_KAFKA_V_PARTITION(0),
                                           RD_KAFKA_V_VALUE(value, i == 1 ? LARGE : 10),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                         0);
    free(value);
    assert_int_equal(rd_kafka_flush(f->rk, WAIT_MS), 0);
    struct member *m = member_open_with(f, (struct consumer_options){.queue_bytes = 1u << 20}, NULL);
    m->gaps = true;
    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 3, m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 3);
    member_close(m);
    fixture_close(f);
}

static void test_questions_are_answered(void **state)
{
    struct fixture *f = fixture_open(3);
    struct err err = ERR_INIT;
    int64_t low = -1, high = -1;
    int32_t count = 0;
    bool compacted = true;
    (void)state;
    produce(f, TOPIC_CASES, 2, 0, 12);
    struct member *m = member_open(f, NULL, NULL);

    assert_int_equal(consumer_watermarks(m->consumer, TOPIC_CASES, 2, 5000, &low, &high, &err), CV_OK);
    assert_int_equal(low, 0);
    assert_int_equal(high, 12);
    assert_int_equal(consumer_watermarks(m->consumer, TOPIC_CASES, 99, 1000, &low, &high, &err), CV_RETRY);
    assert_non_null(strstr(err.text, f->topics[TOPIC_CASES]));
    assert_int_equal(consumer_partition_count(m->consumer, TOPIC_AGENTS, 5000, &count, &err), CV_OK);
    assert_int_equal(count, 3);
    if (!f->mock) {
        assert_int_equal(consumer_is_compacted(m->consumer, TOPIC_AGENTS, 5000, &compacted, &err), CV_OK);
        assert_false(compacted);
        fixture_compact(f, TOPIC_AGENTS);
        assert_int_equal(consumer_is_compacted(m->consumer, TOPIC_AGENTS, 5000, &compacted, &err), CV_OK);
        assert_true(compacted);
    }
    member_close(m);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assigned_without_position_delivers_nothing),
        cmocka_unit_test(test_figures_count_all_partitions_and_each_assignment),
        cmocka_unit_test(test_position_flows_from_there_to_the_end),
        cmocka_unit_test(test_position_while_records_flow_is_exact),
        cmocka_unit_test(test_position_beyond_the_end_is_out_of_range),
        cmocka_unit_test(test_pause_stops_until_the_next_position),
        cmocka_unit_test(test_pause_of_one_loses_nothing_of_the_others),
        cmocka_unit_test(test_queued_records_of_a_lost_partition_are_dropped),
        cmocka_unit_test(test_assignment_without_revocation_replaces_the_one_before),
        cmocka_unit_test(test_second_member_takes_its_share),
        cmocka_unit_test(test_late_topic_is_waited_for),
        cmocka_unit_test(test_commit_is_seen_by_lag_tools),
        cmocka_unit_test(test_record_larger_than_the_queue_is_read),
        cmocka_unit_test(test_questions_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
