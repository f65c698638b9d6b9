#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/poison_flood.h"

/* Batches of one second, of which all records or none were parked. */
static bool feed(struct poison_flood *flood, int64_t from, int64_t count, bool parked, int64_t now_ms,
                 int64_t *out_back_to)
{
    return poison_flood_add(flood, now_ms, count, parked ? count : 0, from, out_back_to);
}

static void test_flood_thousand_parked_is_none(void **state)
{
    (void)state;
    struct poison_flood flood = {0};
    int64_t back_to = -1;
    assert_false(feed(&flood, 0, 1000, true, 5000, &back_to));
    assert_true(feed(&flood, 1000, 1, true, 5000, &back_to));
    assert_int_equal(back_to, 0);
}

static void test_flood_half_good_is_none(void **state)
{
    (void)state;
    struct poison_flood flood = {0};
    int64_t back_to = -1;
    assert_false(feed(&flood, 0, 5000, false, 5000, &back_to));
    assert_false(feed(&flood, 5000, 5000, true, 6000, &back_to));
    assert_true(feed(&flood, 10000, 1, true, 6000, &back_to));
    assert_int_equal(back_to, 5000);
}

static void test_flood_older_than_a_minute_does_not_count(void **state)
{
    (void)state;
    struct poison_flood flood = {0};
    int64_t back_to = -1;
    assert_false(feed(&flood, 0, 900, true, 1000, &back_to));
    assert_false(feed(&flood, 900, 900, true, 62000, &back_to));
    assert_true(feed(&flood, 1800, 101, true, 63000, &back_to));
    assert_int_equal(back_to, 900);
}

static void test_flood_of_one_batch_judged_whole(void **state)
{
    (void)state;
    struct poison_flood flood = {0};
    int64_t back_to = -1;
    assert_false(poison_flood_add(&flood, 5000, 4000, 2000, 17, &back_to));
    assert_true(poison_flood_add(&flood, 5500, 1, 1, 4000, &back_to));
    assert_int_equal(back_to, 17);
}

static void test_flood_reset_forgets(void **state)
{
    (void)state;
    struct poison_flood flood = {0};
    int64_t back_to = -1;
    assert_false(feed(&flood, 0, 1000, true, 5000, &back_to));
    poison_flood_reset(&flood);
    assert_false(feed(&flood, 1000, 1000, true, 5000, &back_to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flood_thousand_parked_is_none),
        cmocka_unit_test(test_flood_half_good_is_none),
        cmocka_unit_test(test_flood_older_than_a_minute_does_not_count),
        cmocka_unit_test(test_flood_of_one_batch_judged_whole),
        cmocka_unit_test(test_flood_reset_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
