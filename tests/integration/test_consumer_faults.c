/* The consumer when the cluster or the configuration is faulty: on librdkafka's mock cluster, which injects errors. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

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
    /* There are many attempts, but few errors at growing intervals. */
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

static void test_lost_membership_is_reported_and_recovered(void **state)
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

/* The descriptor becomes readable soon after a record, and stays quiet when there is none. */
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
    struct pollfd fd = {.fd = consumer_fd(m->consumer), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 5000), 1);
    /* More than one poll returns: it stays readable until all records were taken. */
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
        {"sasl.mechanisms", "PLAIN", "kafka property sasl.mechanisms has no effect"},
        {"bootstrap.servers", "SASL_SSL://127.0.0.1:1", "but security.protocol is plaintext"},
        {"session.timeout.ms", "20000", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_property properties[] = {{"bootstrap.servers", "127.0.0.1:1"}, {cases[i].name, cases[i].value}};
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

static void test_topic_names_are_checked(void **state)
{
    const struct config_property properties[] = {{"bootstrap.servers", "127.0.0.1:1"}};
    struct consumer_options options = {
        .properties = properties, .property_count = 1, .topics = {"a", "b", "^case.*"}, .group_id = "g"};
    struct consumer *consumer = NULL;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(consumer_open(&options, on_before_revoke, NULL, &consumer, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "--directory-topic: \"^case.*\" is not a valid name"));
    assert_null(consumer);
}

/* A broker that accepts the connection and never answers causes no error of the library for a minute. */
static void test_no_broker_answers_is_reported_once(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), reports = 0;
    char server[64];
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 50), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(server, sizeof server, "127.0.0.1:%d", ntohs(address.sin_port));
    const struct config_property properties[] = {{"bootstrap.servers", server}};
    struct consumer_options options = {
        .properties = properties, .property_count = 1, .topics = {"a", "b", "c"}, .group_id = "g"};
    struct consumer *consumer;
    struct err err = ERR_INIT;
    assert_int_equal(consumer_open(&options, on_before_revoke, NULL, &consumer, &err), CV_OK);

    int64_t start_ms = clock_mono_ms(), reported_ms = 0;
    while (clock_mono_ms() - start_ms < 13000) {
        struct consumer_event event;
        wait_readable(consumer_fd(consumer), 100);
        consumer_fd_drain(consumer);
        if (consumer_poll(consumer, &event, 1) == 0 || event.type != CONSUMER_ERROR ||
            strstr(event.text, "no broker has answered within 10 s") == NULL)
            continue;
        reports++;
        reported_ms = clock_mono_ms();
        assert_non_null(strstr(event.text, "Check bootstrap.servers, security.protocol"));
    }
    assert_int_equal(reports, 1);
    assert_in_range(reported_ms - start_ms, 9500, 12000);
    consumer_close(consumer);
    close(fd);
}

static void test_reached_broker_is_not_reported(void **state)
{
    struct fixture *f = fixture_open(1);
    (void)state;
    struct member *m = member_open(f, NULL, NULL);

    for_ms(m, 11000);
    assert_int_equal(m->errors, 0);
    member_close(m);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broker_away_and_back),
        cmocka_unit_test(test_close_does_not_wait_for_a_broker_that_is_away),
        cmocka_unit_test(test_lost_membership_is_reported_and_recovered),
        cmocka_unit_test(test_fetch_errors_do_not_lose_records),
        cmocka_unit_test(test_beginning_waits_for_a_broker),
        cmocka_unit_test(test_descriptor_wakes_and_rests),
        cmocka_unit_test(test_properties_are_checked),
        cmocka_unit_test(test_topic_names_are_checked),
        cmocka_unit_test(test_no_broker_answers_is_reported_once),
        cmocka_unit_test(test_reached_broker_is_not_reported),
    };
    unsetenv("CASEVIEW_TEST_KAFKA"); /* the faults are the mock cluster's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
