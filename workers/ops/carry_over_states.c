/* Carry-over of cases and agents, whose rows have a state and a revision: see rebuild_carry_over.h. */
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/ops/carry_over_page.h"
#include "workers/sink/rows.h"
#include "workers/source/kafka_options.h"

#define STATE_MAX   ((size_t)4 << 20) /* above every state that can be stored */
#define OPTIONS_MAX 256               /* of a command that is shown */

struct row {
    struct uuid key[2]; /* first: rows are found by it. A case has one */
    int32_t rev, part;
    struct str state; /* STR_NULL: the newer generation has none */
    /* Of a case: */
    int16_t flags;
    int64_t over_at; /* in the older generation; INT64_MIN: not over there */
    /* Of an agent: */
    struct agent_state merged;
    bool has_unit, has_workspaces, degraded;
    struct uuid unit_id;
    struct str refs;
};

enum merged { MERGED_SAME, MERGED_CHANGED, MERGED_OLDER_UNREADABLE, MERGED_NEWER_UNREADABLE };

/*
 * What cases and agents differ in. The columns of a page are the key, state, part and of a case over_at. Those of a
 * loaded row are the key, rev, and the columns below.
 */
struct kind {
    const char *name;
    enum topic topic;
    int ids;
    struct db_statement page, load, write;
    enum merged (*merge)(struct str older, struct row *row, struct arena *arena, struct buf *out_stored);
    enum cv_status (*write_rows)(struct carry_over *carry, const struct kind *kind, struct row *rows, size_t count,
                                 struct err *err);
};

enum { LOADED_STATE = 3, LOADED_PART = 4 }; /* of case_load.sql and agent_load.sql */

/* ---- cases ---- */

static enum merged merge_case(struct str older_state, struct row *row, struct arena *arena CV_UNUSED,
                              struct buf *out_stored)
{
    struct case_state older, newer;
    if (!case_load(older_state, &older))
        return MERGED_OLDER_UNREADABLE;
    if (row->state.ptr == NULL)
        newer = older;
    else if (!case_load(row->state, &newer))
        return MERGED_NEWER_UNREADABLE;
    else if (!case_merge(&newer, &older))
        return MERGED_SAME;
    case_store(&newer, out_stored);
    row->flags = case_row_flags(&newer);
    return MERGED_CHANGED;
}

/* A tombstone is deleted when that of the older generation is. */
static enum cv_status keep_dates(struct carry_over *carry, const struct row *rows, size_t count, struct err *err)
{
    static const struct db_statement statement = {"carry_over_at", sql_carry_over_at};
    struct db_args args;
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->key[0], sizeof *rows, count);
    db_arg_time_array(&args, &rows->over_at, sizeof *rows, count);
    return db_exec(carry->target, &statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static enum cv_status write_cases(struct carry_over *carry, const struct kind *kind, struct row *rows, size_t count,
                                  struct err *err)
{
    struct db_args args;
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->key[0], sizeof *rows, count);
    db_arg_int4_array(&args, &rows->rev, sizeof *rows, count);
    db_arg_int4_array(&args, &rows->part, sizeof *rows, count);
    db_arg_int2_array(&args, &rows->flags, sizeof *rows, count);
    db_arg_bytea_array(&args, &rows->state, sizeof *rows, count);
    enum cv_status status = db_exec(carry->target, &kind->write, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
    return status == CV_OK ? keep_dates(carry, rows, count, err) : status;
}

static const struct kind cases = {
    .name = "case",
    .topic = TOPIC_CASES,
    .ids = 1,
    .page = {"carry_cases", sql_carry_cases},
    .load = {"case_load", sql_case_load},
    .write = {"case_write", sql_case_write},
    .merge = merge_case,
    .write_rows = write_cases,
};

/* ---- agents ---- */

static enum merged merge_agent(struct str older_state, struct row *row, struct arena *arena, struct buf *out_stored)
{
    struct agent_state older;
    if (!agent_load(older_state, arena, &older))
        return MERGED_OLDER_UNREADABLE;
    if (row->state.ptr == NULL)
        row->merged = older;
    else if (!agent_load(row->state, arena, &row->merged))
        return MERGED_NEWER_UNREADABLE;
    else if (!agent_merge(&row->merged, &older))
        return MERGED_SAME;
    agent_store(&row->merged, out_stored);
    return MERGED_CHANGED;
}

/* The columns for readers, with the names of the newer generation. */
static enum cv_status make_columns(struct carry_over *carry, struct row *rows, size_t count, struct err *err)
{
    struct gate_row gates;
    names_clear(carry->names);
    for (size_t i = 0; i < count; i++)
        agent_want_names(&rows[i].key[0], &rows[i].merged, carry->names);
    enum cv_status status = names_load(carry->names, carry->target, carry->arena, err);
    if (status != CV_OK)
        return status;
    gate_row_init(&gates);
    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        agent_make_row(&row->key[0], &row->merged, carry->names, &gates);
        row->has_unit = gates.gates.has_unit;
        row->has_workspaces = gates.gates.has_workspaces;
        row->unit_id = gates.gates.current_unit_id;
        row->degraded = agent_is_degraded(&row->merged);
        row->refs = arena_str(carry->arena, (struct str){gates.refs.len > 0 ? gates.refs.data : "", gates.refs.len});
    }
    gate_row_done(&gates);
    return CV_OK;
}

