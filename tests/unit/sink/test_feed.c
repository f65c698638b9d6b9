/*
 * The change feed of the directory: which rows are to be made again, when, and which number goes with the last of them.
 */
#include "tests/unit/sink/feed_fixture.h"

#include "caseview/clock.h"

static void test_step_nothing_changed(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    assert_int_equal(step(&keys, &no), 0);
    assert_int_equal(no, 0);
    assert_int_equal(feed_number(feed), 5);
    assert_in_range(feed_wait_ms(feed), 0, 20);
    assert_int_equal(tables.case_pages + tables.agent_pages + tables.found_pages, 0);
}

/* Waits until the lag is so long. */
static void wait_lag(int64_t ms)
{
    int64_t deadline = clock_mono_ms() + 10000;
    while (feed_lag_ms(feed) < ms)
        assert_true(clock_mono_ms() < deadline);
}

static void test_lag_counts_from_the_last_time_that_rows_showed_everything(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    wait_lag(25);
    step(&keys, &no); /* nothing changed */
    assert_in_range(feed_lag_ms(feed), 0, 24);
    add_change(ENTITY_INBOX, 1);
    for (unsigned i = 1; i <= 20; i++)
        add_case(i, ENTITY_INBOX, 1);
    context.closed = 1; /* a batch with the older names is in flight */
    wait_lag(25);
    step(&keys, &no);
    assert_in_range(feed_lag_ms(feed), 25, 10000);
    context.committed = 1;
    run_round(6);
    assert_in_range(feed_lag_ms(feed), 0, 9999);
    feed_restart(feed, 5, NULL, 0, NULL, 0);
    assert_int_equal(feed_lag_ms(feed), 0);
}

static void test_step_no_partitions_asks_nothing(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    feed_restart(feed, 5, NULL, 0, NULL, 0);
    add_change(ENTITY_UNIT, 1);
    assert_int_equal(step(&keys, &no), 0);
    assert_int_equal(fake.queries, 0);
    assert_int_equal(feed_wait_ms(feed), -1);
}

static void test_step_rows_that_name_what_changed(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    add_change(ENTITY_INBOX, 1);
    for (unsigned i = 1; i <= 20; i++)
        add_case(i, ENTITY_INBOX, i % 2);
    add_agent(1, ENTITY_INBOX, 1);
    assert_int_equal(step(&keys, &no), 10);
    assert_int_equal(no, 6); /* with the last row */
    for (unsigned i = 0; i < 10; i++) {
        struct uuid id = ordered_id(1 + 2 * i);
        assert_int_equal(keys[i].topic, TOPIC_CASES);
        assert_true(uuid_eq(&keys[i].id, &id));
    }
    assert_int_equal(tables.agent_pages, 0); /* an inbox decides over no gate */
    assert_int_equal(tables.found_pages, 0);
}

static void test_step_each_kind_asks_only_its_tables(void **unused CV_UNUSED)
{
    static const struct {
        enum entity_kind kind;
        unsigned id;
        size_t rows;
        int look_ups, found_pages, case_pages, agent_pages;
    } kinds[] = {
        {ENTITY_CUSTOMER, 1, 1, 0, 1, 0, 0},  {ENTITY_APPLICATION, 1, 0, 0, 0, 0, 0},
        {ENTITY_UNIT, 1, 2, 1, 0, 1, 1},      {ENTITY_WORKSPACE, 1, 1, 1, 0, 0, 1},
        {ENTITY_USER, 1, 1, 1, 1, 0, 0},      {ENTITY_USER, 2, 1, 1, 0, 1, 0}, /* another user serves the case */
        {ENTITY_CUSTOMER, 9, 0, 0, 1, 0, 0},  {ENTITY_UNIT, 9, 0, 1, 0, 0, 0}, /* no row has ever named these */
        {ENTITY_WORKSPACE, 9, 0, 1, 0, 0, 0}, {ENTITY_USER, 9, 0, 1, 1, 0, 0},
        {ENTITY_INBOX, 9, 0, 1, 0, 0, 0},
    };
    add_case(1, ENTITY_CUSTOMER, 1);
    add_case(2, ENTITY_UNIT, 1);
    add_case(3, ENTITY_USER, 1);
    add_case(4, ENTITY_USER, 2);
    tables.cases[3].assigned = true;
    add_agent(1, ENTITY_UNIT, 1);
    add_agent(2, ENTITY_WORKSPACE, 1);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        tables.look_ups = tables.found_pages = tables.case_pages = tables.agent_pages = 0;
        add_change(kinds[i].kind, kinds[i].id);
        assert_int_equal(run_round(tables.clock), kinds[i].rows);
        assert_int_equal(tables.look_ups, kinds[i].look_ups);
        assert_int_equal(tables.found_pages, kinds[i].found_pages);
        assert_int_equal(tables.case_pages, kinds[i].case_pages);
        assert_int_equal(tables.agent_pages, kinds[i].agent_pages);
    }
}

static void test_step_reads_rows_of_the_organization_only(void **unused CV_UNUSED)
{
    add_case(1, ENTITY_INBOX, 1);
    for (unsigned i = 0; i < 2500; i++)
        add_case(FIRST_ORGANIZATION + i, ENTITY_INBOX, FIRST_ORGANIZATION + i % 2);
    add_change(ENTITY_INBOX, 1);
    assert_int_equal(run_round(6), 1);
    assert_int_equal(tables.case_pages, 1);
    add_change(ENTITY_INBOX, FIRST_ORGANIZATION);
    assert_int_equal(run_round(7), 1250);
    assert_int_equal(tables.case_pages, 1 + 3);
    add_change(ENTITY_INBOX, 1); /* in one round */
    add_change(ENTITY_INBOX, FIRST_ORGANIZATION + 1);
    assert_int_equal(run_round(9), 1 + 1250);
    assert_int_equal(tables.case_pages, 4 + 1 + 3);
}

