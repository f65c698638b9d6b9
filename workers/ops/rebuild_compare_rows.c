#include "workers/ops/rebuild_compare_rows.h"

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "sql_worker.h"

#define REPORT_MS 5000
#define PAGE_ROWS 5000 /* LIMIT of the statements of pages */
#define SLICE     1000 /* most suspects of one query */

static const struct db_statement cursors_statement = {"compare_cursors", sql_compare_cursors};

static const struct db_statement page_statements[VIEW_COUNT] = {
    [VIEW_ACTIVE_CASE] = {"compare_cases", sql_compare_cases},
    [VIEW_AGENT] = {"compare_agents", sql_compare_agents},
    [VIEW_APPLICATION] = {"compare_applications", sql_compare_applications},
    [VIEW_PARKED] = {"compare_parked", sql_compare_parked},
};

static const struct db_statement look_statements[VIEW_COUNT] = {
    [VIEW_ACTIVE_CASE] = {"compare_look_cases", sql_compare_look_cases},
    [VIEW_AGENT] = {"compare_look_agents", sql_compare_look_agents},
    [VIEW_APPLICATION] = {"compare_look_applications", sql_compare_look_applications},
    [VIEW_PARKED] = {"compare_look_parked", sql_compare_look_parked},
};

bool compare_may_report(struct compare *compare)
{
    int64_t now = clock_mono_ms();
    if (now < compare->reported_ms + REPORT_MS)
        return false;
    compare->reported_ms = now;
    return true;
}

/* ---- moments ---- */

/* The snapshot holds back the cleanup of the cursors' old versions: a command that freezes loses it. */
enum cv_status compare_begin(struct compare *compare, struct err *err)
{
    return db_script(compare->rebuild->operation.db,
                     "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                     "SET LOCAL idle_in_transaction_session_timeout = '30s'",
                     OPERATION_QUERY_TIMEOUT_MS, err);
}

enum cv_status compare_end(struct compare *compare, struct err *err)
{
    return db_script(compare->rebuild->operation.db, "COMMIT", OPERATION_QUERY_TIMEOUT_MS, err);
}

enum cv_status compare_use(struct compare *compare, enum compare_side side, struct err *err)
{
    return operation_use_generation(compare->rebuild->operation.db, compare->gens[side], err);
}