static enum cv_status write_agents(struct carry_over *carry, const struct kind *kind, struct row *rows, size_t count,
                                   struct err *err)
{
    struct db_args args;
    enum cv_status status = make_columns(carry, rows, count, err);
    if (status != CV_OK)
        return status;
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->key[0], sizeof *rows, count);
    db_arg_uuid_array(&args, &rows->key[1], sizeof *rows, count);
    db_arg_int4_array(&args, &rows->rev, sizeof *rows, count);
    db_arg_int4_array(&args, &rows->part, sizeof *rows, count);
    db_arg_uuid_null_array(&args, &rows->unit_id, &rows->has_unit, sizeof *rows, count);
    db_arg_bool_array(&args, &rows->has_workspaces, sizeof *rows, count);
    db_arg_bool_array(&args, &rows->degraded, sizeof *rows, count);
    db_arg_bytea_array(&args, &rows->refs, sizeof *rows, count);
    db_arg_bytea_array(&args, &rows->state, sizeof *rows, count);
    return db_exec(carry->target, &kind->write, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static const struct kind agents = {
    .name = "agent",
    .topic = TOPIC_AGENTS,
    .ids = 2,
    .page = {"carry_agents", sql_carry_agents},
    .load = {"agent_load", sql_agent_load},
    .write = {"agent_write", sql_agent_write},
    .merge = merge_agent,
    .write_rows = write_agents,
};

/* ---- one page ---- */

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof((struct row *)NULL)->key);
}

static void read_key(const struct kind *kind, const struct db_result *result, int row, struct uuid out_key[2])
{
    out_key[1] = (struct uuid){0};
    for (int i = 0; i < kind->ids; i++)
        out_key[i] = db_uuid(result, row, i);
}

/* The rows of the page as they are in the newer generation, by key. *out_loaded holds their states. */
static enum cv_status load(struct carry_over *carry, const struct kind *kind, const struct db_result *page,
                           struct row *rows, struct db_result **out_loaded, struct err *err)
{
    struct db_args args;
    size_t count = (size_t)db_rows(page);
    for (int i = 0; i < db_rows(page); i++) {
        int over_at = kind->ids + 2;
        rows[i] = (struct row){.part = db_int4(page, i, kind->ids + 1), .state = STR_NULL, .over_at = INT64_MIN};
        read_key(kind, page, i, rows[i].key);
        if (kind == &cases && !db_is_null(page, i, over_at))
            rows[i].over_at = db_time(page, i, over_at);
    }
    db_args_init(&args, carry->arena);
    for (int i = 0; i < kind->ids; i++)
        db_arg_uuid_array(&args, &rows->key[i], sizeof *rows, count);
    enum cv_status status = db_exec(carry->target, &kind->load, &args, OPERATION_QUERY_TIMEOUT_MS, out_loaded, err);
    if (status != CV_OK)
        return status;
    for (int i = 0; i < db_rows(*out_loaded); i++) {
        struct uuid key[2];
        read_key(kind, *out_loaded, i, key);
        struct row *row = bsearch(key, rows, count, sizeof *rows, compare_keys);
        assert(row != NULL);
        row->rev = db_int4(*out_loaded, i, kind->ids);
        row->state = db_str(*out_loaded, i, LOADED_STATE);
        row->part = db_int4(*out_loaded, i, LOADED_PART);
    }
    return CV_OK;
}

/*
 * The owner of a row's partition renders it, and only a partition that has a cursor has an owner for whom `prepare`
 * waits. The older generation may have read a larger topic, or one that has just grown: its other rows go to the first
 * partition, until the worker that folds the next event of theirs writes its own.
 */
