/* Why two rows differ. What needs two whole generations is in tests/integration/test_rebuild_compare.py. */
#include "workers/ops/rebuild_compare_reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const int32_t gens[COMPARE_SIDES] = {1, 2};
static struct buf out;

static const char *reason(const struct compare_suspect *suspect, const struct compare_evidence *evidence)
{
    struct compare_partition partition = {.topic = cv_strdup("cases"), .part = 3};
    struct compare_moment moment = {0};
    const struct compare_moments moments = {
        .partitions = &partition, .partition_count = 1, .items = &moment, .count = 1};
    buf_reset(&out);
    compare_reason(suspect, evidence, &moments, gens, &out);
    free(partition.topic);
    return out.data;
}

static struct compare_suspect a_difference(void)
{
    return (struct compare_suspect){.state = SUSPECT_DIFFERS, .kept = {{.present = true}, {.present = true}}};
}

#define ZERO "00000000-0000-0000-0000-000000000000"

static void test_undecided_lag_and_rows_that_are_written(void **state CV_UNUSED)
{
    struct compare_suspect suspect = {.state = SUSPECT_OPEN, .lag = {LAG_CURSOR, COMPARE_OTHER, 0, 5, 9}};
    const struct compare_evidence none = {0};
    assert_string_equal(reason(&suspect, &none), "generation 2 lags: cases/3 is at 5 of 9");
    suspect.written = true;
    assert_string_equal(reason(&suspect, &none),
                        "generation 2 lags: cases/3 is at 5 of 9; the row is written again and again");
}

static void test_parked_on_one_side_only(void **state CV_UNUSED)
{
    const struct compare_suspect suspect = a_difference();
    struct compare_evidence evidence = {.parked = {2, 1},
                                        .parked_example = {STR("cases/3 offset 7 (bad-rank)"), STR("x")}};
    assert_string_equal(reason(&suspect, &evidence), "parked in generation 1: cases/3 offset 7 (bad-rank)");
    evidence.parked[COMPARE_OTHER] = 3;
    assert_string_equal(reason(&suspect, &evidence), "parked in generation 2: x");
    evidence.parked[COMPARE_LIVE] = 3;
    assert_string_equal(reason(&suspect, &evidence), "unknown: caseview explain --case " ZERO);
}

static void test_log_start_counts_for_the_side_that_knows_less(void **state CV_UNUSED)
{
    struct compare_suspect suspect = a_difference();
    struct compare_evidence evidence = {.log_start = {0, 40}};
    suspect.kept[COMPARE_OTHER].flags = 2;
    assert_string_equal(reason(&suspect, &evidence),
                        "before the start of the log: generation 2 was made without carry-over from offset 40 of the "
                        "partition on");
    suspect.kept[COMPARE_LIVE].flags = 4;
    assert_string_equal(reason(&suspect, &evidence), "incomplete in generation 1: the snapshot is missing there");
}

static void test_bodies_that_cannot_be_read(void **state CV_UNUSED)
{
    const struct compare_suspect suspect = a_difference();
    struct compare_evidence evidence = {.bodies = {STR("{}"), STR("x")}};
    assert_string_equal(reason(&suspect, &evidence), "the bodies differ; unknown: caseview explain --case " ZERO);
    evidence.bodies[COMPARE_OTHER] = STR("{\"unitName\":\"a\"}");
    assert_string_equal(reason(&suspect, &evidence), "names differ: unitName");
}

int main(void)
{
    buf_init(&out, 1u << 16);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undecided_lag_and_rows_that_are_written),
        cmocka_unit_test(test_parked_on_one_side_only),
        cmocka_unit_test(test_log_start_counts_for_the_side_that_knows_less),
        cmocka_unit_test(test_bodies_that_cannot_be_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return failed;
}
