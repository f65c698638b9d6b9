#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/partition.h"

static bool feed(struct partition *partition, int64_t from, int64_t count, bool parked, int64_t now_ms,
                 int64_t *out_back_to)
{
    bool flood = false;
    for (int64_t offset = from; offset < from + count && !flood; offset++) {
        partition_count_record(partition, now_ms);
        flood = parked && partition_count_parked(partition, offset, now_ms, out_back_to);
    }
    return flood;
}

static void test_flood_thousand_parked_is_none(void **state)
{
    (void)state;
    struct partition partition = {.part = 1};
    int64_t back_to = -1;
    assert_false(feed(&partition, 0, 1000, true, 5000, &back_to));
    assert_true(feed(&partition, 1000, 1, true, 5000, &back_to));
    assert_int_equal(back_to, 0);
}

static void test_flood_half_good_is_none(void **state)
{
    (void)state;
    struct partition partition = {.part = 1};
    int64_t back_to = -1;
    assert_false(feed(&partition, 0, 5000, false, 5000, &back_to));
    assert_false(feed(&partition, 5000, 5000, true, 6000, &back_to));
    assert_true(feed(&partition, 10000, 1, true, 6000, &back_to));
    assert_int_equal(back_to, 5000);
}

static void test_flood_older_than_a_minute_does_not_count(void **state)
{
    (void)state;
    struct partition partition = {.part = 1};
    int64_t back_to = -1;
    assert_false(feed(&partition, 0, 900, true, 1000, &back_to));
    assert_false(feed(&partition, 900, 900, true, 62000, &back_to));
    assert_true(feed(&partition, 1800, 101, true, 63000, &back_to));
    assert_int_equal(back_to, 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flood_thousand_parked_is_none),
        cmocka_unit_test(test_flood_half_good_is_none),
        cmocka_unit_test(test_flood_older_than_a_minute_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
