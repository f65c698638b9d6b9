/*
 * Carry-over of the directory: see rebuild_carry_over.h. Its rows have no revision. A page is compared first; only when
 * something is to be written are the cursors of the directory locked, and the rows read and merged again under the
 * lock. The older generation must then have read the directory at least as far as the newer one: the order of the log
 * decides between an entity and its null value, and versions do not tell it (fold/directory.h).
 */
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/ops/carry_over_page.h"
#include "workers/sink/entity.h"
#include "workers/sink/folds.h"

static const struct db_statement page_statement = {"carry_directory", sql_carry_directory};
static const struct db_statement load_statement = {"directory_load", sql_directory_load};
static const struct db_statement lagging_statement = {"carry_lagging", sql_carry_lagging};
static const struct db_statement claims_statement = {"carry_claims", sql_carry_claims};
static const struct db_statement clock_statement = {"directory_clock", sql_directory_clock};
static const struct db_statement write_statement = {"directory_write", sql_directory_write};

/* The LIMIT of carry_directory.sql. Each page that is written makes the directory's workers recover. */
#define PAGE 5000

/* The key of a page: in the order of the primary key. */
struct key {
    struct uuid organization_id, entity_id;
    int16_t kind;
};

/* The entities of one page in both generations. */
struct pair {
    struct cache *older, *newer;
};

static struct entity *add(struct cache *entities, const struct db_result *result, int row)
{
    uint8_t key[ENTITY_KEY];
    bool made;
    struct uuid organization_id = db_uuid(result, row, ENTITY_ORGANIZATION), id = db_uuid(result, row, ENTITY_ID);
    entity_key((enum entity_kind)db_int2(result, row, ENTITY_KIND), &organization_id, &id, key);
    struct entity *entity = (struct entity *)cache_get(entities, key, &made);
    if (made)
        directory_init(&entity->state, &organization_id);
    return entity;
}

/* The entities of the page, in both generations. */
static enum cv_status load(struct carry_over *carry, const struct db_result *page, struct pair *pair, struct err *err)
{
    size_t count = (size_t)db_rows(page);
    struct key *keys = arena_alloc(carry->arena, (count + 1) * sizeof *keys);
    struct db_args args;
    struct db_result *result;
    assert(keys != NULL);
    for (int row = 0; row < db_rows(page); row++) {
        keys[row] = (struct key){.kind = db_int2(page, row, ENTITY_KIND),
                                 .organization_id = db_uuid(page, row, ENTITY_ORGANIZATION),
                                 .entity_id = db_uuid(page, row, ENTITY_ID)};
        (void)add(pair->older, page, row);
        (void)add(pair->newer, page, row);
        entity_load(pair->older, page, row, carry->arena);
    }
    db_args_init(&args, carry->arena);
    db_arg_int2_array(&args, &keys->kind, sizeof *keys, count);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, count);
    db_arg_uuid_array(&args, &keys->entity_id, sizeof *keys, count);
    enum cv_status status = db_exec(carry->target, &load_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++)
        entity_load(pair->newer, result, row, carry->arena);
    db_result_free(result);
    return CV_OK;
}

static int compare_rows(const void *a, const void *b)
{
    const struct entity_row *x = a, *y = b;
    int by_kind = (x->kind > y->kind) - (x->kind < y->kind);
    int by_id = by_kind != 0 ? by_kind : uuid_cmp(&x->entity_id, &y->entity_id);
    /* A former owner's row comes first: an application has one owner at a time (unique index). */
    return by_id != 0 ? by_id : (x->status > y->status) - (x->status < y->status);
}

/* The rows to write, in key order: at most two for each row of the page. */
static struct entity_row *merge(struct carry_over *carry, const struct db_result *page, struct pair *pair,
                                size_t *out_count)
{
    struct entity_row *rows = arena_alloc(carry->arena, ((size_t)db_rows(page) * 2 + 1) * sizeof *rows);
    size_t count = 0;
    assert(rows != NULL);
    for (int row = 0; row < db_rows(page); row++) {
        const struct entity *older = add(pair->older, page, row);
        struct entity *newer = add(pair->newer, page, row);
        struct directory_state merged = newer->state;
        bool visible;
        if (!directory_merge(&merged, &older->state, &visible))
            continue;
        if (newer->state.status != ENTITY_FORGOTTEN && !uuid_eq(&merged.organization_id, &newer->state.organization_id))
            rows[count++] = (struct entity_row){.kind = (int16_t)entity_kind_of(newer),
                                                .status = ENTITY_FORGOTTEN,
                                                .organization_id = newer->state.organization_id,
                                                .entity_id = entity_id_of(newer)};
        entity_set(pair->newer, newer, &merged);
        entity_make_row(newer, carry->arena, &rows[count++]);
    }
    if (count > 0)
        qsort(rows, count, sizeof *rows, compare_rows);
    for (size_t i = 0; i < count; i++)
        rows[i].nth = (int64_t)(count - 1 - i);
    *out_count = count;
    return rows;
}