enum cv_status compare_begin_moment(struct compare *compare, struct err *err)
{
    struct operation *operation = &compare->rebuild->operation;
    struct compare_moments *moments = &compare->moments;
    struct db_args args;
    struct db_result *result;
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    for (size_t side = 0; side < COMPARE_SIDES; side++)
        db_arg_int4(&args, compare->gens[side]);
    enum cv_status status = compare_begin(compare, err);
    if (status == CV_OK)
        status = db_exec(operation->db, &cursors_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    compare_moments_add(moments);
    for (int row = 0; row < db_rows(result); row++) {
        enum compare_side side = db_bool(result, row, 0) ? COMPARE_LIVE : COMPARE_OTHER;
        const struct compare_cursor cursor = {
            .next_offset = db_int8(result, row, 3),
            .dir_no = db_int8(result, row, 4),
            .stopped = db_bool(result, row, 5),
        };
        compare_moments_set_cursor(moments, side, db_str(result, row, 1), db_int4(result, row, 2), &cursor);
        compare_moments_set_clock(moments, side, db_int8(result, row, 6));
    }
    compare_moments_complete(moments);
    db_result_free(result);
    return CV_OK;
}

/* ---- all rows ---- */

/* One generation's rows in the order of their keys. */
struct reader {
    enum compare_side side;
    struct db_result *page; /* NULL: none yet */
    int row;
    struct compare_key key; /* of the current row, or the first one of the next page */
    uint64_t hash;
    bool end, last_page;
};

static void page_args(struct compare *compare, const struct reader *reader, struct db_args *args)
{
    struct arena *arena = compare->rebuild->operation.arena;
    struct uuid last;
    memset(&last, 0xff, sizeof last);
    arena_reset(arena);
    db_args_init(args, arena);
    if (reader->key.view == VIEW_PARKED) {
        const struct compare_partition *partition = &compare->moments.partitions[reader->key.partition];
        db_arg_text(args, str_of(partition->topic));
        db_arg_int4(args, partition->part);
        db_arg_int8(args, reader->key.offset);
        db_arg_uuid(args, compare->has_organization ? &compare->organization_id : NULL);
        return;
    }
    db_arg_uuid(args, &reader->key.organization_id);
    db_arg_uuid(args, &reader->key.id);
    db_arg_uuid(args, compare->has_organization ? &compare->organization_id : &last);
}

static enum cv_status read_page(struct compare *compare, struct reader *reader, struct err *err)
{
    struct db_args args;
    if (stop_requested()) {
        err_set(err, "stopped");
        return CV_RETRY;
    }
    page_args(compare, reader, &args);
    enum cv_status status = compare_use(compare, reader->side, err);
    if (status == CV_OK)
        status = db_exec(compare->rebuild->operation.db, &page_statements[reader->key.view], &args,
                         OPERATION_QUERY_TIMEOUT_MS, &reader->page, err);
    if (status != CV_OK)
        return status;
    reader->row = 0;
    reader->last_page = db_rows(reader->page) < PAGE_ROWS;
    compare->rows[reader->key.view][reader->side] += db_rows(reader->page);
    if (compare_may_report(compare))
        log_info("%s: %" PRId64 " rows of generation %d and %" PRId64 " of generation %d read, %zu differ so far",
                 compare_views[reader->key.view].name, compare->rows[reader->key.view][COMPARE_LIVE],
                 compare->gens[COMPARE_LIVE], compare->rows[reader->key.view][COMPARE_OTHER],
                 compare->gens[COMPARE_OTHER], compare->suspects.count);
    return CV_OK;
}

static void take_row(struct reader *reader)
{
    int hash_column = 2;
    if (reader->key.view == VIEW_PARKED) {
        reader->key.offset = db_int8(reader->page, reader->row, 0);
        hash_column = 1;
    } else {
        struct uuid organization_id = db_uuid(reader->page, reader->row, 0);
        if (reader->key.view != VIEW_APPLICATION) /* whose organization is no part of the key */
            reader->key.organization_id = organization_id;
        reader->key.id = db_uuid(reader->page, reader->row, 1);
    }
    reader->hash = (uint64_t)db_int8(reader->page, reader->row, hash_column);
    reader->row++;
}

/* Goes to the next row, or to the end. */
static enum cv_status advance(struct compare *compare, struct reader *reader, struct err *err)
{
    while (!reader->end) {
        if (reader->page != NULL && reader->row < db_rows(reader->page)) {
            take_row(reader);
            return CV_OK;
        }
        bool first = reader->page == NULL;
        if (!first && (reader->last_page || !compare_key_next(&reader->key))) {
            reader->end = true;
            break;
        }
        db_result_free(reader->page);
        reader->page = NULL;
        enum cv_status status = read_page(compare, reader, err);
        if (status != CV_OK)
            return status;
    }
    return CV_OK;
}

static enum cv_status suspect(struct compare *compare, const struct compare_key *key, struct err *err)
{
    if (compare_suspects_add(&compare->suspects, key))
        return CV_OK;
    err_set(err, "more than %zu rows differ: compare one organization at a time (--organization)",
            compare->suspects.max);
    return CV_FATAL;
}

/* Merges the rows of both sides by their keys. */
static enum cv_status merge(struct compare *compare, struct reader readers[COMPARE_SIDES], struct err *err)
{
    struct reader *live = &readers[COMPARE_LIVE], *other = &readers[COMPARE_OTHER];
    enum cv_status status = advance(compare, live, err);
    if (status == CV_OK)
        status = advance(compare, other, err);
    while (status == CV_OK && !(live->end && other->end)) {
        int order = live->end ? 1 : other->end ? -1 : compare_key_cmp(&live->key, &other->key);
        if (order != 0 || live->hash != other->hash)
            status = suspect(compare, order <= 0 ? &live->key : &other->key, err);
        if (status == CV_OK && order <= 0)
            status = advance(compare, live, err);
        if (status == CV_OK && order >= 0)
            status = advance(compare, other, err);
    }
    return status;
}

static enum cv_status compare_from(struct compare *compare, const struct compare_key *first, struct err *err)
{
    struct reader readers[COMPARE_SIDES] = {
        [COMPARE_LIVE] = {.side = COMPARE_LIVE, .key = *first},
        [COMPARE_OTHER] = {.side = COMPARE_OTHER, .key = *first},
    };
    enum cv_status status = merge(compare, readers, err);
    for (size_t side = 0; side < COMPARE_SIDES; side++)
        db_result_free(readers[side].page);
    return status;
}

enum cv_status compare_read_all(struct compare *compare, struct err *err)
{
    enum cv_status status = CV_OK;
    for (enum compare_view view = VIEW_ACTIVE_CASE; view < VIEW_PARKED && status == CV_OK; view++) {
        struct compare_key first = {.view = view};
        if (compare->has_organization)
            first.organization_id = compare->organization_id;
        status = compare_from(compare, &first, err);
    }
    /* The partitions with a cursor are all that have parked records. */
    for (size_t i = 0; i < compare->moments.partition_count && status == CV_OK; i++) {
        const struct compare_key first = {.view = VIEW_PARKED, .partition = i};
        status = compare_from(compare, &first, err);
    }
    return status;
}

/* ---- suspects ---- */

struct slice {
    enum compare_view view;
    struct compare_suspect *suspects[SLICE];
    size_t count;
    struct compare_row (*rows)[COMPARE_SIDES]; /* SLICE of them */
};

static void look_args(struct compare *compare, const struct slice *slice, struct db_args *args)
{
    struct arena *arena = compare->rebuild->operation.arena;
    struct uuid organization_ids[SLICE], ids[SLICE];
    struct str topics[SLICE];
    int32_t parts[SLICE];
    int64_t offsets[SLICE];
    arena_reset(arena);
    db_args_init(args, arena);
    for (size_t i = 0; i < slice->count; i++) {
        const struct compare_key *key = &slice->suspects[i]->key;
        const struct compare_partition *partition = &compare->moments.partitions[key->partition];
        organization_ids[i] = key->organization_id;
        ids[i] = key->id;
        topics[i] = str_of(partition->topic);
        parts[i] = partition->part;
        offsets[i] = key->offset;
    }
    if (slice->view == VIEW_PARKED) {
        db_arg_text_array(args, topics, sizeof *topics, slice->count);
        db_arg_int4_array(args, parts, sizeof *parts, slice->count);
        db_arg_int8_array(args, offsets, sizeof *offsets, slice->count);
    } else {
        db_arg_uuid_array(args, organization_ids, sizeof *organization_ids, slice->count);
        db_arg_uuid_array(args, ids, sizeof *ids, slice->count);
    }
}

static void read_row(const struct db_result *result, int row, enum compare_view view, struct compare_row *out_row)
{
    enum { PRESENT = 1, PART, FLAGS, REV, ORGANIZATION, USER, COLUMNS };
    *out_row = (struct compare_row){
        .present = db_bool(result, row, PRESENT),
        .part = db_int4(result, row, PART),
        .flags = db_int2(result, row, FLAGS),
        .rev = db_int8(result, row, REV),
        .has_organization = !db_is_null(result, row, ORGANIZATION),
    };
    if (out_row->has_organization)
        out_row->organization_id = db_uuid(result, row, ORGANIZATION);
    if (!db_is_null(result, row, USER))
        out_row->user_id = db_uuid(result, row, USER);
    for (int i = 0; compare_views[view].columns[i] != NULL; i++)
        out_row->columns[i] = (uint64_t)db_int8(result, row, COLUMNS + i);
}

static enum cv_status look_at_side(struct compare *compare, struct slice *slice, enum compare_side side,
                                   struct err *err)
{
    struct db_args args;
    struct db_result *result;
    look_args(compare, slice, &args);
    enum cv_status status = compare_use(compare, side, err);
    if (status == CV_OK)
        status = db_exec(compare->rebuild->operation.db, &look_statements[slice->view], &args,
                         OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    assert((size_t)db_rows(result) == slice->count); /* they are outer joins by unique keys */
    for (int row = 0; row < db_rows(result); row++)
        read_row(result, row, slice->view, &slice->rows[row][side]);
    db_result_free(result);
    return CV_OK;
}

static enum cv_status look_at(struct compare *compare, struct slice *slice, struct err *err)
{
    enum cv_status status = CV_OK;
    for (enum compare_side side = COMPARE_LIVE; side < COMPARE_SIDES && status == CV_OK; side++)
        status = look_at_side(compare, slice, side, err);
    for (size_t i = 0; i < slice->count && status == CV_OK; i++)
        compare_judge(&compare->suspects, slice->suspects[i], slice->rows[i], &compare->moments);
    return status;
}

enum cv_status compare_look(struct compare *compare, struct err *err)
{
    struct compare_suspects *suspects = &compare->suspects;
    struct slice slice = {.rows = cv_alloc(SLICE * sizeof *slice.rows)};
    enum cv_status status = CV_OK;
    for (size_t i = 0; status == CV_OK && i <= suspects->count; i++) {
        struct compare_suspect *next = i < suspects->count ? &suspects->items[i] : NULL;
        if (next != NULL && next->state != SUSPECT_OPEN)
            continue;
        if (slice.count > 0 && (next == NULL || slice.count == SLICE || next->key.view != slice.view)) {
            status = look_at(compare, &slice, err);
            slice.count = 0;
        }
        if (next != NULL) {
            slice.view = next->key.view;
            slice.suspects[slice.count++] = next;
        }
    }
    free(slice.rows);
    return status;
}
