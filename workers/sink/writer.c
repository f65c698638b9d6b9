#include "workers/sink/writer.h"

#include <stdio.h>
#include <stdlib.h>

#include "caseview/failpoint.h"
#include "sql_worker.h"

static const struct db_statement begin_statement = {"begin", sql_begin};
static const struct db_statement commit_statement = {"commit", sql_commit};
static const struct db_statement rollback_statement = {"rollback", sql_rollback};
static const struct db_statement fence_statement = {"fence", sql_fence};
static const struct db_statement case_write_statement = {"case_write", sql_case_write};
static const struct db_statement active_write_statement = {"active_write", sql_active_write};
static const struct db_statement active_delete_statement = {"active_delete", sql_active_delete};
static const struct db_statement agent_write_statement = {"agent_write", sql_agent_write};
static const struct db_statement clock_statement = {"directory_clock", sql_directory_clock};
static const struct db_statement directory_write_statement = {"directory_write", sql_directory_write};
static const struct db_statement directory_version_statement = {"directory_version", sql_directory_version};
static const struct db_statement park_statement = {"park", sql_park};
static const struct db_statement outside_settings_statement = {"outside_settings", sql_outside_settings};
static const struct db_statement outside_claim_statement = {"outside_claim", sql_outside_claim};
static const struct db_statement unpark_statement = {"unpark", sql_unpark};
static const struct db_statement unpark_refused_statement = {"unpark_refused", sql_unpark_refused};

/* What a statement of the pipeline is for: tells what its refusal means. */
enum step { STEP_OTHER, STEP_FENCE, STEP_ROWS, STEP_CLAIM, STEP_UNPARK };

#define ROLLBACK_TIMEOUT_MS 5000

/* What one statement carries: libpq is slow with more than the socket takes, and the server wants it whole. */
#define SLICE_BYTES ((size_t)1 << 20)
#define ROW_BYTES   100 /* of the other columns */
#define SLICES      256 /* of one table at most, about: a pipeline has DB_PIPELINE_MAX statements */

struct writer {
    const char *conninfo;
    int32_t gen;
    int connect_timeout_ms;
    struct db *db;
    struct db *loader;
    struct arena *arguments; /* of the pipeline being sent */
    bool busy;
    bool commit_left; /* only with a fail point: COMMIT goes when all else is answered */
    bool numbers;     /* … and the batch has taken numbers of the directory */
    enum step steps[DB_PIPELINE_MAX];
    int step_count;
    bool lost_parked;
};

/* Arrays of a batch in PostgreSQL's binary form: of the order of the batch itself. */
#define ARGUMENTS_BLOCK (1u << 20)
#define ARGUMENTS_MAX   ((size_t)2 << 30)

struct writer *writer_new(const char *conninfo, int32_t gen, int connect_timeout_ms)
{
    struct writer *writer = cv_zalloc(sizeof *writer);
    writer->conninfo = conninfo;
    writer->gen = gen;
    writer->connect_timeout_ms = connect_timeout_ms;
    writer->arguments = arena_new(ARGUMENTS_BLOCK, ARGUMENTS_MAX);
    return writer;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL)
        return;
    writer_disconnect(writer);
    arena_free(writer->arguments);
    free(writer);
}

/*
 * synchronous_commit=off: rows and cursor are lost together in a crash of the database, and are replayed together.
 * gen_N is named by the search path, so that one statement text serves every generation.
 */
static enum cv_status open_one(struct writer *writer, const char *name, struct db **db, struct err *err)
{
    char setup[256];
    snprintf(
        setup, sizeof setup,
        "SET search_path = gen_%d, pg_catalog; SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan; "
        "SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET timezone "
        "= 'UTC'",
        writer->gen);
    return db_open(writer->conninfo, name, setup, writer->connect_timeout_ms, db, err);
}

