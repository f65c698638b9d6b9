/* What `caseview verify` prints: differences as lines or as one JSON object, figures, and the verdict. */
#include "workers/ops/verify_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

static FILE *terminal;
static char *printed; /* what went to stdout since begin_output() */
static size_t printed_len;

static void begin_output(void)
{
    fflush(stdout);
    terminal = stdout;
    stdout = open_memstream(&printed, &printed_len);
    assert_non_null(stdout);
}

static void end_output(void)
{
    fclose(stdout);
    stdout = terminal;
}

/* Compares what was printed, and forgets it. */
static void expect_printed(const char *expected)
{
    end_output();
    assert_string_equal(printed, expected);
    free(printed);
}

static void test_text_no_difference(void **state CV_UNUSED)
{
    struct verify_report report;
    report_init(&report, false);
    report.cases = 12;
    report.listed = 3;
    report.agents = 4;
    report.entities = 5;
    report.records = 99;
    report.sample = 100;
    begin_output();
    report_print(&report);
    expect_printed("compared 12 cases (3 listed), 4 agents and 5 directory entities with 99 records of the log\n"
                   "no difference\n");
    report_done(&report);
}

static void test_text_differences_and_what_is_unknown(void **state CV_UNUSED)
{
    struct verify_report report;
    report_init(&report, false);
    report.sample = 10;
    report.left_out = 2;
    report.unknown[UNKNOWN_AHEAD] = 7;
    begin_output();
    report_difference(&report, "case 1", "rank", STR("5"), STR_NULL);
    verify_key_difference(&(struct verify_key_report){&report, "agent 2"}, "unit", STR_NULL, STR("6"));
    report_print(&report);
    expect_printed("case 1: rank: the row says 5, the log says null\n"
                   "agent 2: unit: the row says null, the log says 6\n"
                   "compared 0 cases (0 listed), 0 agents and 0 directory entities with 0 records of the log (2 parked "
                   "or skipped ones left out); a sample of 10 %\n"
                   "unknown, 7 times: row contains events at or after the cursor: a partition is being read again\n"
                   "2 differences: see `caseview explain`, fix cases and agents with `caseview repair`, directory rows "
                   "by publishing the entity with a greater version\n");
    assert_int_equal(report.differences, 2);
    report_done(&report);
}

/* A long value is cut between characters, never within one: two bytes each, from an odd offset on. */
static void test_text_long_value_cut_between_characters(void **state CV_UNUSED)
{
    char value[1002] = "x", expected[600];
    for (size_t i = 1; i + 1 < sizeof value; i += 2)
        memcpy(value + i, "é", 2);
    value[1001] = '\0';
    struct verify_report report;
    report_init(&report, false);
    snprintf(expected, sizeof expected, "case 1: body: the row says %.399s…, the log says short\n", value);
    begin_output();
    report_difference(&report, "case 1", "body", str_of(value), STR("short"));
    expect_printed(expected);
    report_done(&report);
}

static json_t *print_json_of(struct verify_report *report)
{
    begin_output();
    report_print(report);
    end_output();
    json_t *parsed = json_loads(printed, 0, NULL);
    assert_non_null(parsed);
    free(printed);
    return parsed;
}

static void test_json_differences_and_figures(void **state CV_UNUSED)
{
    struct verify_report report;
    report_init(&report, true);
    report.cases = 12;
    report.unknown[UNKNOWN_SWEPT] = 3;
    report_difference(&report, "case 1", "channel", STR("a \"b\""), STR_NULL);
    json_t *parsed = print_json_of(&report);
    json_t *difference = json_array_get(json_object_get(parsed, "differences"), 0);
    assert_int_equal(json_array_size(json_object_get(parsed, "differences")), 1);
    assert_string_equal(json_string_value(json_object_get(difference, "key")), "case 1");
    assert_string_equal(json_string_value(json_object_get(difference, "field")), "channel");
    assert_string_equal(json_string_value(json_object_get(difference, "row")), "a \"b\"");
    assert_true(json_is_null(json_object_get(difference, "log")));
    assert_true(json_is_false(json_object_get(parsed, "agrees")));
    assert_int_equal(json_integer_value(json_object_get(parsed, "difference_count")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(parsed, "compared"), "cases")), 12);
    assert_int_equal(json_object_size(json_object_get(parsed, "unknown")), UNKNOWN_COUNT);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(parsed, "unknown"), "swept")), 3);
    json_decref(parsed);
    report_done(&report);
}

static void test_json_first_ten_thousand_kept_all_counted(void **state CV_UNUSED)
{
    struct verify_report report;
    report_init(&report, true);
    for (int i = 0; i < 10500; i++)
        report_difference(&report, "case 1", "rank", STR("1"), STR("2"));
    json_t *parsed = print_json_of(&report);
    assert_int_equal(json_array_size(json_object_get(parsed, "differences")), 10000);
    assert_int_equal(json_integer_value(json_object_get(parsed, "difference_count")), 10500);
    json_decref(parsed);
    report_done(&report);
}

/* Values as long as an agent's state may be: the object stays one that can be read, within its memory. */
static void test_json_long_values_are_kept_up_to_64_mib(void **state CV_UNUSED)
{
    struct verify_report report;
    size_t len = 2u << 20;
    char *value = cv_alloc(len);
    memset(value, 'x', len);
    report_init(&report, true);
    for (int i = 0; i < 150; i++)
        report_difference(&report, "agent 1", "state", (struct str){value, len}, (struct str){value, len});
    assert_true(report.json.len < (70u << 20));
    json_t *parsed = print_json_of(&report);
    assert_int_equal(json_array_size(json_object_get(parsed, "differences")), 16);
    assert_int_equal(json_integer_value(json_object_get(parsed, "difference_count")), 150);
    json_decref(parsed);
    report_done(&report);
    free(value);
}

static void test_json_nothing_found_agrees(void **state CV_UNUSED)
{
    struct verify_report report;
    report_init(&report, true);
    json_t *parsed = print_json_of(&report);
    assert_true(json_is_true(json_object_get(parsed, "agrees")));
    assert_int_equal(json_array_size(json_object_get(parsed, "differences")), 0);
    json_decref(parsed);
    report_done(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_no_difference),
        cmocka_unit_test(test_text_differences_and_what_is_unknown),
        cmocka_unit_test(test_text_long_value_cut_between_characters),
        cmocka_unit_test(test_json_differences_and_figures),
        cmocka_unit_test(test_json_first_ten_thousand_kept_all_counted),
        cmocka_unit_test(test_json_long_values_are_kept_up_to_64_mib),
        cmocka_unit_test(test_json_nothing_found_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
