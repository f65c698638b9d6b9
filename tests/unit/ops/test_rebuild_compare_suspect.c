/* Keys, the verdict on a row, and the users that differences concern. */
#include "workers/ops/rebuild_compare_suspect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const topics[TOPIC_COUNT] = {"cases", "agents", "directory"};
static struct compare_moments moments;
static struct compare_suspects suspects;

static int set_up(void **state CV_UNUSED)
{
    compare_moments_init(&moments, topics);
    compare_suspects_init(&suspects, 3);
    return 0;
}

static int tear_down(void **state CV_UNUSED)
{
    compare_moments_done(&moments);
    compare_suspects_done(&suspects);
    return 0;
}

static struct uuid uuid_of(uint8_t byte)
{
    struct uuid uuid;
    memset(uuid.b, byte, sizeof uuid.b);
    return uuid;
}

static struct compare_key key_of(enum compare_view view, uint8_t organization, uint8_t id)
{
    return (struct compare_key){.view = view, .organization_id = uuid_of(organization), .id = uuid_of(id)};
}

static struct compare_suspect *add(enum compare_view view, uint8_t organization, uint8_t id)
{
    struct compare_key key = key_of(view, organization, id);
    assert_true(compare_suspects_add(&suspects, &key));
    return &suspects.items[suspects.count - 1];
}

/* Cursors of cases/0. */
static void add_moment(int64_t live, int64_t other)
{
    const struct compare_cursor cursors[COMPARE_SIDES] = {{.next_offset = live}, {.next_offset = other}};
    compare_moments_add(&moments);
    for (enum compare_side side = COMPARE_LIVE; side < COMPARE_SIDES; side++)
        compare_moments_set_cursor(&moments, side, STR("cases"), 0, &cursors[side]);
    compare_moments_complete(&moments);
}

static struct compare_row row_of(int64_t rev, uint64_t body)
{
    return (struct compare_row){.present = true, .rev = rev, .user_id = uuid_of(9), .columns = {[5] = body}};
}

static const struct compare_row absent = {.part = -1, .flags = -1};

static enum suspect_state judge(struct compare_suspect *suspect, struct compare_row live, struct compare_row other)
{
    const struct compare_row rows[COMPARE_SIDES] = {live, other};
    compare_judge(&suspects, suspect, rows, &moments);
    return suspect->state;
}

static void test_key_order_and_successor(void **state CV_UNUSED)
{
    struct compare_key a = key_of(VIEW_AGENT, 1, 0xff), b = key_of(VIEW_AGENT, 2, 0);
    assert_true(compare_key_cmp(&a, &b) < 0);
    assert_true(compare_key_next(&a));
    assert_true(compare_key_cmp(&a, &b) < 0); /* the last byte of the organization is 2, but its first one is 1 */
    assert_int_equal(a.organization_id.b[15], 2);
    assert_int_equal(a.id.b[15], 0);
    a = key_of(VIEW_ACTIVE_CASE, 0xff, 0xff);
    assert_false(compare_key_next(&a));
    a = key_of(VIEW_APPLICATION, 7, 3);
    b = key_of(VIEW_APPLICATION, 1, 4);
    assert_true(compare_key_cmp(&a, &b) < 0); /* the organization is no part of it */
    a = key_of(VIEW_APPLICATION, 1, 0xff);
    assert_false(compare_key_next(&a));
    a = (struct compare_key){.view = VIEW_PARKED, .offset = INT64_MAX};
    assert_false(compare_key_next(&a));
    a.offset = 6;
    b = (struct compare_key){.view = VIEW_PARKED, .offset = 7};
    assert_true(compare_key_cmp(&a, &b) < 0 && compare_key_next(&a) && compare_key_cmp(&a, &b) == 0);
}

static void test_add_has_a_ceiling(void **state CV_UNUSED)
{
    struct compare_key key = key_of(VIEW_AGENT, 1, 4);
    for (uint8_t i = 1; i <= 3; i++)
        (void)add(VIEW_AGENT, 1, i);
    assert_false(compare_suspects_add(&suspects, &key));
    assert_int_equal(suspects.count, 3);
    assert_int_equal(suspects.open, 3);
}

static void test_judge_equal_and_absent_rows(void **state CV_UNUSED)
{
    add_moment(5, 9);
    assert_int_equal(judge(add(VIEW_ACTIVE_CASE, 1, 1), row_of(1, 7), row_of(4, 7)), SUSPECT_EQUAL);
    assert_int_equal(judge(add(VIEW_ACTIVE_CASE, 1, 2), absent, absent), SUSPECT_EQUAL);
    assert_int_equal(suspects.open, 0);
}

