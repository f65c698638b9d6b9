#include "workers/source/consumer_events.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void open_events(struct consumer_events *events)
{
    struct err err = ERR_INIT;

    assert_int_equal(consumer_events_init(events, &err), CV_OK);
}

static bool is_readable(const struct consumer_events *events)
{
    struct pollfd fd = {.fd = events->fd, .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

static void test_take_keeps_the_order_and_leaves_the_rest(void **state CV_UNUSED)
{
    struct consumer_events events;
    struct consumer_event out[8];

    open_events(&events);
    for (int32_t i = 0; i < 200; i++)
        consumer_events_add(&events, i % 2 ? CONSUMER_ASSIGNED : CONSUMER_REVOKED, TOPIC_AGENTS, i, NULL);
    for (int32_t i = 0; i < 200; i += 8) {
        assert_int_equal(consumer_events_take(&events, out, 8), 8);
        for (int32_t j = 0; j < 8; j++) {
            assert_int_equal(out[j].record.partition, i + j);
            assert_int_equal(out[j].type, j % 2 ? CONSUMER_ASSIGNED : CONSUMER_REVOKED);
            assert_int_equal(out[j].record.topic, TOPIC_AGENTS);
        }
        consumer_events_release(&events);
    }
    assert_int_equal(consumer_events_take(&events, out, 8), 0);
    consumer_events_done(&events);
}

static void test_wake_makes_the_descriptor_readable_until_drained(void **state CV_UNUSED)
{
    struct consumer_events events;

    open_events(&events);
    assert_false(is_readable(&events));
    consumer_events_wake(&events);
    consumer_events_wake(&events);
    assert_true(is_readable(&events));
    consumer_events_drain(&events);
    assert_false(is_readable(&events));
    consumer_events_drain(&events);
    consumer_events_done(&events);
}

static void test_add_error_is_limited_by_code_and_remembered(void **state CV_UNUSED)
{
    struct consumer_events events;
    struct consumer_event out[8];

    open_events(&events);
    for (int i = 0; i < 100; i++)
        consumer_events_add_error(&events, RD_KAFKA_RESP_ERR__TRANSPORT, TOPIC_COUNT, -1, "ssl://u:p@host: refused");
    consumer_events_add_error(&events, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, TOPIC_COUNT, -1, "1/1 brokers are down");
    assert_int_equal(consumer_events_take(&events, out, 8), 2);
    assert_int_equal(out[0].type, CONSUMER_ERROR);
    assert_int_equal(out[0].record.topic, TOPIC_COUNT);
    assert_string_equal(out[0].text, "_TRANSPORT: ssl://host: refused");
    assert_string_equal(events.problem, "_TRANSPORT: ssl://host: refused"); /* the reason, not its consequence */
    consumer_events_done(&events);                                          /* also frees what was delivered last */
}

/* If the caller does not poll, errors are dropped, but assignments never. */
static void test_add_error_stops_at_its_ceiling(void **state CV_UNUSED)
{
    struct consumer_events events;
    struct consumer_event out[200];
    size_t errors = 0, assigned = 0;

    open_events(&events);
    for (int i = 0; i < 90; i++) {
        consumer_events_add_error(&events, (rd_kafka_resp_err_t)(i + 1), TOPIC_COUNT, -1, "text");
        consumer_events_add(&events, CONSUMER_ASSIGNED, TOPIC_CASES, i, NULL);
    }
    size_t n = consumer_events_take(&events, out, ARRAY_LEN(out));
    for (size_t i = 0; i < n; i++) {
        errors += out[i].type == CONSUMER_ERROR;
        assigned += out[i].type == CONSUMER_ASSIGNED;
    }
    assert_int_equal(assigned, 90);
    assert_in_range(errors, 1, 64);
    consumer_events_done(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_keeps_the_order_and_leaves_the_rest),
        cmocka_unit_test(test_wake_makes_the_descriptor_readable_until_drained),
        cmocka_unit_test(test_add_error_is_limited_by_code_and_remembered),
        cmocka_unit_test(test_add_error_stops_at_its_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
