#include "caseview/log_limit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Occurrences every 100 ms for 40 s: lines at 0, 1, 3, 7, 15 and 31 s, and every occurrence is in one of them. */
static void test_due_distances_double(void **state CV_UNUSED)
{
    static const int64_t expected_ms[] = {0, 1000, 3000, 7000, 15000, 31000};
    struct log_limit limit = {.unlogged = 0};
    size_t lines = 0;
    int64_t logged = 0, start = 5000;
    for (int64_t ms = 0; ms <= 40000; ms += 100) {
        log_limit_add(&limit, 1);
        int64_t count = log_limit_due_at(&limit, start + ms);
        if (count == 0)
            continue;
        assert_true(lines < ARRAY_LEN(expected_ms));
        assert_int_equal(ms, expected_ms[lines++]);
        logged += count;
    }
    assert_int_equal(lines, ARRAY_LEN(expected_ms));
    assert_int_equal(logged, 311);
    assert_int_equal(limit.unlogged, 90);
}

static void test_due_after_a_quiet_time_starts_over(void **state CV_UNUSED)
{
    struct log_limit limit = {.unlogged = 0};
    int64_t now = 1;
    for (int i = 0; i < 20; i++) {
        log_limit_add(&limit, 3);
        assert_int_equal(log_limit_due_at(&limit, now), 3);
        now = limit.next_ms;
    }
    assert_int_equal(limit.wait_ms, 300000);
    now = limit.next_ms + limit.wait_ms;
    assert_int_equal(log_limit_due_at(&limit, now), 0); /* nothing has happened */
    log_limit_add(&limit, 1);
    assert_int_equal(log_limit_due_at(&limit, now), 1);
    assert_int_equal(limit.wait_ms, 1000);
}

static void test_hit_counts_what_was_held_back(void **state CV_UNUSED)
{
    struct log_limit limit = {.unlogged = 0};
    assert_int_equal(log_limit_hit(&limit), 1);
    assert_int_equal(log_limit_hit(&limit), 0);
    assert_int_equal(log_limit_hit(&limit), 0);
    limit.next_ms = 1; /* long ago */
    assert_int_equal(log_limit_hit(&limit), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_distances_double),
        cmocka_unit_test(test_due_after_a_quiet_time_starts_over),
        cmocka_unit_test(test_hit_counts_what_was_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