enum cv_status writer_connect(struct writer *writer, struct err *err)
{
    enum cv_status status = CV_OK;
    if (writer->db == NULL)
        status = open_one(writer, "caseview worker", &writer->db, err);
    if (status == CV_OK && writer->loader == NULL)
        status = open_one(writer, "caseview worker (reads)", &writer->loader, err);
    return status;
}

void writer_disconnect(struct writer *writer)
{
    db_close(writer->db);
    db_close(writer->loader);
    writer->db = writer->loader = NULL;
    writer->busy = false;
}

bool writer_is_connected(const struct writer *writer)
{
    return writer->db != NULL && writer->loader != NULL && !db_is_lost(writer->db) && !db_is_lost(writer->loader);
}

struct db *writer_db(struct writer *writer)
{
    return writer->db;
}

struct db *writer_loader(struct writer *writer)
{
    return writer->loader;
}

bool writer_is_busy(const struct writer *writer)
{
    return writer->busy;
}

/* ---- sending ---- */

/* One statement after the other, until the first that cannot be sent. */
struct sending {
    struct writer *writer;
    enum cv_status status;
    struct err *err;
};

static void send(struct sending *sending, const struct db_statement *statement, const struct db_args *args,
                 enum step step)
{
    struct writer *writer = sending->writer;
    if (sending->status != CV_OK)
        return;
    sending->status = db_pipeline_send(writer->db, statement, args, sending->err);
    writer->steps[writer->step_count++] = step;
}

static void send_fence(struct sending *sending, const struct batch *batch)
{
    const struct batch_cursor *c = batch->cursors;
    size_t n = batch->cursor_count;
    struct db_args args;
    db_args_init(&args, sending->writer->arguments);
    db_arg_int4(&args, sending->writer->gen);
    db_arg_text_array(&args, &c->topic_name, sizeof *c, n);
    db_arg_int4_array(&args, &c->part, sizeof *c, n);
    db_arg_uuid_array(&args, &c->claim, sizeof *c, n);
    db_arg_int8_array(&args, &c->old_offset, sizeof *c, n);
    db_arg_int8_array(&args, &c->new_offset, sizeof *c, n);
    db_arg_bool_array(&args, &c->has_last, sizeof *c, n);
    db_arg_int8_array(&args, &c->last_offset, sizeof *c, n);
    db_arg_int8_array(&args, &c->last_at, sizeof *c, n);
    db_arg_int8_array(&args, &c->last_crc, sizeof *c, n);
    db_arg_bool_array(&args, &c->complete, sizeof *c, n);
    db_arg_int8_array(&args, &c->dir_no, sizeof *c, n);
    send(sending, &fence_statement, &args, STEP_FENCE);
}

static void send_case_slice(struct sending *sending, const struct case_row *c, size_t n)
{
    struct db_args args;
    db_args_init(&args, sending->writer->arguments);
    db_arg_uuid_array(&args, &c->case_id, sizeof *c, n);
    db_arg_int4_array(&args, &c->rev, sizeof *c, n);
    db_arg_int4_array(&args, &c->part, sizeof *c, n);
    db_arg_int2_array(&args, &c->flags, sizeof *c, n);
    db_arg_bytea_array(&args, &c->state, sizeof *c, n);
    send(sending, &case_write_statement, &args, STEP_ROWS);
}

static void send_active_slice(struct sending *sending, const struct active_row *a, size_t n)
{
    struct db_args args;
    db_args_init(&args, sending->writer->arguments);
    db_arg_uuid_array(&args, &a->organization_id, sizeof *a, n);
    db_arg_uuid_array(&args, &a->case_id, sizeof *a, n);
    db_arg_uuid_array(&args, &a->user_id, sizeof *a, n);
    db_arg_uuid_array(&args, &a->unit_id, sizeof *a, n);
    db_arg_time_array(&args, &a->status_date, sizeof *a, n);
    db_arg_time_array(&args, &a->case_timestamp, sizeof *a, n);
    db_arg_bool_array(&args, &a->degraded, sizeof *a, n);
    db_arg_int4_array(&args, &a->part, sizeof *a, n);
    db_arg_int8_array(&args, &a->customer_ref, sizeof *a, n);
    db_arg_bytea_array(&args, &a->refs, sizeof *a, n);
    db_arg_text_array(&args, &a->body, sizeof *a, n);
    send(sending, &active_write_statement, &args, STEP_OTHER);
}

