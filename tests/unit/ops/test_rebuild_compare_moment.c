/* When rows of two generations are comparable. */
#include "workers/ops/rebuild_compare_moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const topics[TOPIC_COUNT] = {"cases", "agents", "directory"};
static const int32_t gens[COMPARE_SIDES] = {1, 2};
static struct compare_moments moments;

static int set_up(void **state CV_UNUSED)
{
    compare_moments_init(&moments, topics);
    return 0;
}

static int tear_down(void **state CV_UNUSED)
{
    compare_moments_done(&moments);
    return 0;
}

/* One partition of each topic. directory: cursor of it and clock, one change a record. */
struct side {
    int64_t cases, directory, dir_no;
};

static void set(enum compare_side side, const struct side *values)
{
    const struct compare_cursor cases = {.next_offset = values->cases, .dir_no = values->dir_no};
    const struct compare_cursor directory = {.next_offset = values->directory};
    compare_moments_set_cursor(&moments, side, STR("cases"), 3, &cases);
    compare_moments_set_cursor(&moments, side, STR("directory"), 0, &directory);
    compare_moments_set_clock(&moments, side, values->directory);
}

static void add_moment(struct side live, struct side other)
{
    compare_moments_add(&moments);
    set(COMPARE_LIVE, &live);
    set(COMPARE_OTHER, &other);
    compare_moments_complete(&moments);
}

static const struct compare_place a_case = {.role = TOPIC_CASES, .parts = {3, -1}};

static enum compare_lag_kind kind_since(size_t first, const struct compare_place *place)
{
    return compare_moments_lag(&moments, first, place).kind;
}

static void test_lag_level_at_once(void **state CV_UNUSED)
{
    add_moment((struct side){5, 2, 2}, (struct side){5, 2, 2});
    assert_int_equal(kind_since(0, &a_case), LAG_NONE);
}

static void test_lag_cursor_until_both_reach_the_maximum(void **state CV_UNUSED)
{
    add_moment((struct side){9, 2, 2}, (struct side){5, 2, 2});
    struct compare_lag lag = compare_moments_lag(&moments, 0, &a_case);
    assert_int_equal(lag.kind, LAG_CURSOR);
    assert_int_equal(lag.side, COMPARE_OTHER);
    assert_int_equal(lag.at, 5);
    assert_int_equal(lag.wanted, 9);
    add_moment((struct side){20, 2, 2}, (struct side){9, 2, 2});
    assert_int_equal(kind_since(0, &a_case), LAG_NONE); /* of what is unchanged since the first moment */
    assert_int_equal(kind_since(1, &a_case), LAG_CURSOR);
}

static void test_lag_of_the_live_generation(void **state CV_UNUSED)
{
    add_moment((struct side){5, 2, 2}, (struct side){9, 2, 2});
    struct compare_lag lag = compare_moments_lag(&moments, 0, &a_case);
    assert_int_equal(lag.kind, LAG_CURSOR);
    assert_int_equal(lag.side, COMPARE_LIVE);
}

static void test_lag_directory_then_names(void **state CV_UNUSED)
{
    add_moment((struct side){5, 4, 4}, (struct side){5, 2, 2});
    struct compare_lag lag = compare_moments_lag(&moments, 0, &a_case);
    assert_int_equal(lag.kind, LAG_CURSOR);
    assert_string_equal(moments.partitions[lag.partition].topic, "directory");
    add_moment((struct side){5, 6, 6}, (struct side){5, 4, 2});
    lag = compare_moments_lag(&moments, 0, &a_case);
    assert_int_equal(lag.kind, LAG_NAMES);
    assert_int_equal(lag.side, COMPARE_OTHER);
    assert_int_equal(lag.at, 2);
    assert_int_equal(lag.wanted, 4);
    /* Later changes of the directory do not count. */
    add_moment((struct side){5, 8, 6}, (struct side){5, 8, 4});
    assert_int_equal(kind_since(0, &a_case), LAG_NONE);
    assert_int_equal(kind_since(2, &a_case), LAG_NAMES);
}

