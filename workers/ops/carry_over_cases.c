/* Carry-over of cases: see rebuild_carry_over.h. */
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/ops/carry_over_page.h"
#include "workers/sink/rows.h"

#define STATE_MAX ((size_t)1 << 20) /* above every state that can be stored */

static const struct db_statement page_statement = {"carry_cases", sql_carry_cases};
static const struct db_statement load_statement = {"case_load", sql_case_load};
static const struct db_statement write_statement = {"case_write", sql_case_write};

enum { COL_CASE, COL_STATE, COL_PART };                                    /* of carry_cases.sql */
enum { LOADED_CASE, LOADED_REV, LOADED_FLAGS, LOADED_STATE, LOADED_PART }; /* of case_load.sql */

struct row {
    struct uuid case_id;
    int32_t rev, part;
    int16_t flags;
    struct str state;
};

static int compare_ids(const void *a, const void *b)
{
    return uuid_cmp(&((const struct row *)a)->case_id, &((const struct row *)b)->case_id);
}

/* The rows of the newer generation, by id; STR_NULL: it has none. */
static enum cv_status load(struct carry_over *carry, const struct db_result *page, struct db_result **out_result,
                           struct row *rows, struct err *err)
{
    struct db_args args;
    size_t count = (size_t)db_rows(page);
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct row){
            .case_id = db_uuid(page, (int)i, COL_CASE), .part = db_int4(page, (int)i, COL_PART), .state = STR_NULL};
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->case_id, sizeof *rows, count);
    enum cv_status status = db_exec(carry->target, &load_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
    if (status != CV_OK)
        return status;
    for (int i = 0; i < db_rows(*out_result); i++) {
        struct row key = {.case_id = db_uuid(*out_result, i, LOADED_CASE)};
        struct row *row = bsearch(&key, rows, count, sizeof *rows, compare_ids);
        assert(row != NULL);
        row->rev = db_int4(*out_result, i, LOADED_REV);
        row->part = db_int4(*out_result, i, LOADED_PART);
        row->state = db_str(*out_result, i, LOADED_STATE);
    }
    return CV_OK;
}

static enum cv_status unreadable(int32_t gen, const struct uuid *case_id, struct err *err)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(case_id, id);
    err_set(err,
            "the state of case %s in generation %d cannot be read by this version: caseview repair --case %s "
            "--generation %d",
            id, gen, id, gen);
    return CV_FATAL;
}

/* *out_changed: the row is to be written. */
static enum cv_status merge(struct carry_over *carry, struct str from, struct row *row, struct buf *stored,
                            bool *out_changed, struct err *err)
{
    struct case_state older, newer;
    if (!case_load(from, &older))
        return unreadable(carry->from, &row->case_id, err);
    if (row->state.ptr != NULL && !case_load(row->state, &newer))
        return unreadable(carry->to, &row->case_id, err);
    *out_changed = row->state.ptr == NULL || case_merge(&newer, &older);
    if (!*out_changed)
        return CV_OK;
    const struct case_state *merged = row->state.ptr == NULL ? &older : &newer;
    buf_reset(stored);
    case_store(merged, stored);
    row->flags = case_row_flags(merged);
    row->state = arena_str(carry->arena, (struct str){stored->data, stored->len});
    row->rev++;
    return CV_OK;
}

static enum cv_status merge_all(struct carry_over *carry, const struct db_result *page, struct row *rows,
                                size_t *out_changed, struct err *err)
{
    struct buf stored CV_CLEANUP(buf_done);
    size_t changed = 0;
    enum cv_status status = CV_OK;
    buf_init(&stored, STATE_MAX);
    for (int i = 0; i < db_rows(page) && status == CV_OK; i++) {
        bool differs = false;
        status = merge(carry, db_str(page, i, COL_STATE), &rows[i], &stored, &differs, err);
        if (differs)
            rows[changed++] = rows[i];
    }
    *out_changed = changed;
    return status;
}

static enum cv_status write_rows(struct carry_over *carry, const struct row *rows, size_t count, struct err *err)
{
    struct db_args args;
    if (count == 0)
        return CV_OK;
    db_args_init(&args, carry->arena);
    db_arg_uuid_array(&args, &rows->case_id, sizeof *rows, count);
    db_arg_int4_array(&args, &rows->rev, sizeof *rows, count);
    db_arg_int4_array(&args, &rows->part, sizeof *rows, count);
    db_arg_int2_array(&args, &rows->flags, sizeof *rows, count);
    db_arg_bytea_array(&args, &rows->state, sizeof *rows, count);
    return db_exec(carry->target, &write_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static enum cv_status carry_rows(struct carry_over *carry, struct rebuild_step *step, const struct db_result *page,
                                 struct err *err)
{
    size_t count = (size_t)db_rows(page), changed = 0;
    struct row *rows = arena_alloc(carry->arena, (count + 1) * sizeof *rows);
    struct db_result *loaded = NULL;
    assert(rows != NULL);
    enum cv_status status = load(carry, page, &loaded, rows, err);
    struct uuid last = count > 0 ? rows[count - 1].case_id : (struct uuid){0};
    if (status == CV_OK)
        status = merge_all(carry, page, rows, &changed, err);
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

enum cv_status carry_over_cases(struct carry_over *carry, struct rebuild_step *step, bool *out_more, struct err *err)
{
    struct uuid after;
    struct db_args args;
    struct db_result *page;
    carry_over_key(step, &after, 1);
    db_args_init(&args, carry->arena);
    db_arg_uuid(&args, &after);
    db_arg_bool(&args, !step->has_after);
    enum cv_status status = db_exec(carry->source, &page_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &page, err);
    if (status != CV_OK)
        return status;
    *out_more = db_rows(page) == CARRY_OVER_PAGE;
    status = carry_rows(carry, step, page, err);
    db_result_free(page);
    return status;
}