static enum cv_status place_new_rows(struct carry_over *carry, const struct kind *kind, struct row *rows, size_t count,
                                     struct err *err)
{
    static const struct db_statement statement = {"carry_parts", sql_carry_parts};
    const struct str topic = str_of(config_text(carry->rebuild->operation.config, topic_options[kind->topic]));
    struct db_args args;
    struct db_result *result;
    bool any_new = false;
    for (size_t i = 0; i < count; i++)
        any_new |= rows[i].state.ptr == NULL;
    if (!any_new)
        return CV_OK;
    db_args_init(&args, carry->arena);
    db_arg_int4(&args, carry->to);
    db_arg_text(&args, topic);
    enum cv_status status = db_exec(carry->target, &statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int parts = db_rows(result);
    if (parts == 0) {
        err_set(err, "generation %d was dropped meanwhile", carry->to); /* rebuild_check_topics() found some */
        status = CV_FATAL;
    }
    for (size_t i = 0; i < count && parts > 0; i++) {
        bool found = rows[i].state.ptr != NULL;
        for (int row = 0; row < parts && !found; row++)
            found = db_int4(result, row, 0) == rows[i].part;
        if (!found)
            rows[i].part = db_int4(result, 0, 0);
    }
    db_result_free(result);
    return status;
}

static enum cv_status unreadable(const struct kind *kind, int32_t gen, const struct row *row, struct err *err)
{
    struct buf options CV_CLEANUP(buf_done);
    char id[UUID_TEXT_LEN + 1];
    buf_init(&options, OPTIONS_MAX);
    uuid_format(&row->key[kind->ids - 1], id);
    if (kind == &cases)
        operation_put_case(&options, &row->key[0]);
    else
        operation_put_agent(&options, &row->key[0], &row->key[1]);
    err_set(err,
            "the state of %s %s in generation %d cannot be read by this version: caseview repair --generation %d%s",
            kind->name, id, gen, gen, options.data);
    return CV_FATAL;
}

/* Moves the rows that have changed to the front. */
static enum cv_status merge_all(struct carry_over *carry, const struct kind *kind, const struct db_result *page,
                                struct row *rows, size_t *out_changed, struct err *err)
{
    struct buf stored CV_CLEANUP(buf_done);
    size_t changed = 0;
    buf_init(&stored, STATE_MAX);
    for (int i = 0; i < db_rows(page); i++) {
        struct row *row = &rows[i];
        buf_reset(&stored);
        switch (kind->merge(db_str(page, i, kind->ids), row, carry->arena, &stored)) {
        case MERGED_OLDER_UNREADABLE:
            return unreadable(kind, carry->from, row, err);
        case MERGED_NEWER_UNREADABLE:
            return unreadable(kind, carry->to, row, err);
        case MERGED_SAME:
            break;
        case MERGED_CHANGED:
            row->state = arena_str(carry->arena, (struct str){stored.data, stored.len});
            row->rev++;
            rows[changed++] = *row;
            break;
        }
        if (arena_full(carry->arena)) {
            err_set(err, "the states of one page need more than %zu MiB", CARRY_OVER_ARENA_MAX >> 20);
            return CV_FATAL;
        }
    }
    *out_changed = changed;
    return CV_OK;
}

static enum cv_status carry_rows(struct carry_over *carry, const struct kind *kind, struct rebuild_step *step,
                                 const struct db_result *page, struct err *err)
{
    size_t count = (size_t)db_rows(page), changed = 0;
    struct row *rows = arena_alloc(carry->arena, (count + 1) * sizeof *rows);
    struct db_result *loaded = NULL;
    struct uuid last[2];
    assert(rows != NULL);
    enum cv_status status = load(carry, kind, page, rows, &loaded, err);
    if (count > 0)
        read_key(kind, page, (int)count - 1, last);
    if (status == CV_OK)
        status = place_new_rows(carry, kind, rows, count, err);
    if (status == CV_OK)
        status = merge_all(carry, kind, page, rows, &changed, err);
    db_result_free(loaded);
    if (status == CV_OK)
        status = carry_over_begin(carry, err);
    if (status == CV_OK && changed > 0)
        status = kind->write_rows(carry, kind, rows, changed, err);
    if (status != CV_OK)
        return status;
    if (count > 0)
        carry_over_advance(step, (int)count, changed, last, (size_t)kind->ids * sizeof *last);
    return carry_over_commit(carry, step, err);
}

static enum cv_status carry_page(struct carry_over *carry, const struct kind *kind, struct rebuild_step *step,
                                 bool *out_more, struct err *err)
{
    struct uuid after[2] = {0};
    struct db_args args;
    struct db_result *page;
    if (step->has_after)
        memcpy(after, step->after_key, step->after_len);
    db_args_init(&args, carry->arena);
    for (int i = 0; i < kind->ids; i++)
        db_arg_uuid(&args, &after[i]);
    db_arg_bool(&args, !step->has_after);
    enum cv_status status = db_exec(carry->source, &kind->page, &args, OPERATION_QUERY_TIMEOUT_MS, &page, err);
    if (status != CV_OK)
        return status;
    *out_more = db_rows(page) == CARRY_OVER_PAGE;
    status = carry_rows(carry, kind, step, page, err);
    db_result_free(page);
    return status;
}

enum cv_status carry_over_cases(struct carry_over *carry, struct rebuild_step *step, bool *out_more, struct err *err)
{
    return carry_page(carry, &cases, step, out_more, err);
}

enum cv_status carry_over_agents(struct carry_over *carry, struct rebuild_step *step, bool *out_more, struct err *err)
{
    return carry_page(carry, &agents, step, out_more, err);
}