static void test_lag_parts_of_both_sides_count(void **state CV_UNUSED)
{
    const struct compare_place elsewhere = {.role = TOPIC_CASES, .parts = {8, 9}};
    add_moment((struct side){9, 2, 2}, (struct side){5, 2, 2});
    assert_int_equal(kind_since(0, &elsewhere), LAG_NONE);
    const struct compare_place moved = {.role = TOPIC_CASES, .parts = {8, 3}};
    assert_int_equal(kind_since(0, &moved), LAG_CURSOR);
    const struct compare_place agent = {.role = TOPIC_AGENTS, .parts = {3, 3}};
    assert_int_equal(kind_since(0, &agent), LAG_NONE);
}

static void test_lag_parked_only_its_partition(void **state CV_UNUSED)
{
    add_moment((struct side){5, 2, 0}, (struct side){5, 0, 0});
    const struct compare_place parked = {.role = TOPIC_COUNT, .has_partition = true, .partition = 0};
    assert_int_equal(kind_since(0, &parked), LAG_NONE);
    const struct compare_place other = {.role = TOPIC_COUNT, .has_partition = true, .partition = 1};
    assert_int_equal(kind_since(0, &other), LAG_CURSOR);
}

static void test_lag_application_waits_for_the_directory_only(void **state CV_UNUSED)
{
    const struct compare_place application = {.role = TOPIC_DIRECTORY, .parts = {-1, -1}};
    add_moment((struct side){5, 2, 0}, (struct side){9, 2, 0});
    assert_int_equal(kind_since(0, &application), LAG_NONE);
    add_moment((struct side){5, 3, 0}, (struct side){9, 2, 0});
    assert_int_equal(kind_since(1, &application), LAG_CURSOR);
}

static void test_lag_partition_that_was_never_claimed(void **state CV_UNUSED)
{
    const struct compare_cursor cursor = {.next_offset = 4};
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 1000);
    add_moment((struct side){5, 2, 2}, (struct side){5, 2, 2});
    compare_moments_set_cursor(&moments, COMPARE_LIVE, STR("cases"), 4, &cursor);
    const struct compare_place place = {.role = TOPIC_CASES, .parts = {4, -1}};
    struct compare_lag lag = compare_moments_lag(&moments, 0, &place);
    compare_lag_text(&moments, gens, &lag, &text);
    assert_string_equal(text.data, "generation 2 lags: cases/4 was never claimed");
}

static void test_text_names_partition_and_state(void **state CV_UNUSED)
{
    const struct compare_cursor paused = {.next_offset = 5, .dir_no = 2, .stopped = true};
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 1000);
    add_moment((struct side){9, 2, 2}, (struct side){5, 2, 2});
    compare_moments_set_cursor(&moments, COMPARE_OTHER, STR("cases"), 3, &paused);
    struct compare_lag lag = compare_moments_lag(&moments, 0, &a_case);
    compare_lag_text(&moments, gens, &lag, &text);
    assert_string_equal(text.data, "generation 2 lags: cases/3 is at 5 of 9, paused or halted");
    buf_reset(&text);
    lag = (struct compare_lag){LAG_NAMES, COMPARE_LIVE, 0, 7, 9};
    compare_lag_text(&moments, gens, &lag, &text);
    assert_string_equal(text.data, "generation 1 lags: rows of cases/3 show the directory up to change 7 of 9");
}

static void test_has_topic(void **state CV_UNUSED)
{
    add_moment((struct side){9, 2, 2}, (struct side){-1, 2, 2});
    assert_true(compare_moments_has_topic(&moments, COMPARE_LIVE, TOPIC_CASES));
    assert_false(compare_moments_has_topic(&moments, COMPARE_OTHER, TOPIC_CASES));
    assert_false(compare_moments_has_topic(&moments, COMPARE_LIVE, TOPIC_AGENTS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lag_level_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_cursor_until_both_reach_the_maximum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_of_the_live_generation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_directory_then_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_parts_of_both_sides_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_parked_only_its_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_application_waits_for_the_directory_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lag_partition_that_was_never_claimed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_names_partition_and_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_has_topic, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