static void test_step_leaves_rows_of_other_partitions(void **unused CV_UNUSED)
{
    add_change(ENTITY_INBOX, 1);
    add_case(1, ENTITY_INBOX, 1);
    add_case(OF_ANOTHER_WORKER, ENTITY_INBOX, 1);
    assert_int_equal(run_round(6), 1);
}

/* A row that a batch in flight writes still shows the old name: it must be there before rows are looked up. */
static void test_step_waits_for_batches_folded_before(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    add_change(ENTITY_UNIT, 1);
    add_case(1, ENTITY_UNIT, 1);
    context.closed = 4;
    context.committed = 3;
    assert_int_equal(step(&keys, &no), 0);
    assert_int_equal(tables.case_pages, 0);
    assert_int_equal(feed_wait_ms(feed), -1); /* only a commit helps */
    context.closed = 5;                       /* a batch that was closed later has the new names */
    assert_int_equal(step(&keys, &no), 0);
    context.committed = 4;
    assert_int_equal(run_round(6), 1);
}

static void test_step_takes_what_the_batch_has_room_for(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    add_change(ENTITY_UNIT, 1);
    for (unsigned i = 1; i <= 5; i++)
        add_case(i, ENTITY_UNIT, 1);
    context.most = 0;
    assert_int_equal(step(&keys, &no), 0);
    context.most = 2;
    assert_int_equal(step(&keys, &no), 2);
    assert_int_equal(no, 0); /* more are to come */
    assert_true(feed_has_rows(feed));
    assert_int_equal(step(&keys, &no), 2);
    assert_int_equal(run_round(6), 1);
    assert_false(feed_has_rows(feed));
}

static void test_step_pages_all_rows_once(void **unused CV_UNUSED)
{
    add_change(ENTITY_UNIT, 1);
    add_change(ENTITY_CUSTOMER, 1);
    for (unsigned i = 1; i <= 2500; i++)
        add_case(i, i % 5 == 0 ? ENTITY_CUSTOMER : ENTITY_UNIT, 1); /* 500 are found by the index, 2,000 are not */
    for (unsigned i = 1; i <= 1000; i++)
        add_agent(i, ENTITY_UNIT, 1);
    assert_int_equal(run_round(7), 2500 + 1000);
    assert_int_equal(tables.case_pages, 3);
    assert_int_equal(tables.agent_pages, 2); /* exactly a page: the next one is empty */
}

static void test_step_far_behind_makes_every_row_again(void **unused CV_UNUSED)
{
    for (unsigned i = 0; i < PAGE; i++)
        add_change(ENTITY_USER, 5000 + i); /* no row names them */
    tables.clock = 5 + FEED_FAR + 1;
    for (unsigned i = 1; i <= 50; i++)
        add_case(i, ENTITY_UNIT, 1);
    add_agent(1, ENTITY_UNIT, 1);
    assert_int_equal(run_round(5 + FEED_FAR + 1), 51);
}

static void test_step_not_that_far_goes_on_page_by_page(void **unused CV_UNUSED)
{
    for (unsigned i = 0; i < PAGE + 10; i++)
        add_change(ENTITY_USER, 5000 + i);
    add_case(1, ENTITY_UNIT, 1);
    assert_int_equal(run_round(5 + PAGE), 0);
    assert_int_equal(run_round(5 + PAGE + 10), 0);
}

static void test_skip_left_out_of_this_round_only(void **unused CV_UNUSED)
{
    static const int32_t parts[] = {7};
    add_change(ENTITY_UNIT, 1);
    for (unsigned i = 1; i <= 3; i++)
        add_case(i, ENTITY_UNIT, 1);
    feed_skip(feed, &(struct folder_key){.topic = TOPIC_CASES, .id = ordered_id(2)});
    feed_restart(feed, 5, parts, 1, parts, 1); /* all starts again after the refusal */
    assert_int_equal(run_round(6), 2);
    add_change(ENTITY_UNIT, 1); /* a later change names it again */
    assert_int_equal(run_round(7), 3);
}

static void test_step_database_away(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    struct err err = ERR_INIT;
    size_t count;
    int64_t no;
    fake.away = true;
    assert_int_equal(feed_step(feed, &context, &keys, &count, &no, &err), CV_RETRY);
    assert_int_equal(count, 0);
    assert_int_equal(no, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_step_nothing_changed),
        TEST(test_lag_counts_from_the_last_time_that_rows_showed_everything),
        TEST(test_step_no_partitions_asks_nothing),
        TEST(test_step_rows_that_name_what_changed),
        TEST(test_step_each_kind_asks_only_its_tables),
        TEST(test_step_reads_rows_of_the_organization_only),
        TEST(test_step_leaves_rows_of_other_partitions),
        TEST(test_step_waits_for_batches_folded_before),
        TEST(test_step_takes_what_the_batch_has_room_for),
        TEST(test_step_pages_all_rows_once),
        TEST(test_step_far_behind_makes_every_row_again),
        TEST(test_step_not_that_far_goes_on_page_by_page),
        TEST(test_skip_left_out_of_this_round_only),
        TEST(test_step_database_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
