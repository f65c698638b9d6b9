#include "workers/ops/rebuild_compare_evidence.h"

#include <stdio.h>

#include "sql_worker.h"
#include "workers/ops/rebuild_compare_reason.h"

#define SLICE      100 /* most differences of one query: bodies may be large */
#define REASON_MAX 4096
#define ARENA_MAX  (512u << 20)

static const struct db_statement parked_statement = {"compare_parked_keys", sql_compare_parked_keys};
static const struct db_statement skipped_statement = {"compare_skipped", sql_compare_skipped};
static const struct db_statement bodies_statement = {"compare_bodies", sql_compare_bodies};
static const struct db_statement starts_statement = {"compare_log_starts", sql_compare_log_starts};

/* Some findings of one view. */
struct slice {
    enum compare_view view;
    struct compare_finding *findings;
    size_t count;
    struct compare_evidence evidence[SLICE];
    struct arena *arena; /* of the evidence */
};

/* The keys of the records, as text in lower case (contract, section 3). */
static void key_text(const struct compare_suspect *suspect, char out[128])
{
    char organization[UUID_TEXT_LEN + 1], id[UUID_TEXT_LEN + 1];
    uuid_format(&suspect->key.id, id);
    uuid_format(&suspect->organization_id, organization);
    if (suspect->key.view == VIEW_APPLICATION)
        snprintf(out, 128, "application:%s:%s", organization, id);
    else
        snprintf(out, 128, "%s", id);
}

static enum cv_status read_parked(struct compare *compare, struct slice *slice, enum compare_side side, struct err *err)
{
    char texts[SLICE][128];
    struct str keys[SLICE];
    struct db_args args;
    struct db_result *result;
    for (size_t i = 0; i < slice->count; i++) {
        key_text(slice->findings[i].suspect, texts[i]);
        keys[i] = str_of(texts[i]);
    }
    db_args_init(&args, slice->arena);
    db_arg_text_array(&args, keys, sizeof *keys, slice->count);
    db_arg_text(&args, str_of(compare->moments.topics[compare_views[slice->view].role]));
    enum cv_status status = db_exec(compare->rebuild->operation.db, &parked_statement, &args,
                                    OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct compare_evidence *evidence = &slice->evidence[db_int8(result, row, 0) - 1];
        evidence->parked[side] = db_int8(result, row, 1);
        evidence->parked_example[side] = arena_str(slice->arena, db_str(result, row, 2));
    }
    db_result_free(result);
    return CV_OK;
}

static enum cv_status read_skipped(struct compare *compare, struct slice *slice, enum compare_side side,
                                   struct err *err)
{
    struct str topics[SLICE];
    int32_t parts[SLICE];
    int64_t offsets[SLICE];
    struct db_args args;
    struct db_result *result;
    for (size_t i = 0; i < slice->count; i++) {
        const struct compare_key *key = &slice->findings[i].suspect->key;
        topics[i] = str_of(compare->moments.partitions[key->partition].topic);
        parts[i] = compare->moments.partitions[key->partition].part;
        offsets[i] = key->offset;
    }
    db_args_init(&args, slice->arena);
    db_arg_int4(&args, compare->gens[side]);
    db_arg_text_array(&args, topics, sizeof *topics, slice->count);
    db_arg_int4_array(&args, parts, sizeof *parts, slice->count);
    db_arg_int8_array(&args, offsets, sizeof *offsets, slice->count);
    enum cv_status status = db_exec(compare->rebuild->operation.db, &skipped_statement, &args,
                                    OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++)
        slice->evidence[db_int8(result, row, 0) - 1].skipped[side] = true;
    db_result_free(result);
    return CV_OK;
}

static enum cv_status read_bodies(struct compare *compare, struct slice *slice, enum compare_side side, struct err *err)
{
    struct uuid organization_ids[SLICE], ids[SLICE];
    struct db_args args;
    struct db_result *result;
    for (size_t i = 0; i < slice->count; i++) {
        organization_ids[i] = slice->findings[i].suspect->key.organization_id;
        ids[i] = slice->findings[i].suspect->key.id;
    }
    db_args_init(&args, slice->arena);
    db_arg_uuid_array(&args, organization_ids, sizeof *organization_ids, slice->count);
    db_arg_uuid_array(&args, ids, sizeof *ids, slice->count);
    enum cv_status status = db_exec(compare->rebuild->operation.db, &bodies_statement, &args,
                                    OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++)
        slice->evidence[db_int8(result, row, 0) - 1].bodies[side] = arena_str(slice->arena, db_str(result, row, 1));
    db_result_free(result);
    return CV_OK;
}

