/* The change feed of the directory: which rows are to be made again, when, and which number goes with the last of them.
 */
#include "workers/sink/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/sample_case.h"
#include "tests/unit/sink/fake_tables.h"

#define ROWS_MAX 3000
#define PAGE     1000 /* rows of an answer */

/* A change of the directory, and a row of active_case or agent. */
struct change {
    enum entity_kind kind;
    unsigned id;
    int64_t no;
};

struct shown {
    unsigned id;
    enum entity_kind kind; /* what it names */
    unsigned named;
};

static struct {
    struct change changes[ROWS_MAX];
    struct shown cases[ROWS_MAX], agents[ROWS_MAX];
    size_t change_count, case_count, agent_count;
    int64_t clock;
    int case_pages, customer_pages, agent_pages; /* asked for */
} tables;

static struct feed *feed;
static struct names *names;
static struct arena *arena;
static struct feed_context context;

/* Ids in the order of their numbers. */
static struct uuid ordered_id(unsigned number)
{
    struct uuid id = {{0}};
    for (int i = 0; i < 4; i++)
        id.b[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

static void put_change(PGresult *rows, const struct change *change)
{
    struct uuid organization = sample_uuid(1), id = ordered_id(change->id);
    int row = PQntuples(rows);
    fake_put_int2(rows, row, 0, (int16_t)change->kind);
    fake_put(rows, row, 1, organization.b, sizeof organization.b);
    fake_put(rows, row, 2, id.b, sizeof id.b);
    fake_put_int2(rows, row, 3, ENTITY_KNOWN);
    fake_put(rows, row, 4, "name", 4);
    for (int column = 5; column < 8; column++)
        fake_put(rows, row, column, NULL, 0);
    fake_put_int8(rows, row, 8, change->no);
}

static int64_t argument_int8(const struct db_args *args, int argument)
{
    uint64_t value;
    memcpy(&value, args->values[argument], sizeof value);
    return (int64_t)be64toh(value);
}

static PGresult *answer_changes(const struct db_args *args)
{
    PGresult *rows = fake_result(9);
    int64_t after = argument_int8(args, 0);
    for (size_t i = 0; i < tables.change_count && PQntuples(rows) < PAGE; i++)
        if (tables.changes[i].no > after)
            put_change(rows, &tables.changes[i]);
    return rows;
}

static bool is_customer(const struct shown *shown)
{
    return shown->kind == ENTITY_CUSTOMER;
}

static PGresult *answer_rows(const struct shown *shown, size_t count, const struct db_args *args, bool customers)
{
    PGresult *rows = fake_result(4);
    struct uuid organization = sample_uuid(1), after;
    memcpy(after.b, args->values[2], sizeof after.b);
    for (size_t i = 0; i < count && PQntuples(rows) < PAGE; i++) {
        struct uuid id = ordered_id(shown[i].id), named = ordered_id(shown[i].named);
        int64_t hash = names_hash(&organization, shown[i].kind, &named);
        int row = PQntuples(rows);
        if (uuid_cmp(&id, &after) <= 0 || (customers && !is_customer(&shown[i])))
            continue;
        fake_put(rows, row, 0, organization.b, sizeof organization.b);
        fake_put(rows, row, 1, id.b, sizeof id.b);
        fake_put_int4(rows, row, 2, 7);
        fake_put(rows, row, 3, &hash, sizeof hash);
    }
    return rows;
}

static PGresult *answer(const char *name, const struct db_args *args)
{
    if (strcmp(name, "feed_read") == 0)
        return answer_changes(args);
    if (strcmp(name, "feed_clock") == 0) {
        PGresult *rows = fake_result(1);
        fake_put_int8(rows, 0, 0, tables.clock);
        return rows;
    }
    if (strcmp(name, "feed_agents") == 0) {
        tables.agent_pages++;
        return answer_rows(tables.agents, tables.agent_count, args, false);
    }
    bool customers = strcmp(name, "feed_customers") == 0;
    tables.customer_pages += customers;
    tables.case_pages += !customers;
    return answer_rows(tables.cases, tables.case_count, args, customers);
}

static int set_up(void **unused CV_UNUSED)
{
    static const int32_t parts[] = {7};
    memset(&fake, 0, sizeof fake);
    memset(&tables, 0, sizeof tables);
    fake.other = answer;
    feed = feed_new(1);
    names = names_new(1u << 20);
    arena = arena_new(1u << 16, 64u << 20);
    context = (struct feed_context){.names = names, .arena = arena, .most = 10000};
    feed_restart(feed, 5, parts, 1, parts, 1);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    feed_free(feed);
    names_free(names);
    arena_free(arena);
    return 0;
}

static void add_change(enum entity_kind kind, unsigned id)
{
    tables.clock = tables.change_count > 0 ? tables.changes[tables.change_count - 1].no + 1 : 6;
    tables.changes[tables.change_count++] = (struct change){kind, id, tables.clock};
}

static void add_case(unsigned id, enum entity_kind kind, unsigned named)
{
    tables.cases[tables.case_count++] = (struct shown){id, kind, named};
}

static void add_agent(unsigned id, enum entity_kind kind, unsigned named)
{
    tables.agents[tables.agent_count++] = (struct shown){id, kind, named};
}

/* One step: how many keys, and the number that goes with them. */
static size_t step(const struct folder_key **out_keys, int64_t *out_no)
{
    struct err err = ERR_INIT;
    size_t count;
    arena_reset(arena);
    assert_int_equal(feed_step(feed, &context, out_keys, &count, out_no, &err), CV_OK);
    return count;
}

/* Steps until the round is done; returns how many rows were handed out. */
static size_t run_round(int64_t expected_no)
{
    const struct folder_key *keys;
    size_t total = 0;
    int64_t no = 0;
    for (int steps = 0; no == 0; steps++) {
        assert_true(steps < 5000);
        total += step(&keys, &no);
    }
    assert_int_equal(no, expected_no);
    assert_int_equal(feed_number(feed), expected_no);
    return total;
}

static void test_step_nothing_changed(void **unused CV_UNUSED)
{
    const struct folder_key *keys;
    int64_t no;
    assert_int_equal(step(&keys, &no), 0);
    assert_int_equal(no, 0);
    assert_int_equal(feed_number(feed), 5);
    assert_in_range(feed_wait_ms(feed), 0, 20);
    assert_int_equal(tables.case_pages + tables.agent_pages + tables.customer_pages, 0);
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
        assert_int_equal(keys[i].part, 7);
        assert_true(uuid_eq(&keys[i].id, &id));
    }
    assert_int_equal(tables.agent_pages, 0); /* an inbox decides over no gate */
    assert_int_equal(tables.customer_pages, 0);
}

static void test_step_each_kind_asks_only_its_tables(void **unused CV_UNUSED)
{
    static const struct {
        enum entity_kind kind;
        size_t rows;
        int customer_pages, case_pages, agent_pages;
    } kinds[] = {
        {ENTITY_CUSTOMER, 1, 1, 0, 0},  {ENTITY_APPLICATION, 0, 0, 0, 0}, {ENTITY_UNIT, 2, 0, 1, 1},
        {ENTITY_WORKSPACE, 1, 0, 1, 1}, {ENTITY_USER, 1, 0, 1, 0},
    };
    add_case(1, ENTITY_CUSTOMER, 1);
    add_case(2, ENTITY_UNIT, 1);
    add_case(3, ENTITY_USER, 1);
    add_agent(1, ENTITY_UNIT, 1);
    add_agent(2, ENTITY_WORKSPACE, 1);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        tables.customer_pages = tables.case_pages = tables.agent_pages = 0;
        add_change(kinds[i].kind, 1);
        assert_int_equal(run_round(tables.clock), kinds[i].rows);
        assert_int_equal(tables.customer_pages, kinds[i].customer_pages);
        assert_int_equal(tables.case_pages, kinds[i].case_pages);
        assert_int_equal(tables.agent_pages, kinds[i].agent_pages);
    }
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
        add_case(i, i % 5 == 0 ? ENTITY_CUSTOMER : ENTITY_UNIT, 1);
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

static void test_restart_begins_the_round_again(void **unused CV_UNUSED)
{
    static const int32_t parts[] = {7};
    const struct folder_key *keys;
    int64_t no;
    add_change(ENTITY_UNIT, 1);
    for (unsigned i = 1; i <= 5; i++)
        add_case(i, ENTITY_UNIT, 1);
    context.most = 3;
    assert_int_equal(step(&keys, &no), 3);
    feed_restart(feed, 5, parts, 1, parts, 1);
    assert_int_equal(feed_number(feed), 5);
    assert_int_equal(run_round(6), 5);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_step_nothing_changed),
        TEST(test_step_no_partitions_asks_nothing),
        TEST(test_step_rows_that_name_what_changed),
        TEST(test_step_each_kind_asks_only_its_tables),
        TEST(test_step_waits_for_batches_folded_before),
        TEST(test_step_takes_what_the_batch_has_room_for),
        TEST(test_step_pages_all_rows_once),
        TEST(test_step_far_behind_makes_every_row_again),
        TEST(test_step_not_that_far_goes_on_page_by_page),
        TEST(test_skip_left_out_of_this_round_only),
        TEST(test_restart_begins_the_round_again),
        TEST(test_step_database_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