/* How many of the n rows, whose largest columns these are, make the next slice; out of `total` bytes in all. */
static size_t slice(const struct str *texts, size_t stride, size_t n, size_t total)
{
    size_t most = total / SLICES > SLICE_BYTES ? total / SLICES : SLICE_BYTES;
    size_t count = 0;
    for (size_t bytes = 0; count < n && bytes < most; count++)
        bytes += ROW_BYTES + ((const struct str *)((const char *)texts + count * stride))->len;
    return count;
}

static void send_cases(struct sending *sending, const struct batch *batch)
{
    size_t total = arena_used(batch->output);
    for (size_t at = 0, n; at < batch->case_count; at += n) {
        const struct case_row *rows = batch->cases + at;
        n = slice(&rows->state, sizeof *rows, batch->case_count - at, total);
        send_case_slice(sending, rows, n);
    }
}

/* Rows of active_case follow their case's row: whoever holds that lock is alone with them. */
static void send_active(struct sending *sending, const struct batch *batch)
{
    if (batch->unlisted_count > 0) {
        const struct active_key *k = batch->unlisted;
        struct db_args args;
        db_args_init(&args, sending->writer->arguments);
        db_arg_uuid_array(&args, &k->organization_id, sizeof *k, batch->unlisted_count);
        db_arg_uuid_array(&args, &k->case_id, sizeof *k, batch->unlisted_count);
        send(sending, &active_delete_statement, &args, STEP_OTHER);
    }
    size_t total = arena_used(batch->output);
    for (size_t at = 0, n; at < batch->active_count; at += n) {
        const struct active_row *rows = batch->active + at;
        n = slice(&rows->body, sizeof *rows, batch->active_count - at, total);
        send_active_slice(sending, rows, n);
    }
}

static void send_agent_slice(struct sending *sending, const struct agent_row *a, size_t n)
{
    struct db_args args;
    db_args_init(&args, sending->writer->arguments);
    db_arg_uuid_array(&args, &a->organization_id, sizeof *a, n);
    db_arg_uuid_array(&args, &a->user_id, sizeof *a, n);
    db_arg_int4_array(&args, &a->rev, sizeof *a, n);
    db_arg_int4_array(&args, &a->part, sizeof *a, n);
    db_arg_uuid_null_array(&args, &a->current_unit_id, &a->has_unit, sizeof *a, n);
    db_arg_bool_array(&args, &a->has_workspaces, sizeof *a, n);
    db_arg_bool_array(&args, &a->degraded, sizeof *a, n);
    db_arg_bytea_array(&args, &a->refs, sizeof *a, n);
    db_arg_bytea_array(&args, &a->state, sizeof *a, n);
    send(sending, &agent_write_statement, &args, STEP_ROWS);
}

static void send_agents(struct sending *sending, const struct batch *batch)
{
    size_t total = arena_used(batch->output);
    for (size_t at = 0, n; at < batch->agent_count; at += n) {
        const struct agent_row *rows = batch->agents + at;
        n = slice(&rows->state, sizeof *rows, batch->agent_count - at, total);
        send_agent_slice(sending, rows, n);
    }
}

