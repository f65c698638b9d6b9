/* The consumer when the cluster or its configuration misbehaves: on librdkafka's mock cluster, which can. */
#include "tests/integration/consumer_fixture.h"

static void test_broker_away_and_back(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 100);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 100, m);

    rd_kafka_mock_broker_set_down(f->mock, 1);
    UNTIL(m->errors > 0, m);
    for_ms(m, 3000);
    /* Tries are many; lines are few, and further apart each time. */
    assert_in_range(m->errors, 1, 8);
    rd_kafka_mock_broker_set_up(f->mock, 1);
    produce(f, TOPIC_CASES, 0, 100, 50);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 150, m);
    assert_int_equal(m->fatals, 0);
    member_close(m);
    fixture_close(f);
}

static void test_close_does_not_wait_for_a_broker_that_is_away(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 3, m);
    rd_kafka_mock_broker_set_down(f->mock, 1);
    for_ms(m, 200);

    int64_t start = clock_mono_ms();
    int revokes = m->before_revokes;
    consumer_close(m->consumer);
    assert_true(clock_mono_ms() - start < 10000);
    assert_int_equal(m->before_revokes, revokes);
    free(m);
    fixture_close(f);
}

static void test_lost_membership_is_told_and_mended(void **state)
{
    struct fixture *f = fixture_open(2);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 100);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 6, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 100, m);

    rd_kafka_mock_push_request_errors(f->mock, 12 /* Heartbeat */, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
    UNTIL(m->losts > 0, m);
    assert_int_equal(m->budget_ms, 0);
    UNTIL(m->seen[TOPIC_CASES][0].assigns == 2 && assigned(m) == 6, m);
    struct err err = ERR_INIT;
    for_ms(m, 100);
    assert_int_equal(m->seen[TOPIC_CASES][0].records, 0);
    position(m, TOPIC_CASES, 0, 90);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 100, m);
    assert_int_equal(consumer_position(m->consumer, TOPIC_CASES, 7, 0, &err), CV_RETRY);
    assert_non_null(strstr(err.text, "not assigned"));
    member_close(m);
    fixture_close(f);
}

static void test_fetch_errors_do_not_lose_records(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 2000);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 3, m);
    for (int i = 0; i < 10; i++) {
        rd_kafka_mock_push_request_errors(f->mock, 1 /* Fetch */, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                          RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
        position(m, TOPIC_CASES, 0, 100 * i);
        UNTIL(m->seen[TOPIC_CASES][0].eof == 2000, m);
        assert_int_equal(m->seen[TOPIC_CASES][0].records, 2000 - 100 * i);
    }
    member_close(m);
    fixture_close(f);
}

static void test_beginning_waits_for_a_broker(void **state)
{
    struct fixture *f = fixture_open(1);
    struct err err = ERR_INIT;
    (void)state;
    produce(f, TOPIC_CASES, 0, 0, 10);
    struct member *m = member_open(f, NULL, NULL);
    UNTIL(assigned(m) == 3, m);
    rd_kafka_mock_broker_set_down(f->mock, 1);

    int64_t start = clock_mono_ms();
    assert_int_equal(consumer_position(m->consumer, TOPIC_CASES, 0, CONSUMER_BEGINNING, &err), CV_RETRY);
    assert_true(clock_mono_ms() - start < 3000);
    for_ms(m, 100);
    rd_kafka_mock_broker_set_up(f->mock, 1);
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    while (consumer_position(m->consumer, TOPIC_CASES, 0, CONSUMER_BEGINNING, &err) != CV_OK) {
        assert_true(clock_mono_ms() < deadline);
        turn(m, 50, 512);
    }
    m->seen[TOPIC_CASES][0].positioned = true;
    m->seen[TOPIC_CASES][0].next = 0;
    UNTIL(m->seen[TOPIC_CASES][0].eof == 10, m);
    member_close(m);
    fixture_close(f);
}

/* The descriptor wakes a sleeper within moments of a record, and rests when there is nothing. */
static void test_descriptor_wakes_and_rests(void **state)
{
    static const char *const extra[] = {"statistics.interval.ms", "0", NULL};
    struct fixture *f = fixture_open(1);
    struct consumer_event events[8];
    (void)state;
    struct member *m = member_open(f, NULL, extra);
    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    UNTIL(m->seen[TOPIC_CASES][0].eof == 0, m);
    int wakes = 0;
    for (int64_t end = clock_mono_ms() + 1000; clock_mono_ms() < end;) {
        struct pollfd fd = {.fd = consumer_fd(m->consumer), .events = POLLIN};
        wakes += poll(&fd, 1, 100) > 0;
        consumer_fd_drain(m->consumer);
        assert_int_equal(consumer_poll(m->consumer, events, 8), 0);
    }
    assert_in_range(wakes, 0, 20);

    produce(f, TOPIC_CASES, 0, 0, 20);
    int64_t start = clock_mono_ms();
    struct pollfd fd = {.fd = consumer_fd(m->consumer), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 2000), 1);
    assert_true(clock_mono_ms() - start < 1000);
    /* More than one poll's worth: it stays readable until all was taken. */
    while (m->seen[TOPIC_CASES][0].eof != 20) {
        assert_int_equal(poll(&fd, 1, 2000), 1);
        turn(m, 0, 4);
    }
    member_close(m);
    fixture_close(f);
}

static void test_properties_are_checked(void **state)
{
    static const struct {
        const char *name, *value, *text;
    } cases[] = {
        {"enable.auto.commit", "true", "kafka property enable.auto.commit cannot be set"},
        {"auto.offset.reset", "earliest", "kafka property auto.offset.reset cannot be set"},
        {"isolation.level", "read_uncommitted", "kafka property isolation.level cannot be set"},
        {"enable.partition.eof", "false", "kafka property enable.partition.eof cannot be set"},
        {"group.id", "x", "--group-id"},
        {"group.instance.id", "x", "--group-instance-id"},
        {"no.such.property", "x", "kafka property no.such.property: "},
        {"fetch.wait.max.ms", "often", "kafka property fetch.wait.max.ms: "},
        {"bootstrap.servers", "", "kafka property bootstrap.servers is missing"},
        {"sasl.mechanisms", "PLAIN", NULL},
        {"session.timeout.ms", "20000", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct consumer_property properties[] = {{"bootstrap.servers", "127.0.0.1:1"}, {cases[i].name, cases[i].value}};
        struct consumer_options options = {
            .properties = properties, .property_count = 2, .topics = {"a", "b", "c"}, .group_id = "g"};
        struct consumer *consumer = NULL;
        struct err err = ERR_INIT;
        enum cv_status status = consumer_open(&options, on_before_revoke, NULL, &consumer, &err);
        if (!cases[i].text) {
            if (status != CV_OK)
                fail_msg("%s: %s", cases[i].name, err.text);
            consumer_close(consumer);
            continue;
        }
        assert_int_equal(status, CV_FATAL);
        if (!strstr(err.text, cases[i].text))
            fail_msg("%s: said %s", cases[i].name, err.text);
    }
    consumer_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broker_away_and_back),
        cmocka_unit_test(test_close_does_not_wait_for_a_broker_that_is_away),
        cmocka_unit_test(test_lost_membership_is_told_and_mended),
        cmocka_unit_test(test_fetch_errors_do_not_lose_records),
        cmocka_unit_test(test_beginning_waits_for_a_broker),
        cmocka_unit_test(test_descriptor_wakes_and_rests),
        cmocka_unit_test(test_properties_are_checked),
    };
    unsetenv("CASEVIEW_TEST_KAFKA"); /* the faults are the mock cluster's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