/* Workers of the newer generation wait or are refused from now on; the older one must have read as far as they. */
static enum cv_status lock_writers(struct carry_over *carry, struct err *err)
{
    const struct str topic = str_of(config_text(carry->rebuild->operation.config, "directory-topic"));
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, carry->arena);
    db_arg_int4(&args, carry->to);
    db_arg_text(&args, topic);
    enum cv_status status = db_exec(carry->target, &claims_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
    if (status != CV_OK)
        return status;
    db_args_init(&args, carry->arena);
    db_arg_int4(&args, carry->from);
    db_arg_int4(&args, carry->to);
    db_arg_text(&args, topic);
    status = db_exec(carry->target, &lagging_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    carry->lags = db_bool(result, 0, 0);
    db_result_free(result);
    if (!carry->lags)
        return CV_OK;
    err_set(err, "generation %d has not read the directory as far as generation %d: check its workers", carry->from,
            carry->to);
    return CV_RETRY;
}

static enum cv_status write_rows(struct carry_over *carry, const struct entity_row *e, size_t count, struct err *err)
{
    struct db_args args;
    if (count == 0)
        return CV_OK;
    db_args_init(&args, carry->arena);
    db_arg_int4(&args, carry->to);
    db_arg_int8(&args, (int64_t)count);
    enum cv_status status = db_exec(carry->target, &clock_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
    if (status != CV_OK)
        return status;
    db_args_init(&args, carry->arena);
    db_arg_int4(&args, carry->to);
    entity_row_args(&args, e, count);
    return db_exec(carry->target, &write_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static enum cv_status read_page(struct carry_over *carry, const struct rebuild_step *step, struct db_result **out_page,
                                struct err *err)
{
    struct key after = {0};
    struct db_args args;
    if (step->has_after)
        memcpy(&after, step->after_key, sizeof after);
    db_args_init(&args, carry->arena);
    db_arg_int4(&args, after.kind);
    db_arg_uuid(&args, &after.organization_id);
    db_arg_uuid(&args, &after.entity_id);
    db_arg_bool(&args, !step->has_after);
    return db_exec(carry->source, &page_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_page, err);
}

/* Reads the next page of both generations and merges it. The page is the caller's to free. */
static enum cv_status read_and_merge(struct carry_over *carry, const struct rebuild_step *step,
                                     struct db_result **out_page, struct entity_row **out_rows, size_t *out_count,
                                     struct err *err)
{
    struct pair pair = {entities_new(), entities_new()};
    struct db_result *page = NULL;
    enum cv_status status = read_page(carry, step, &page, err);
    if (status == CV_OK)
        status = load(carry, page, &pair, err);
    if (status == CV_OK) {
        *out_rows = merge(carry, page, &pair, out_count);
        *out_page = page;
    } else {
        db_result_free(page);
    }
    cache_free(pair.older);
    cache_free(pair.newer);
    return status;
}

static enum cv_status finish_page(struct carry_over *carry, struct rebuild_step *step, const struct db_result *page,
                                  size_t changed, struct err *err)
{
    int count = db_rows(page);
    if (count > 0) {
        struct key last = {db_uuid(page, count - 1, ENTITY_ORGANIZATION), db_uuid(page, count - 1, ENTITY_ID),
                           db_int2(page, count - 1, ENTITY_KIND)};
        carry_over_advance(step, count, changed, &last, sizeof last);
    }
    return carry_over_commit(carry, step, err);
}

enum cv_status carry_over_directory(struct carry_over *carry, struct rebuild_step *step, bool *out_more,
                                    struct err *err)
{
    struct db_result *page = NULL;
    struct entity_row *rows = NULL;
    size_t changed = 0;
    enum cv_status status = read_and_merge(carry, step, &page, &rows, &changed, err);
    if (status == CV_OK)
        status = carry_over_begin(carry, err);
    if (status == CV_OK && changed > 0) {
        db_result_free(page);
        page = NULL;
        status = lock_writers(carry, err);
        if (status == CV_OK)
            status = read_and_merge(carry, step, &page, &rows, &changed, err);
        if (status == CV_OK)
            status = write_rows(carry, rows, changed, err);
    }
    if (status == CV_OK) {
        *out_more = db_rows(page) == PAGE;
        status = finish_page(carry, step, page, changed, err);
    }
    db_result_free(page);
    return status;
}