static void send_parked(struct sending *sending, const struct batch *batch)
{
    const struct batch_parked *p = batch->parked;
    size_t n = batch->parked_count;
    if (n == 0)
        return;
    struct db_args args;
    db_args_init(&args, sending->writer->arguments);
    db_arg_uuid_null_array(&args, &p->organization_id, &p->has_organization, sizeof *p, n);
    db_arg_text_array(&args, &p->topic_name, sizeof *p, n);
    db_arg_int4_array(&args, &p->part, sizeof *p, n);
    db_arg_int8_array(&args, &p->offset, sizeof *p, n);
    db_arg_bytea_array(&args, &p->key, sizeof *p, n);
    db_arg_bytea_array(&args, &p->value, sizeof *p, n);
    db_arg_text_array(&args, &p->headers, sizeof *p, n);
    db_arg_time_array(&args, &p->record_us, sizeof *p, n);
    db_arg_text_array(&args, &p->reason_name, sizeof *p, n);
    db_arg_text_array(&args, &p->text, sizeof *p, n);
    send(sending, &park_statement, &args, STEP_OTHER);
}

/* Last before COMMIT: the clock's lock is the one that all directory writers share. */
static void send_directory(struct sending *sending, const struct batch *batch)
{
    struct db_args args;
    if (batch->version_count > 0) {
        const struct entity_row *v = batch->versions;
        db_args_init(&args, sending->writer->arguments);
        db_arg_int2_array(&args, &v->kind, sizeof *v, batch->version_count);
        db_arg_uuid_array(&args, &v->organization_id, sizeof *v, batch->version_count);
        db_arg_uuid_array(&args, &v->entity_id, sizeof *v, batch->version_count);
        db_arg_int8_array(&args, &v->version, sizeof *v, batch->version_count);
        send(sending, &directory_version_statement, &args, STEP_OTHER);
    }
    const struct entity_row *e = batch->entities;
    size_t n = batch->entity_count;
    if (n == 0)
        return;
    db_args_init(&args, sending->writer->arguments);
    db_arg_int4(&args, sending->writer->gen);
    db_arg_int8(&args, (int64_t)n);
    send(sending, &clock_statement, &args, STEP_OTHER);
    db_args_init(&args, sending->writer->arguments);
    db_arg_int4(&args, sending->writer->gen);
    db_arg_int2_array(&args, &e->kind, sizeof *e, n);
    db_arg_uuid_array(&args, &e->organization_id, sizeof *e, n);
    db_arg_uuid_array(&args, &e->entity_id, sizeof *e, n);
    db_arg_int2_array(&args, &e->status, sizeof *e, n);
    db_arg_int8_array(&args, &e->version, sizeof *e, n);
    db_arg_int8_array(&args, &e->nth, sizeof *e, n);
    db_arg_text_array(&args, &e->name, sizeof *e, n);
    db_arg_text_array(&args, &e->detail, sizeof *e, n);
    db_arg_text_array(&args, &e->picture, sizeof *e, n);
    db_arg_uuid_null_array(&args, &e->parent_id, &e->has_parent, sizeof *e, n);
    db_arg_text_array(&args, &e->roles, sizeof *e, n);
    db_arg_bool_array(&args, &e->enabled, sizeof *e, n);
    send(sending, &directory_write_statement, &args, STEP_ROWS);
}

static int compare_cursors(const void *a, const void *b)
{
    const struct batch_cursor *x = a, *y = b;
    return x->topic != y->topic ? (x->topic > y->topic) - (x->topic < y->topic)
                                : (x->part > y->part) - (x->part < y->part);
}

enum cv_status writer_send(struct writer *writer, struct batch *batch, struct err *err)
{
    struct sending sending = {writer, CV_OK, err};
    struct db_args none;
    arena_reset(writer->arguments);
    db_args_init(&none, writer->arguments);
    writer->step_count = 0;
    qsort(batch->cursors, batch->cursor_count, sizeof *batch->cursors, compare_cursors);