static enum cv_status read_side(struct compare *compare, struct slice *slice, enum compare_side side, struct err *err)
{
    enum cv_status status = compare_use(compare, side, err);
    if (status == CV_OK && slice->view == VIEW_PARKED)
        return read_skipped(compare, slice, side, err);
    if (status == CV_OK)
        status = read_parked(compare, slice, side, err);
    if (status == CV_OK && slice->view == VIEW_ACTIVE_CASE)
        status = read_bodies(compare, slice, side, err);
    return status;
}

/* The log starts of generations that were made from the log alone. */
static enum cv_status read_starts(struct compare *compare, struct db_result **out_starts, struct err *err)
{
    struct operation *operation = &compare->rebuild->operation;
    struct db_args args;
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    for (size_t side = 0; side < COMPARE_SIDES; side++)
        db_arg_int4(&args, compare->gens[side]);
    return db_exec(operation->db, &starts_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_starts, err);
}

/* May a partition's log have begun after an event of this key? */
static bool concerns(const struct compare *compare, const struct compare_suspect *suspect, struct str topic,
                     int32_t part, int64_t log_start)
{
    const struct compare_moments *moments = &compare->moments;
    const struct compare_key *key = &suspect->key;
    if (key->view == VIEW_PARKED)
        return str_eq(topic, str_of(moments->partitions[key->partition].topic)) &&
               part == moments->partitions[key->partition].part && key->offset < log_start;
    return str_eq(topic, str_of(moments->topics[compare_views[key->view].role])) &&
           (part == suspect->kept[COMPARE_LIVE].part || part == suspect->kept[COMPARE_OTHER].part);
}

static void note_starts(const struct compare *compare, struct slice *slice, const struct db_result *starts)
{
    for (size_t i = 0; i < slice->count; i++)
        for (int row = 0; row < db_rows(starts); row++) {
            enum compare_side side = db_bool(starts, row, 0) ? COMPARE_LIVE : COMPARE_OTHER;
            int64_t log_start = db_int8(starts, row, 3);
            if (concerns(compare, slice->findings[i].suspect, db_str(starts, row, 1), db_int4(starts, row, 2),
                         log_start))
                slice->evidence[i].log_start[side] = log_start;
        }
}

static enum cv_status explain(struct compare *compare, struct slice *slice, const struct db_result *starts,
                              struct err *err)
{
    struct buf reason CV_CLEANUP(buf_done);
    struct arena *arena = compare->rebuild->arena;
    enum cv_status status = CV_OK;
    buf_init(&reason, REASON_MAX);
    arena_reset(slice->arena);
    memset(slice->evidence, 0, sizeof slice->evidence);
    for (enum compare_side side = COMPARE_LIVE; side < COMPARE_SIDES && status == CV_OK; side++)
        status = read_side(compare, slice, side, err);
    if (status != CV_OK)
        return status;
    note_starts(compare, slice, starts);
    for (size_t i = 0; i < slice->count; i++) {
        buf_reset(&reason);
        compare_reason(slice->findings[i].suspect, &slice->evidence[i], &compare->moments, compare->gens, &reason);
        slice->findings[i].reason = arena_str(arena, (struct str){reason.data, reason.len});
    }
    if (!arena_full(arena) && !arena_full(slice->arena))
        return CV_OK;
    err_set(err, "the differences do not fit in memory: a smaller --limit");
    return CV_FATAL;
}

static struct compare_finding *first_differences(const struct compare_suspects *suspects, size_t limit,
                                                 size_t *out_count)
{
    struct compare_finding *findings = cv_alloc((limit < suspects->count ? limit : suspects->count) * sizeof *findings +
                                                1);
    size_t count = 0;
    for (size_t i = 0; i < suspects->count && count < limit; i++)
        if (suspects->items[i].state != SUSPECT_EQUAL)
            findings[count++] = (struct compare_finding){.suspect = &suspects->items[i]};
    *out_count = count;
    return findings;
}

enum cv_status compare_findings(struct compare *compare, size_t limit, struct compare_finding **out_findings,
                                size_t *out_count, struct err *err)
{
    size_t count;
    struct db_result *starts = NULL;
    struct compare_finding *findings = first_differences(&compare->suspects, limit, &count);
    struct slice slice = {.arena = arena_new(1u << 16, ARENA_MAX)};
    enum cv_status status = read_starts(compare, &starts, err);
    for (size_t at = 0; at < count && status == CV_OK; at += slice.count) {
        slice.view = findings[at].suspect->key.view;
        slice.findings = &findings[at];
        slice.count = 0;
        while (at + slice.count < count && slice.count < SLICE &&
               findings[at + slice.count].suspect->key.view == slice.view)
            slice.count++;
        status = explain(compare, &slice, starts, err);
    }
    db_result_free(starts);
    arena_free(slice.arena);
    if (status != CV_OK) {
        free(findings);
        return status;
    }
    *out_findings = findings;
    *out_count = count;
    return CV_OK;
}
