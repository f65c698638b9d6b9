/*
 * feed_fixture.h: a feed whose statements are answered from tables that the test fills, and steps of its rounds.
 */
#ifndef CASEVIEW_TESTS_FEED_FIXTURE_H
#define CASEVIEW_TESTS_FEED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/sample_case.h"
#include "tests/unit/sink/fake_tables.h"
#include "workers/sink/feed.h"

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
    bool assigned; /* a user: not as the one who serves the case */
};

static struct {
    struct change changes[ROWS_MAX];
    struct shown cases[ROWS_MAX], agents[ROWS_MAX];
    size_t change_count, case_count, agent_count;
    int64_t clock;
    int case_pages, found_pages, agent_pages, look_ups; /* asked for */
    struct feed_progress progress;                      /* of partition 7, cases and agents */
} tables;

static struct feed *feed;
static struct names *names;
static struct arena *arena;
static struct feed_context context;

/* Ids in the order of their numbers. */
static inline struct uuid ordered_id(unsigned number)
{
    struct uuid id = {{0}};
    for (int i = 0; i < 4; i++)
        id.b[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

/* Rows and entities belong to the first organization up to this number, then to the second. */
#define FIRST_ORGANIZATION 100000u
/* The row with this number is in partition 8. */
#define OF_ANOTHER_WORKER 99999u

static inline struct uuid organization_of(unsigned number)
{
    return ordered_id(number < FIRST_ORGANIZATION ? 1 : 2);
}

static inline void put_change(PGresult *rows, const struct change *change)
{
    struct uuid organization = organization_of(change->id), id = ordered_id(change->id);
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

static inline int64_t argument_int8(const struct db_args *args, int argument)
{
    uint64_t value;
    memcpy(&value, args->values[argument], sizeof value);
    return (int64_t)be64toh(value);
}

static inline PGresult *answer_changes(const struct db_args *args)
{
    PGresult *rows = fake_result(9);
    int64_t after = argument_int8(args, 0), most = argument_int8(args, 1);
    for (size_t i = 0; i < tables.change_count && PQntuples(rows) < PAGE; i++)
        if (tables.changes[i].no > after && tables.changes[i].no <= most)
            put_change(rows, &tables.changes[i]);
    return rows;
}

static inline struct uuid argument_uuid(const struct db_args *args, int argument)
{
    struct uuid id;
    memcpy(id.b, args->values[argument], sizeof id.b);
    return id;
}

static inline int64_t ref_of(const struct shown *shown)
{
    struct uuid organization = organization_of(shown->id), named = ordered_id(shown->named);
    return names_hash(&organization, shown->kind, &named);
}

static inline void put_row(PGresult *rows, const struct shown *shown)
{
    struct uuid organization = organization_of(shown->id), id = ordered_id(shown->id);
    int64_t ref = ref_of(shown);
    int row = PQntuples(rows);
    fake_put(rows, row, 0, organization.b, sizeof organization.b);
    fake_put(rows, row, 1, id.b, sizeof id.b);
    fake_put_int4(rows, row, 2, shown->id == OF_ANOTHER_WORKER ? 8 : 7);
    fake_put(rows, row, 3, &ref, sizeof ref);
}

/* feed_cases.sql, feed_agents.sql: from a key on, up to an organization. */
static inline PGresult *answer_rows(const struct shown *shown, size_t count, const struct db_args *args)
{
    PGresult *rows = fake_result(4);
    struct uuid from[2] = {argument_uuid(args, 0), argument_uuid(args, 1)}, last = argument_uuid(args, 2);
    for (size_t i = 0; i < count && PQntuples(rows) < PAGE; i++) {
        struct uuid key[2] = {organization_of(shown[i].id), ordered_id(shown[i].id)};
        if (memcmp(key, from, sizeof key) >= 0 && uuid_cmp(&key[0], &last) <= 0)
            put_row(rows, &shown[i]);
    }
    return rows;
}

/* feed_found.sql: by customers, or by the user who serves the case. */
static inline PGresult *answer_found(const struct db_args *args)
{
    PGresult *rows = fake_result(4);
    size_t customers = fake_keys(args, 3, sizeof(int64_t)), users = fake_keys(args, 4, sizeof(struct uuid));
    struct uuid from[2] = {argument_uuid(args, 1), argument_uuid(args, 2)};
    for (size_t i = 0; i < tables.case_count && PQntuples(rows) < PAGE; i++) {
        const struct shown *shown = &tables.cases[i];
        struct uuid key[2] = {organization_of(shown->id), ordered_id(shown->id)}, named = ordered_id(shown->named);
        bool found = false;
        for (size_t j = 0; j < customers; j++)
            found |= shown->kind == ENTITY_CUSTOMER && fake_int8(args, 3, j) == ref_of(shown);
        for (size_t j = 0; j < users; j++) {
            struct uuid organization = fake_uuid(args, 4, j), user = fake_uuid(args, 5, j);
            found |= shown->kind == ENTITY_USER && uuid_eq(&organization, &key[0]) && uuid_eq(&user, &named);
        }
        if (found && memcmp(key, from, sizeof key) >= 0)
            put_row(rows, shown);
    }
    return rows;
}

static inline bool is_named(const struct shown *shown, size_t count, int64_t ref)
{
    for (size_t i = 0; i < count; i++)
        if (ref_of(&shown[i]) == ref && (shown[i].kind != ENTITY_USER || shown[i].assigned))
            return true;
    return false;
}

/* feed_named.sql: users that only serve cases are not there. */
static inline PGresult *answer_named(const struct db_args *args)
{
    PGresult *rows = fake_result(1);
    tables.look_ups++;
    for (size_t i = 0; i < fake_keys(args, 0, sizeof(int64_t)); i++) {
        int64_t ref = fake_int8(args, 0, i);
        if (is_named(tables.cases, tables.case_count, ref) || is_named(tables.agents, tables.agent_count, ref))
            fake_put_int8(rows, PQntuples(rows), 0, ref);
    }
    return rows;
}

static inline PGresult *answer_progress(void)
{
    PGresult *rows = fake_result(7);
    const struct feed_progress *progress = &tables.progress;
    for (int row = 0; row < 2 && progress->change_no > 0; row++) {
        fake_put(rows, row, 0, row == 0 ? "" : "\1", 1);
        fake_put_int4(rows, row, 1, 7);
        fake_put_int8(rows, row, 2, progress->change_no);
        fake_put(rows, row, 3, progress->everything ? "\1" : "", 1);
        fake_put_int4(rows, row, 4, (int32_t)progress->at.stage);
        fake_put(rows, row, 5, progress->at.key[0].b, sizeof(struct uuid));
        fake_put(rows, row, 6, progress->at.key[1].b, sizeof(struct uuid));
    }
    return rows;
}

static inline PGresult *answer_clock(void)
{
    PGresult *rows = fake_result(1);
    fake_put_int8(rows, 0, 0, tables.clock);
    return rows;
}

static inline PGresult *answer(const char *name, const struct db_args *args)
{
    if (strcmp(name, "feed_read") == 0)
        return answer_changes(args);
    if (strcmp(name, "feed_clock") == 0)
        return answer_clock();
    if (strcmp(name, "feed_progress") == 0)
        return answer_progress();
    if (strcmp(name, "feed_named") == 0)
        return answer_named(args);
    if (strcmp(name, "feed_agents") == 0) {
        tables.agent_pages++;
        return answer_rows(tables.agents, tables.agent_count, args);
    }
    if (strcmp(name, "feed_found") == 0) {
        tables.found_pages++;
        return answer_found(args);
    }
    tables.case_pages++;
    return answer_rows(tables.cases, tables.case_count, args);
}

static inline int set_up(void **unused CV_UNUSED)
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

static inline int tear_down(void **unused CV_UNUSED)
{
    feed_free(feed);
    names_free(names);
    arena_free(arena);
    return 0;
}

static inline void add_change(enum entity_kind kind, unsigned id)
{
    tables.clock = tables.change_count > 0 ? tables.changes[tables.change_count - 1].no + 1 : 6;
    tables.changes[tables.change_count++] = (struct change){kind, id, tables.clock};
}

static inline void add_case(unsigned id, enum entity_kind kind, unsigned named)
{
    tables.cases[tables.case_count++] = (struct shown){id, kind, named, false};
}

static inline void add_agent(unsigned id, enum entity_kind kind, unsigned named)
{
    tables.agents[tables.agent_count++] = (struct shown){id, kind, named, false};
}

/* One step: how many keys, and the number that goes with them. */
static inline size_t step(const struct folder_key **out_keys, int64_t *out_no)
{
    struct err err = ERR_INIT;
    size_t count;
    arena_reset(arena);
    assert_int_equal(feed_step(feed, &context, out_keys, &count, out_no, &err), CV_OK);
    return count;
}

/* Steps until the round is done; returns how many rows were handed out. */
static inline size_t run_round(int64_t expected_no)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