    sending.status = db_pipeline_begin(writer->db, err);
    send(&sending, &begin_statement, &none, STEP_OTHER);
    send_fence(&sending, batch);
    send_cases(&sending, batch);
    send_active(&sending, batch);
    send_agents(&sending, batch);
    send_parked(&sending, batch);
    send_directory(&sending, batch);
    writer->numbers = batch->entity_count > 0;
    writer->commit_left = FAIL_POINT_ARMED("commit.before") ||
                          (writer->numbers && FAIL_POINT_ARMED("directory.numbered"));
    if (!writer->commit_left)
        send(&sending, &commit_statement, &none, STEP_OTHER);
    if (sending.status == CV_OK)
        sending.status = db_pipeline_end(writer->db, err);
    writer->busy = sending.status == CV_OK;
    FAIL_POINT("send.flushed");
    return sending.status;
}

/* ---- outside batches ---- */

/* Whose partitions are taken: only rows need their owner to look again. */
static void send_outside_claim(struct sending *sending, const struct batch *batch, int64_t clock)
{
    const struct batch_cursor *c = batch->cursors;
    size_t n = batch->cursor_count;
    bool *exact = arena_alloc(sending->writer->arguments, (n + 1) * sizeof *exact);
    if (batch->case_count + batch->agent_count + batch->entity_count + batch->version_count == 0)
        return;
    for (size_t i = 0; exact != NULL && i < n; i++)
        exact[i] = c[i].topic == TOPIC_DIRECTORY;
    struct db_args args;
    db_args_init(&args, sending->writer->arguments);
    db_arg_int4(&args, sending->writer->gen);
    db_arg_int8(&args, clock);
    db_arg_text_array(&args, &c->topic_name, sizeof *c, n);
    db_arg_int4_array(&args, &c->part, sizeof *c, n);
    db_arg_uuid_array(&args, &c->claim, sizeof *c, n);
    db_arg_int8_array(&args, &c->old_offset, sizeof *c, n);
    db_arg_bool_array(&args, exact, sizeof *exact, exact != NULL ? n : 0);
    send(sending, &outside_claim_statement, &args, STEP_CLAIM);
}

static bool is_refused(const struct batch *batch, const struct batch_unpark *unpark)
{
    for (size_t i = 0; i < batch->parked_count; i++) {
        const struct batch_parked *parked = &batch->parked[i];
        if (parked->offset == unpark->offset && parked->part == unpark->part &&
            str_eq(parked->topic_name, unpark->topic_name))
            return true;
    }
    return false;
}

static void send_unparks(struct sending *sending, const struct batch *batch)
{
    struct arena *arena = sending->writer->arguments;
    struct batch_unpark *folded = arena_alloc(arena, (batch->unpark_count + 1) * sizeof *folded);
    size_t n = 0;
    for (size_t i = 0; folded != NULL && i < batch->unpark_count; i++)
        if (!is_refused(batch, &batch->unparks[i]))
            folded[n++] = batch->unparks[i];
    struct db_args args;
    if (n > 0) {
        db_args_init(&args, arena);
        db_arg_text_array(&args, &folded->topic_name, sizeof *folded, n);
        db_arg_int4_array(&args, &folded->part, sizeof *folded, n);
        db_arg_int8_array(&args, &folded->offset, sizeof *folded, n);
        send(sending, &unpark_statement, &args, STEP_UNPARK);
    }
    const struct batch_parked *p = batch->parked;
    n = batch->parked_count;
    if (n == 0)
        return;
    db_args_init(&args, arena);
    db_arg_text_array(&args, &p->topic_name, sizeof *p, n);
    db_arg_int4_array(&args, &p->part, sizeof *p, n);
    db_arg_int8_array(&args, &p->offset, sizeof *p, n);
    db_arg_uuid_null_array(&args, &p->organization_id, &p->has_organization, sizeof *p, n);
    db_arg_text_array(&args, &p->reason_name, sizeof *p, n);
    db_arg_text_array(&args, &p->text, sizeof *p, n);
    send(sending, &unpark_refused_statement, &args, STEP_UNPARK);
}

