#include "workers/ops/status_advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct config *first, *second; /* of generation 1 and 2 */
static struct buf out;

static const char *advice(const struct config *config, const struct status_partition *partition)
{
    buf_reset(&out);
    if (!status_advise_partition(config, partition, &out))
        return NULL;
    buf_byte(&out, '\0');
    return out.data;
}

static struct status_partition healthy(void)
{
    return (struct status_partition){
        .topic = STR("case-events"),
        .part = 3,
        .has_cursor = true,
        .next_offset = 100,
        .end_offset = 100,
        .state = STR("live"),
        .reason = STR_NULL,
        .owner = STR("host:7"),
    };
}

static void test_partition_healthy_needs_nothing(void **state CV_UNUSED)
{
    struct status_partition partition = healthy();
    assert_null(advice(first, &partition));
    partition.lag = 1000;
    partition.lag_seconds = 59;
    assert_null(advice(first, &partition));
    assert_false(status_is_late(&partition));
}

#define RESUME "caseview resume --topic case-events --partition 3"
#define SET    "caseview cursor set --topic case-events --partition 3 --offset 0 --force; "

static void test_partition_halted_says_what_to_do_first(void **state CV_UNUSED)
{
    static const struct {
        const char *reason, *text;
    } cases[] = {
        {"recreated", "check that the new topic contains all events; then " SET RESUME},
        {"retention-gap", "raise the topic's retention; then " SET RESUME},
        {"beyond-end", "let the producers send the lost events again; then " SET RESUME},
        {"poison-flood",
         "give the workers the missing schema, or stop the producer that sends these records; then " RESUME},
        {"refused-by-database", "fix what the worker's log line says about the database; then " RESUME},
        {"of a newer version", RESUME},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[400];
        struct status_partition partition = healthy();
        partition.state = STR("halted");
        partition.reason = str_of(cases[i].reason);
        snprintf(expected, sizeof expected, "case-events/3 halted (%s): %s", cases[i].reason, cases[i].text);
        assert_string_equal(advice(first, &partition), expected);
    }
}

static void test_partition_paused_and_parked_in_another_generation(void **state CV_UNUSED)
{
    struct status_partition partition = healthy();
    partition.state = STR("paused");
    partition.reason = STR("recreated by me"); /* an operator's text */
    partition.parked = 2;
    assert_string_equal(
        advice(second, &partition),
        "case-events/3 paused (recreated by me): caseview resume --generation 2 --topic case-events "
        "--partition 3; 2 parked: caseview parked list --generation 2 --topic case-events --partition 3");
    partition.reason = STR_NULL;
    partition.parked = 0;
    assert_string_equal(advice(first, &partition), "case-events/3 paused: " RESUME);
}

static void test_partition_late_names_lag_and_owner(void **state CV_UNUSED)
{
    struct status_partition partition = healthy();
    partition.lag = 1000;
    partition.lag_seconds = 61.4;
    assert_true(status_is_late(&partition));
    assert_string_equal(advice(first, &partition), "case-events/3 lags by 1000 records, 61 s: check that its worker "
                                                   "host:7 is running, or add workers");
    partition.lag_seconds = -1;
    partition.owner = STR_NULL;
    assert_string_equal(advice(first, &partition),
                        "case-events/3 lags by 1000 records: check that a worker is running, or add workers");
}

static void test_partition_never_claimed(void **state CV_UNUSED)
{
    struct status_partition partition = {
        .topic = STR("t"), .part = 0, .lag = -1, .lag_seconds = -1, .state = STR("unclaimed")};
    assert_string_equal(advice(first, &partition), "t/0 was never claimed: start a worker of this generation; if one "
                                                   "runs, its log says why it waits");
}

static void test_kafka_degraded_and_incomplete(void **state CV_UNUSED)
{
    struct status_data data = {.kafka_problem = ""};
    buf_reset(&out);
    assert_false(status_advise_kafka(&data, &out));
    assert_false(status_advise_degraded(first, &data, &out));
    assert_false(status_advise_incomplete(first, &data, &out));
    assert_int_equal(out.len, 0);
    snprintf(data.kafka_problem, sizeof data.kafka_problem, "no broker answered");
    data.degraded = 2;
    data.degraded_option = STR("--case 1");
    data.incomplete = 1;
    data.incomplete_option = STR("--case 2");
    assert_true(status_advise_kafka(&data, &out));
    buf_puts(&out, "\n");
    assert_true(status_advise_degraded(first, &data, &out));
    buf_puts(&out, "\n");
    assert_true(status_advise_incomplete(second, &data, &out));
    buf_byte(&out, '\0');
    assert_string_equal(out.data, "end offsets unavailable: no broker answered\n"
                                  "2 degraded, the oldest: caseview explain --case 1\n"
                                  "1 incomplete, one of them: caseview explain --generation 2 --case 2");
}

static void test_rebuild_waiting_and_not_prepared(void **state CV_UNUSED)
{
    struct status_data data = {.gen = 2, .generation_state = STR("waiting")};
    buf_reset(&out);
    assert_true(status_advise_rebuild(&data, &out));
    buf_byte(&out, '\0');
    assert_string_equal(out.data, "generation 2 is not prepared: caseview rebuild status; when it has caught up, "
                                  "caseview rebuild prepare");
    data.prepared = true;
    assert_false(status_advise_rebuild(&data, &out));
    data = (struct status_data){.gen = 1, .generation_state = STR("dropped")};
    assert_false(status_advise_rebuild(&data, &out));
}

/* The options of a command without --generation (NULL: the live one), or with it. */
static struct config *load(const char *generation)
{
    static const struct option_def *const tables[] = {caseview_options, NULL};
    char *name = cv_strdup("--generation"), *value = generation != NULL ? cv_strdup(generation) : NULL, *none = NULL;
    char *argv[] = {name, value, NULL};
    struct config *config;
    struct err err = ERR_INIT;
    assert_int_equal(config_load(tables, SCOPE_STATUS, generation != NULL ? 2 : 0, argv, &none, &config, &err), CV_OK);
    free(name);
    free(value);
    return config;
}

int main(void)
{
    first = load(NULL);
    second = load("2");
    buf_init(&out, 1u << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition_healthy_needs_nothing),
        cmocka_unit_test(test_partition_halted_says_what_to_do_first),
        cmocka_unit_test(test_partition_paused_and_parked_in_another_generation),
        cmocka_unit_test(test_partition_late_names_lag_and_owner),
        cmocka_unit_test(test_partition_never_claimed),
        cmocka_unit_test(test_kafka_degraded_and_incomplete),
        cmocka_unit_test(test_rebuild_waiting_and_not_prepared),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    config_free(first);
    config_free(second);
    return failed;
}
