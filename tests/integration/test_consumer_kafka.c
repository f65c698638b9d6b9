/*
 * The consumer against a real broker, for what the mock cluster cannot do: static membership, transactions, retention,
 * growth. CASEVIEW_TEST_KAFKA names it (HOST:PORT); without it these tests fail.
 */
#include "tests/integration/consumer_fixture.h"
#include "workers/source/watermarks.h"

static const char *const quick[] = {"session.timeout.ms", "6000", "heartbeat.interval.ms", "500", NULL};

static void test_static_member_comes_back_without_a_rebalance(void **state)
{
    struct fixture *f = fixture_open(2);
    (void)state;
    struct member *a = member_open(f, "a", quick), *b = member_open(f, "b", quick);

    UNTIL(assigned(a) == 3 && assigned(b) == 3, a, b);
    int revokes = a->before_revokes;
    member_close(b);
    for_ms(a, 300);
    b = member_open(f, "b", quick);
    UNTIL(assigned(b) == 3, a, b);
    assert_int_equal(assigned(a), 3);
    assert_int_equal(a->before_revokes, revokes);
    member_close(b);
    member_close(a);
    fixture_close(f);
}

/* Its session would end long after the test has given up. */
static void test_static_member_that_leaves_is_not_waited_for(void **state)
{
    static const char *const slow[] = {"session.timeout.ms", "300000", "max.poll.interval.ms", "300000", NULL};
    struct fixture *f = fixture_open(2);
    (void)state;
    struct member *a = member_open_with(f, (struct consumer_options){.group_instance_id = "a"}, slow);
    struct member *b = member_open_with(f, (struct consumer_options){.group_instance_id = "b", .leave_group = true},
                                        slow);

    UNTIL(assigned(a) == 3 && assigned(b) == 3, a, b);
    member_close(b);
    UNTIL(assigned(a) == 6, a);
    b = member_open_with(f, (struct consumer_options){.group_instance_id = "b", .leave_group = true}, slow);
    UNTIL(assigned(a) == 3 && assigned(b) == 3, a, b);
    member_close(b);
    UNTIL(assigned(a) == 6, a);
    member_close(a);
    fixture_close(f);
}

static void test_instance_taken_over_is_fatal(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    struct member *a = member_open(f, "same", quick);
    UNTIL(assigned(a) == 3, a);
    struct member *b = member_open(f, "same", quick);

    UNTIL(a->fatals > 0 && assigned(b) == 3, a, b);
    assert_non_null(strstr(a->error, "FENCED_INSTANCE_ID"));
    assert_int_equal(assigned(a), 0); /* its partitions were revoked, as lost ones */
    assert_true(a->losts > 0);
    assert_int_equal(a->budget_ms, 0);
    member_close(a);
    member_close(b);
    fixture_close(f);
}

static void test_position_before_the_log_start_is_out_of_range(void **state)
{
    struct fixture *f = fixture_open(1);
    struct err err = ERR_INIT;
    int64_t low, high;
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 100);
    fixture_trim(f, TOPIC_CASES, 0, 40);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 3, m);

    position(m, TOPIC_CASES, 0, 39);
    UNTIL(m->seen[TOPIC_CASES][0].out_of_range, m);
    assert_int_equal(consumer_watermarks(m->consumer, TOPIC_CASES, 0, 5000, &low, &high, &err), CV_OK);
    assert_int_equal(low, 40);
    assert_int_equal(high, 100);
    position(m, TOPIC_CASES, 0, CONSUMER_BEGINNING);
    m->seen[TOPIC_CASES][0].next = 40;
    UNTIL(m->seen[TOPIC_CASES][0].eof == 100, m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 60);

    /* Retention removes records that a stopped partition was to read next. */
    consumer_pause(m->consumer, TOPIC_CASES, 0);
    m->seen[TOPIC_CASES][0].positioned = false;
    produce(f, TOPIC_CASES, 0, 100, 100);
    fixture_trim(f, TOPIC_CASES, 0, 150);
    position(m, TOPIC_CASES, 0, 100);
    UNTIL(m->seen[TOPIC_CASES][0].out_of_range, m);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 0);
    member_close(m);
    fixture_close(f);
}

static void test_new_partitions_come_by_rebalance(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 50);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 50, m);

    fixture_grow(f, TOPIC_CASES, 3);
    UNTIL(assigned(m) == 5, m);
    produce(f, TOPIC_CASES, 2, 0, 20);
    position(m, TOPIC_CASES, 2, CONSUMER_BEGINNING);
    position(m, TOPIC_CASES, 0, 50);
    UNTIL(m->seen[TOPIC_CASES][2].eof == 20 && m->seen[TOPIC_CASES][0].eof == 50, m);
    member_close(m);
    fixture_close(f);
}