enum cv_status writer_send_outside(struct writer *writer, struct batch *batch, int64_t clock, int lock_timeout_ms,
                                   struct err *err)
{
    struct sending sending = {writer, CV_OK, err};
    struct db_args none, settings;
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%dms", lock_timeout_ms);
    arena_reset(writer->arguments);
    db_args_init(&none, writer->arguments);
    db_args_init(&settings, writer->arguments);
    db_arg_text(&settings, str_of(timeout));
    writer->step_count = 0;
    writer->commit_left = writer->numbers = false;
    qsort(batch->cursors, batch->cursor_count, sizeof *batch->cursors, compare_cursors);

    sending.status = db_pipeline_begin(writer->db, err);
    send(&sending, &begin_statement, &none, STEP_OTHER);
    send(&sending, &outside_settings_statement, &settings, STEP_OTHER);
    send_outside_claim(&sending, batch, clock);
    if (batch->unpark_count > 0)
        send_unparks(&sending, batch);
    else
        send_parked(&sending, batch);
    send_cases(&sending, batch);
    send_active(&sending, batch);
    send_agents(&sending, batch);
    send_directory(&sending, batch);
    send(&sending, &commit_statement, &none, STEP_OTHER);
    if (sending.status == CV_OK)
        sending.status = db_pipeline_end(writer->db, err);
    writer->busy = sending.status == CV_OK;
    return sending.status;
}

bool writer_lost_parked(const struct writer *writer)
{
    return writer->lost_parked;
}

static enum cv_status send_commit(struct writer *writer, struct err *err)
{
    struct sending sending = {writer, CV_OK, err};
    struct db_args none;
    FAIL_POINT("commit.before");
    if (writer->numbers)
        FAIL_POINT("directory.numbered");
    db_args_init(&none, writer->arguments);
    writer->step_count = 0;
    writer->commit_left = false;
    sending.status = db_pipeline_begin(writer->db, err);
    send(&sending, &commit_statement, &none, STEP_OTHER);
    return sending.status == CV_OK ? db_pipeline_end(writer->db, err) : sending.status;
}

/* ---- how it ended ---- */

static bool is_one_of(const char *sqlstate, const char *const *codes)
{
    for (; *codes != NULL; codes++)
        if (strcmp(sqlstate, *codes) == 0)
            return true;
    return false;
}

static enum writer_outcome judge(struct writer *writer, const struct err *err)
{
    static const char *const again[] = {"40001", "40P01", "55P03", NULL};
    static const char *const refused[] = {"22012", "23505", NULL};
    int failed = db_pipeline_failed(writer->db);
    if (err->sqlstate[0] == '\0' || failed < 0)
        return WRITER_RECOVER;
    struct err rollback_err = ERR_INIT;
    if (db_exec(writer->db, &rollback_statement, NULL, ROLLBACK_TIMEOUT_MS, NULL, &rollback_err) != CV_OK)
        return WRITER_RECOVER;
    if (is_one_of(err->sqlstate, again))
        return WRITER_AGAIN;
    writer->lost_parked = writer->steps[failed] == STEP_UNPARK && is_one_of(err->sqlstate, refused);
    bool again_on_new = writer->steps[failed] != STEP_OTHER && writer->steps[failed] != STEP_FENCE;
    if (again_on_new && is_one_of(err->sqlstate, refused))
        return WRITER_REFOLD;
    return WRITER_RECOVER;
}

enum writer_outcome writer_poll(struct writer *writer, struct err *err)
{
    if (!writer->busy)
        return WRITER_IDLE;
    enum cv_status status = db_pipeline_poll(writer->db, err);
    if (status == CV_RETRY && db_pipeline_busy(writer->db))
        return WRITER_BUSY;
    if (status == CV_OK && writer->commit_left) {
        if (send_commit(writer, err) == CV_OK)
            return WRITER_BUSY;
        writer->busy = false;
        return WRITER_RECOVER;
    }
    if (status == CV_OK)
        FAIL_POINT("commit.unnoticed");
    writer->busy = false;
    return status == CV_OK ? WRITER_COMMITTED : judge(writer, err);
}
