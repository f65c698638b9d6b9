/* The time between batches by the length of their fences. */
#include "workers/sink/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t gap_after(int64_t fence_us, int64_t other_us)
{
    struct pace pace = {.count = 0};
    for (int i = 0; i < 20; i++)
        pace_add(&pace, i == 15 ? other_us : fence_us);
    return pace_gap_us(&pace);
}

static void test_gap_by_the_shortest_fence(void **state CV_UNUSED)
{
    static const struct {
        int64_t fence_us, other_us, gap_us;
    } cases[] = {
        {100, 90000, 0},
        {1000, 1000, 0},
        {1001, 1001, 10010},
        {3000, 200000, 30000},
        {3000, 200, 0}, /* one short one: the others only waited */
        {49999, 49999, 499990},
        {50000, 50000, 500000},
        {INT64_MAX, INT64_MAX, 500000},
        {0, 0, 0},
        {-5, 5000, 0}, /* the server's clock was set back */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(gap_after(cases[i].fence_us, cases[i].other_us), cases[i].gap_us);
}

static void test_gap_needs_eight_fences_and_forgets_older_ones(void **state CV_UNUSED)
{
    struct pace pace = {.count = 0};
    for (int i = 0; i < PACE_FENCES; i++) {
        assert_int_equal(pace_gap_us(&pace), 0);
        pace_add(&pace, 2000 + i);
    }
    assert_int_equal(pace_gap_us(&pace), 20000);
    pace_add(&pace, 9000);
    assert_int_equal(pace_gap_us(&pace), 20010);
    pace.count = UINT32_MAX; /* wraps without losing its place */
    pace_add(&pace, 9000);
    pace_add(&pace, 9000);
    assert_int_equal(pace_gap_us(&pace), 0); /* fewer than eight again: harmless */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gap_by_the_shortest_fence),
        cmocka_unit_test(test_gap_needs_eight_fences_and_forgets_older_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