static rd_kafka_t *transactional_producer(struct fixture *f)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", f->servers, text, sizeof text), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "transactional.id", f->group, text, sizeof text), RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    assert_null(rd_kafka_init_transactions(rk, WAIT_MS));
    return rk;
}

static void produce_in_transaction(struct fixture *f, rd_kafka_t *rk, int n)
{
    assert_null(rd_kafka_begin_transaction(rk));
    for (int i = 0; i < n; i++)
        assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(f->topics[TOPIC_CASES]), RD_KAFKA_V_PARTITION(0),
                                           RD_KAFKA_V_VALUE((void *)(uintptr_t) "x", 1), RD_KAFKA_V_END),
                         0);
    assert_int_equal(rd_kafka_flush(rk, WAIT_MS), 0);
}

static void test_transactions_end_after_their_control_records(void **state)
{
    struct fixture *f = fixture_open(1);
    struct seen *s;
    struct err err = ERR_INIT;
    int64_t low, high;
    (void)state;
    rd_kafka_t *rk = transactional_producer(f);
    produce_in_transaction(f, rk, 10); /* 0–9, control record 10 */
    assert_null(rd_kafka_commit_transaction(rk, WAIT_MS));
    produce_in_transaction(f, rk, 5); /* 11–15, aborted, control record 16 */
    assert_null(rd_kafka_abort_transaction(rk, WAIT_MS));
    struct member *m = member_open(f, NULL, NULL);
    m->gaps = true;
    s = &m->seen[TOPIC_CASES][0];
    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(s->eof == 17, m);
    assert_int_equal(s->records, 10);

    produce_in_transaction(f, rk, 3); /* 17–19, open: the last stable offset stays */
    produce(f, TOPIC_AGENTS, 0, 0, 1);
    position(m, TOPIC_AGENTS, 0, 0);
    UNTIL(m->seen[TOPIC_AGENTS][0].eof == 1, m);
    for_ms(m, 1500);
    assert_int_equal(s->records, 10);
    assert_int_equal(consumer_watermarks(m->consumer, TOPIC_CASES, 0, 5000, &low, &high, &err), CV_OK);
    assert_int_equal(high, 17);
    assert_int_equal(consumer_end_offset(m->consumer, TOPIC_CASES, 0), 17);
    assert_null(rd_kafka_commit_transaction(rk, WAIT_MS));
    UNTIL(s->eof == 21, m);
    assert_int_equal(s->records, 13);

    /* Positioned at a control record, and at the end. */
    position(m, TOPIC_CASES, 0, 16);
    UNTIL(s->eof == 21, m);
    assert_int_equal(s->records, 3);
    position(m, TOPIC_CASES, 0, 21);
    UNTIL(s->eof == 21, m);
    member_close(m);
    rd_kafka_destroy(rk);
    fixture_close(f);
}

/* A caller slower than the broker lets the queue fill: fetching must continue as soon as there is space again. */
static void test_full_queue_does_not_stall(void **state)
{
    /* Any request to the broker would wake the fetcher, so the other ones are made rare. */
    static const char *const extra[] = {"queued.max.messages.kbytes",
                                        "1024",
                                        "fetch.max.bytes",
                                        "1100000",
                                        "topic.metadata.refresh.interval.ms",
                                        "60000",
                                        NULL};
    enum { COUNT = 50000 };
    struct fixture *f = fixture_open(1);
    static char value[600];
    int stalls = 0;
    (void)state;
    memset(value, 'x', sizeof value);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(rd_kafka_producev(f->rk, RD_KAFKA_V_TOPIC(f->topics[TOPIC_CASES]), RD_KAFKA_V_PARTITION(0),
                                           RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_END),
                         0);
    assert_int_equal(rd_kafka_flush(f->rk, WAIT_MS), 0);
    struct member *m = member_open(f, NULL, extra);
    m->gaps = true; /* the values are not offsets here */
    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    int64_t heard_ms = clock_mono_ms(), give_up_ms = heard_ms + WAIT_MS;
    while (m->seen[TOPIC_CASES][0].records < COUNT) {
        assert_true(clock_mono_ms() < give_up_ms);
        int before = m->seen[TOPIC_CASES][0].records;
        turn(m, 20, 100);
        for (int64_t end = clock_mono_us() + 2000; clock_mono_us() < end;)
            ; /* work for 100 records */
        if (m->seen[TOPIC_CASES][0].records == before)
            continue;
        stalls += before > 0 && clock_mono_ms() - heard_ms > 600;
        heard_ms = clock_mono_ms();
    }
    print_message("%d stalls\n", stalls);
    assert_in_range(stalls, 0, 3); /* without keep_fetching(): more than ten */
    member_close(m);
    fixture_close(f);
}

