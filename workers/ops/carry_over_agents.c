/* Carry-over of agents: see rebuild_carry_over.h. */
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/ops/carry_over_page.h"
#include "workers/sink/rows.h"

#define STATE_MAX  ((size_t)4 << 20) /* above every state that can be stored */
#define STATES_MAX ((size_t)1 << 30) /* of one page in memory */

static const struct db_statement page_statement = {"carry_agents", sql_carry_agents};
static const struct db_statement load_statement = {"agent_load", sql_agent_load};
static const struct db_statement write_statement = {"agent_write", sql_agent_write};

enum { COL_ORGANIZATION, COL_USER, COL_STATE, COL_PART };                         /* of carry_agents.sql */
enum { LOADED_ORGANIZATION, LOADED_USER, LOADED_REV, LOADED_STATE, LOADED_PART }; /* of agent_load.sql */

struct key {
    struct uuid organization_id, user_id;
};

struct row {
    struct key key; /* first: rows are found by it */
    int32_t rev, part;
    struct str state; /* STR_NULL: the newer generation has none */
    struct agent_state merged;
    bool has_unit, has_workspaces, degraded;
    struct uuid unit_id;
    struct str refs;
};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct key));
}

static enum cv_status load(struct carry_over *carry, const struct db_result *page, struct db_result **out_result,
                           struct row *rows, struct err *err)
{
    struct db_args args;
    size_t count = (size_t)db_rows(page);
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct row){
            .key = {db_uuid(page, (int)i, COL_ORGANIZATION), db_uuid(page, (int)i, COL_USER)},
            .part = db_int4(page, (int)i, COL_PART),
            .state = STR_NULL,
        };
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->key.organization_id, sizeof *rows, count);
    db_arg_uuid_array(&args, &rows->key.user_id, sizeof *rows, count);
    enum cv_status status = db_exec(carry->target, &load_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
    if (status != CV_OK)
        return status;
    for (int i = 0; i < db_rows(*out_result); i++) {
        struct key key = {db_uuid(*out_result, i, LOADED_ORGANIZATION), db_uuid(*out_result, i, LOADED_USER)};
        struct row *row = bsearch(&key, rows, count, sizeof *rows, compare_keys);
        assert(row != NULL);
        row->rev = db_int4(*out_result, i, LOADED_REV);
        row->part = db_int4(*out_result, i, LOADED_PART);
        row->state = db_str(*out_result, i, LOADED_STATE);
    }
    return CV_OK;
}

static enum cv_status unreadable(int32_t gen, const struct key *key, struct err *err)
{
    char organization[UUID_TEXT_LEN + 1], user[UUID_TEXT_LEN + 1];
    uuid_format(&key->organization_id, organization);
    uuid_format(&key->user_id, user);
    err_set(err,
            "the state of agent %s in generation %d cannot be read by this version: caseview repair --user %s "
            "--organization %s --generation %d",
            user, gen, user, organization, gen);
    return CV_FATAL;
}

static enum cv_status merge(struct carry_over *carry, struct str from, struct row *row, struct arena *states,
                            struct buf *stored, bool *out_changed, struct err *err)
{
    struct agent_state older;
    if (!agent_load(from, states, &older))
        return unreadable(carry->from, &row->key, err);
    if (row->state.ptr == NULL)
        row->merged = older;
    else if (!agent_load(row->state, states, &row->merged))
        return unreadable(carry->to, &row->key, err);
    *out_changed = row->state.ptr == NULL || agent_merge(&row->merged, &older);
    if (arena_full(states)) {
        err_set(err, "the agents of one page need more than %zu MiB", STATES_MAX >> 20);
        return CV_FATAL;
    }
    if (!*out_changed)
        return CV_OK;
    buf_reset(stored);
    agent_store(&row->merged, stored);
    row->state = arena_str(carry->arena, (struct str){stored->data, stored->len});
    row->rev++;
    return CV_OK;
}

static enum cv_status merge_all(struct carry_over *carry, const struct db_result *page, struct row *rows,
                                struct arena *states, size_t *out_changed, struct err *err)
{
    struct buf stored CV_CLEANUP(buf_done);
    size_t changed = 0;
    enum cv_status status = CV_OK;
    buf_init(&stored, STATE_MAX);
    for (int i = 0; i < db_rows(page) && status == CV_OK; i++) {
        bool differs = false;
        status = merge(carry, db_str(page, i, COL_STATE), &rows[i], states, &stored, &differs, err);
        if (differs)
            rows[changed++] = rows[i];
    }
    *out_changed = changed;
    return status;
}

