/* The change feed after a claim: it continues where the round was. */
#include "tests/unit/sink/feed_fixture.h"

static const int32_t seven[] = {7};

/* What a batch stores after each step, and a claim: the steps of one round, never twice the same row. */
static void run_with_claims(int64_t expected_no, size_t expected_rows)
{
    const struct folder_key *keys;
    size_t total = 0;
    int64_t no = 0;
    for (int steps = 0; no == 0; steps++) {
        assert_true(steps < 5000);
        size_t count = step(&keys, &no);
        total += count;
        if (no == 0 && (count > 0 || feed_has_rows(feed))) {
            assert_true(feed_progress(feed, &tables.progress));
            feed_restart(feed, 5, seven, 1, seven, 1);
        }
    }
    assert_int_equal(no, expected_no);
    assert_int_equal(total, expected_rows);
}

static void fill_for_claims(void)
{
    add_change(ENTITY_UNIT, 1);
    add_change(ENTITY_CUSTOMER, 1);
    add_change(ENTITY_USER, 1);
    for (unsigned i = 1; i <= 1500; i++)
        add_case(i, i % 3 == 0 ? ENTITY_CUSTOMER : i % 3 == 1 ? ENTITY_UNIT : ENTITY_USER, 1);
    for (unsigned i = 1; i <= 300; i++)
        add_agent(i, ENTITY_UNIT, 1);
    context.most = 7;
}

static void test_restart_continues_where_the_round_was(void **unused CV_UNUSED)
{
    fill_for_claims();
    run_with_claims(8, 1800);
    assert_false(feed_progress(feed, &tables.progress));
}

static void test_restart_continues_a_round_of_everything(void **unused CV_UNUSED)
{
    fill_for_claims();
    for (unsigned i = 0; i < PAGE; i++)
        add_change(ENTITY_USER, 5000 + i);
    tables.clock = 5 + FEED_FAR + 1;
    run_with_claims(5 + FEED_FAR + 1, 1800);
}

/* Changes that came since belong to the next round. */
static void test_restart_finishes_the_round_that_began(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    fill_for_claims();
    (void)step(&keys, &no);
    assert_true(feed_progress(feed, &tables.progress));
    add_change(ENTITY_INBOX, 1);
    add_case(2000, ENTITY_INBOX, 1);
    feed_restart(feed, 5, seven, 1, seven, 1);
    assert_int_equal(run_round(8), 1800 - 7);
    assert_int_equal(run_round(9), 1);
}

/* Its changes changed again: nothing of them is left to do in the round that began. */
static void test_restart_ends_a_round_without_changes(void **unused CV_UNUSED)
{
    tables.progress = (struct feed_progress){8, false, {FEED_STAGE_CASES, {{{0}}, {{0}}}}};
    add_change(ENTITY_UNIT, 1);
    tables.changes[0].no = 9;
    add_case(1, ENTITY_UNIT, 1);
    feed_restart(feed, 5, seven, 1, seven, 1);
    assert_int_equal(run_round(8), 0);
    assert_int_equal(run_round(9), 1);
}

/* What a round of everything had not reached, another one has to look for with the index from the start. */
static void test_restart_after_a_round_of_everything_looks_for_all(void **unused CV_UNUSED)
{
    fill_for_claims();
    tables.progress = (struct feed_progress){8, true, {FEED_STAGE_CASES, {ordered_id(1), ordered_id(700)}}};
    feed_restart(feed, 5, seven, 1, seven, 1);
    assert_int_equal(run_round(8), 1800);
}

/* A partition that another worker had: its rows are rendered from the start, and those of ours are not again. */
static void test_restart_with_a_gained_partition(void **unused CV_UNUSED)
{
    static const int32_t both[] = {8, 7};
    add_change(ENTITY_INBOX, 1);
    for (unsigned i = 1; i <= 5; i++)
        add_case(i, ENTITY_INBOX, 1);
    add_case(OF_ANOTHER_WORKER, ENTITY_INBOX, 1);
    tables.progress = (struct feed_progress){6, false, {FEED_STAGE_CASES, {ordered_id(1), ordered_id(4)}}};
    feed_restart(feed, 5, both, 2, both, 2);
    assert_int_equal(run_round(6), 2 + 1);
}

static void test_restart_without_progress_begins_again(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    add_change(ENTITY_UNIT, 1);
    for (unsigned i = 1; i <= 5; i++)
        add_case(i, ENTITY_UNIT, 1);
    context.most = 3;
    assert_int_equal(step(&keys, &no), 3);
    tables.progress = (struct feed_progress){5, false, {FEED_STAGE_AGENTS, {{{0}}, {{0}}}}}; /* of an earlier round */
    feed_restart(feed, 5, seven, 1, seven, 1);
    assert_int_equal(feed_number(feed), 5);
    assert_int_equal(run_round(6), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_restart_continues_where_the_round_was),
        TEST(test_restart_continues_a_round_of_everything),
        TEST(test_restart_finishes_the_round_that_began),
        TEST(test_restart_ends_a_round_without_changes),
        TEST(test_restart_after_a_round_of_everything_looks_for_all),
        TEST(test_restart_with_a_gained_partition),
        TEST(test_restart_without_progress_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