static void test_cooperative_moves_only_what_must(void **state)
{
    static const char *const extra[] = {"partition.assignment.strategy", "cooperative-sticky", NULL};
    struct fixture *f = fixture_open(4);
    (void)state;
    if (rd_kafka_version() < 0x020601ff) {
        struct config_property properties[] = {{"bootstrap.servers", f->servers}, {extra[0], extra[1]}};
        struct consumer_options options = {
            .properties = properties, .property_count = 2, .topics = {"a", "b", "c"}, .group_id = "g"};
        struct consumer *consumer;
        struct err err = ERR_INIT;
        assert_int_equal(consumer_open(&options, on_before_revoke, NULL, &consumer, &err), CV_FATAL);
        assert_non_null(strstr(err.text, "cooperative-sticky needs librdkafka 2.6.1"));
        fixture_close(f);
        return;
    }
    for (int p = 0; p < 4; p++)
        produce(f, TOPIC_CASES, p, 0, 1000);
    struct member *a = member_open(f, NULL, extra);
    UNTIL(assigned(a) == 12, a);
    for (int p = 0; p < 4; p++)
        position(a, TOPIC_CASES, p, 0);
    UNTIL(a->seen[TOPIC_CASES][3].eof == 1000, a);
    struct member *b = member_open(f, NULL, extra);
    UNTIL(assigned(a) == 6 && assigned(b) == 6, a, b);
    for (int t = 0; t < TOPIC_COUNT; t++)
        for (int p = 0; p < 4; p++) {
            assert_int_equal(a->seen[t][p].assigned + b->seen[t][p].assigned, 1);
            assert_int_equal(a->seen[t][p].assigns, 1); /* partitions that stayed were never revoked */
        }
    for (int round = 0; round < 50; round++) {
        for (int p = 0; p < 4; p++)
            position(a->seen[TOPIC_CASES][p].assigned ? a : b, TOPIC_CASES, p, 10 * round + p);
        for (int polls = round % 4; polls > 0; polls--) {
            turn(a, 3, 100);
            turn(b, 3, 100);
        }
    }
    for (int p = 0; p < 4; p++) {
        struct member *of = a->seen[TOPIC_CASES][p].assigned ? a : b;
        UNTIL(of->seen[TOPIC_CASES][p].eof == 1000, a, b);
    }
    member_close(b);
    UNTIL(assigned(a) == 12, a);
    member_close(a);
    fixture_close(f);
}

static void test_watermarks_of_all_topics(void **state)
{
    struct fixture *f = fixture_open(2);
    const char *topics[] = {f->topics[TOPIC_CASES], "no-such-topic", f->topics[TOPIC_AGENTS]};
    const struct config_property good[] = {{"bootstrap.servers", f->servers}};
    const struct config_property away[] = {{"bootstrap.servers", "127.0.0.1:1"}};
    const struct config_property wrong[] = {{"bootstrap.servers", f->servers}, {"no.such.property", "1"}};
    struct watermark *list = NULL;
    struct err err = ERR_INIT;
    size_t count = 0;
    (void)state;
    produce(f, TOPIC_CASES, 1, 0, 30);
    fixture_trim(f, TOPIC_CASES, 1, 10);

    if (watermarks_read(good, 1, topics, 3, 10000, &list, &count, &err) != CV_OK)
        fail_msg("%s", err.text);
    assert_int_equal(count, 4);
    assert_true(list[0].topic == 0 && list[0].partition == 0 && list[0].low == 0 && list[0].end == 0);
    assert_true(list[1].topic == 0 && list[1].partition == 1 && list[1].low == 10 && list[1].end == 30);
    assert_true(list[3].topic == 2 && list[3].partition == 1 && list[3].end == 0);
    free(list);

    int64_t start = clock_mono_ms();
    assert_int_equal(watermarks_read(away, 1, topics, 3, 500, &list, &count, &err), CV_RETRY);
    assert_true(clock_mono_ms() - start < 3000);
    assert_non_null(strstr(err.text, "last error: "));
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    topics[1] = "^no.*";
    assert_int_equal(watermarks_read(good, 1, topics, 3, 500, &list, &count, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "^no.*"));
    topics[1] = "no-such-topic";
    assert_int_equal(watermarks_read(wrong, 2, topics, 3, 500, &list, &count, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "no.such.property"));
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_member_comes_back_without_a_rebalance),
        cmocka_unit_test(test_static_member_that_leaves_is_not_waited_for),
        cmocka_unit_test(test_instance_taken_over_is_fatal),
        cmocka_unit_test(test_position_before_the_log_start_is_out_of_range),
        cmocka_unit_test(test_new_partitions_come_by_rebalance),
        cmocka_unit_test(test_transactions_end_after_their_control_records),
        cmocka_unit_test(test_full_queue_does_not_stall),
        cmocka_unit_test(test_cooperative_moves_only_what_must),
        cmocka_unit_test(test_watermarks_of_all_topics),
    };
    if (!getenv("CASEVIEW_TEST_KAFKA")) {
        fprintf(stderr, "CASEVIEW_TEST_KAFKA=HOST:PORT is not set (deploy/kafka starts a broker)\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