/* The columns for readers, with the names of the newer generation. */
static enum cv_status make_columns(struct carry_over *carry, struct row *rows, size_t count, struct err *err)
{
    struct gate_row gates;
    names_clear(carry->names);
    for (size_t i = 0; i < count; i++)
        agent_want_names(&rows[i].key.organization_id, &rows[i].merged, carry->names);
    enum cv_status status = names_load(carry->names, carry->target, carry->arena, err);
    if (status != CV_OK)
        return status;
    gate_row_init(&gates);
    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        agent_make_row(&row->key.organization_id, &row->merged, carry->names, &gates);
        row->has_unit = gates.gates.has_unit;
        row->has_workspaces = gates.gates.has_workspaces;
        row->unit_id = gates.gates.current_unit_id;
        row->degraded = agent_is_degraded(&row->merged);
        row->refs = arena_str(carry->arena, (struct str){gates.refs.len > 0 ? gates.refs.data : "", gates.refs.len});
    }
    gate_row_done(&gates);
    return CV_OK;
}

static enum cv_status write_rows(struct carry_over *carry, struct row *rows, size_t count, struct err *err)
{
    struct db_args args;
    if (count == 0)
        return CV_OK;
    enum cv_status status = make_columns(carry, rows, count, err);
    if (status != CV_OK)
        return status;
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->key.organization_id, sizeof *rows, count);
    db_arg_uuid_array(&args, &rows->key.user_id, sizeof *rows, count);
    db_arg_int4_array(&args, &rows->rev, sizeof *rows, count);
    db_arg_int4_array(&args, &rows->part, sizeof *rows, count);
    db_arg_uuid_null_array(&args, &rows->unit_id, &rows->has_unit, sizeof *rows, count);
    db_arg_bool_array(&args, &rows->has_workspaces, sizeof *rows, count);
    db_arg_bool_array(&args, &rows->degraded, sizeof *rows, count);
    db_arg_bytea_array(&args, &rows->refs, sizeof *rows, count);
    db_arg_bytea_array(&args, &rows->state, sizeof *rows, count);
    return db_exec(carry->target, &write_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static enum cv_status carry_rows(struct carry_over *carry, struct rebuild_step *step, const struct db_result *page,
                                 struct arena *states, struct err *err)
{
    size_t count = (size_t)db_rows(page), changed = 0;
    struct row *rows = arena_alloc(carry->arena, (count + 1) * sizeof *rows);
    struct db_result *loaded = NULL;
    struct key last = {0};
    assert(rows != NULL);
    enum cv_status status = load(carry, page, &loaded, rows, err);
    if (count > 0)
        last = rows[count - 1].key;
    if (status == CV_OK)
        status = merge_all(carry, page, rows, states, &changed, err);
    db_result_free(loaded);
    if (status == CV_OK)
        status = db_script(carry->target, "BEGIN", OPERATION_QUERY_TIMEOUT_MS, err);
    if (status == CV_OK)
        status = write_rows(carry, rows, changed, err);
    if (status != CV_OK)
        return status;
    if (count > 0)
        carry_over_advance(step, (int)count, changed, &last, sizeof last);
    return carry_over_commit(carry, step, err);
}

enum cv_status carry_over_agents(struct carry_over *carry, struct rebuild_step *step, bool *out_more, struct err *err)
{
    struct uuid after[2];
    struct db_args args;
    struct db_result *page;
    carry_over_key(step, after, 2);
    db_args_init(&args, carry->arena);
    db_arg_uuid(&args, &after[0]);
    db_arg_uuid(&args, &after[1]);
    db_arg_bool(&args, !step->has_after);
    enum cv_status status = db_exec(carry->source, &page_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &page, err);
    if (status != CV_OK)
        return status;
    *out_more = db_rows(page) == CARRY_OVER_PAGE;
    struct arena *states = arena_new(1u << 18, STATES_MAX);
    status = carry_rows(carry, step, page, states, err);
    arena_free(states);
    db_result_free(page);
    return status;
}