static void test_judge_level_generations_differ_at_once(void **state CV_UNUSED)
{
    add_moment(9, 9);
    struct compare_suspect *suspect = add(VIEW_ACTIVE_CASE, 1, 1);
    assert_int_equal(judge(suspect, row_of(1, 7), row_of(1, 8)), SUSPECT_DIFFERS);
    assert_int_equal(suspect->columns, 1u << 5);
    assert_int_equal(compare_kind_of(suspect), KIND_DIFFERENT);
    suspect = add(VIEW_ACTIVE_CASE, 1, 2);
    assert_int_equal(judge(suspect, row_of(1, 7), absent), SUSPECT_DIFFERS);
    assert_int_equal(compare_kind_of(suspect), KIND_ONLY_LIVE);
    suspect = add(VIEW_ACTIVE_CASE, 1, 3);
    assert_int_equal(judge(suspect, absent, row_of(1, 7)), SUSPECT_DIFFERS);
    assert_int_equal(compare_kind_of(suspect), KIND_ONLY_OTHER);
}

static void test_judge_unchanged_until_level_differs(void **state CV_UNUSED)
{
    struct compare_suspect *suspect = add(VIEW_ACTIVE_CASE, 1, 1);
    add_moment(9, 5);
    assert_int_equal(judge(suspect, row_of(1, 7), row_of(1, 8)), SUSPECT_OPEN);
    assert_int_equal(compare_kind_of(suspect), KIND_UNDECIDED);
    add_moment(20, 8);
    assert_int_equal(judge(suspect, row_of(1, 7), row_of(1, 8)), SUSPECT_OPEN);
    assert_false(suspect->written);
    add_moment(20, 9);
    assert_int_equal(judge(suspect, row_of(1, 7), row_of(1, 8)), SUSPECT_DIFFERS);
}

/* It is written between the looks: what the cursors were before says nothing. */
static void test_judge_written_row_begins_again(void **state CV_UNUSED)
{
    struct compare_suspect *suspect = add(VIEW_ACTIVE_CASE, 1, 1);
    add_moment(9, 5);
    assert_int_equal(judge(suspect, row_of(1, 7), row_of(1, 8)), SUSPECT_OPEN);
    add_moment(20, 9);
    assert_int_equal(judge(suspect, row_of(2, 7), row_of(1, 8)), SUSPECT_OPEN); /* the same columns, a new revision */
    assert_true(suspect->written);
    assert_int_equal(suspect->first, 1);
    add_moment(30, 15);
    assert_int_equal(judge(suspect, row_of(2, 7), row_of(2, 9)), SUSPECT_OPEN);
    add_moment(40, 25);
    assert_int_equal(judge(suspect, row_of(2, 7), absent), SUSPECT_OPEN);
    add_moment(40, 39);
    assert_int_equal(judge(suspect, row_of(2, 7), row_of(3, 7)), SUSPECT_EQUAL);
}

static void test_users_once_each_and_without_degraded(void **state CV_UNUSED)
{
    size_t count;
    struct compare_row degraded = row_of(1, 7), moved = row_of(1, 8);
    degraded.columns[4] = 1;
    moved.user_id = uuid_of(4);
    add_moment(9, 9);
    assert_int_equal(judge(add(VIEW_ACTIVE_CASE, 1, 1), row_of(1, 7), moved), SUSPECT_DIFFERS);
    assert_int_equal(judge(add(VIEW_ACTIVE_CASE, 1, 2), row_of(1, 7), absent), SUSPECT_DIFFERS);
    assert_int_equal(judge(add(VIEW_ACTIVE_CASE, 3, 1), row_of(1, 7), degraded), SUSPECT_DIFFERS);
    struct compare_user *users = compare_users(&suspects, &count);
    assert_int_equal(count, 2);
    assert_int_equal(users[0].user_id.b[0], 4);
    assert_int_equal(users[1].user_id.b[0], 9);
    free(users);
    suspects.count = 0;
    users = compare_users(&suspects, &count);
    assert_int_equal(count, 0);
    free(users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_key_order_and_successor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_add_has_a_ceiling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judge_equal_and_absent_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judge_level_generations_differ_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judge_unchanged_until_level_differs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judge_written_row_begins_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_users_once_each_and_without_degraded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
