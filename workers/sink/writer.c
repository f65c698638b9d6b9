#include "workers/sink/writer.h"

#include <stdio.h>

#include "caseview/failpoint.h"
#include "sql_worker.h"

static const struct db_statement rollback_statement = {"rollback", sql_rollback};

#define ROLLBACK_TIMEOUT_MS 5000
#define QUERY_TIMEOUT_MS    5000
#define FENCE               1 /* its place among the statements of a worker's batch: after BEGIN */

struct writer {
    const char *conninfo;
    int32_t gen;
    int connect_timeout_ms;
    struct db *db;
    struct db *loader;
    struct write_steps steps;
    bool busy;
    bool ended; /* all statements are sent */
    enum cv_status sending;
    struct err err; /* why sending failed */
    bool lost_parked;
    int64_t fence_us;
};

struct writer *writer_new(const char *conninfo, int32_t gen, int connect_timeout_ms)
{
    struct writer *writer = cv_zalloc(sizeof *writer);
    writer->conninfo = conninfo;
    writer->gen = gen;
    writer->connect_timeout_ms = connect_timeout_ms;
    write_steps_init(&writer->steps, gen);
    return writer;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL)
        return;
    writer_disconnect(writer);
    write_steps_done(&writer->steps);
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
    if (writer->db != NULL && writer->loader != NULL)
        return CV_OK;
    if (writer->db == NULL)
        status = open_one(writer, "caseview worker", &writer->db, err);
    if (status == CV_OK && writer->loader == NULL)
        status = open_one(writer, "caseview worker (reads)", &writer->loader, err);
    /* With several hosts in the connection string each connection may have found another one. */
    if (status == CV_OK)
        status = db_same_server(writer->db, writer->loader, QUERY_TIMEOUT_MS, err);
    if (status != CV_OK)
        writer_disconnect(writer);
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

int64_t writer_fence_us(const struct writer *writer)
{
    return writer->fence_us;
}

bool writer_lost_parked(const struct writer *writer)
{
    return writer->lost_parked;
}

/* ---- sending ---- */

/* All but COMMIT is on its way: what happens here happens to a transaction that is open on the server. */
static void before_commit(const struct writer *writer)
{
    FAIL_POINT("commit.before");
    if (writer->steps.batch->entity_count > 0)
        FAIL_POINT("directory.numbered");
}

/* Sends as much as the socket takes; the rest when it takes more. */
static enum cv_status send_more(struct writer *writer)
{
    struct write_steps *steps = &writer->steps;
    enum cv_status status = CV_OK;
    while (status == CV_OK && !write_steps_ended(steps)) {
        if (!db_pipeline_has_room(writer->db) || write_steps_at_commit(steps)) {
            status = db_pipeline_flush(writer->db, &writer->err);
            if (status != CV_OK || !db_pipeline_has_room(writer->db))
                return status;
            if (write_steps_at_commit(steps))
                before_commit(writer);
        }
        status = write_steps_next(steps, &writer->err);
    }
    if (status == CV_OK) {
        status = db_pipeline_end(writer->db, &writer->err);
        writer->ended = true;
        FAIL_POINT("send.flushed");
    }
    return status;
}

void writer_send(struct writer *writer, const struct batch *batch, struct names *names,
                 const struct operator_steps *command)
{
    writer->busy = true;
    writer->ended = writer->lost_parked = false;
    writer->err = (struct err)ERR_INIT;
    writer->sending = db_pipeline_begin(writer->db, &writer->err);
    write_steps_begin(&writer->steps, writer->db, writer->loader, batch, names, command);
    if (writer->sending == CV_OK)
        writer->sending = send_more(writer);
}

void writer_push(struct writer *writer)
{
    if (writer->busy && writer->sending == CV_OK && !writer->ended)
        writer->sending = send_more(writer);
}

/* ---- the outcome ---- */

static bool is_one_of(const char *sqlstate, const char *const *codes)
{
    for (; *codes != NULL; codes++)
        if (strncmp(sqlstate, *codes, strlen(*codes)) == 0)
            return true;
    return false;
}

enum writer_outcome writer_outcome_of(const char *sqlstate, enum write_step step)
{
    static const char *const again[] = {"40001", "40P01", "55P03", NULL};
    static const char *const for_good[] = {"22", "23", "54", NULL};
    bool check_failed = strcmp(sqlstate, "22012") == 0;
    if (is_one_of(sqlstate, again))
        return WRITER_AGAIN;
    if (check_failed && step == STEP_FENCE)
        return WRITER_FENCED;
    bool exists = strcmp(sqlstate, "23505") == 0 && step == STEP_ROWS;
    if (exists || (check_failed && step != STEP_OTHER))
        return WRITER_CONFLICT;
    return is_one_of(sqlstate, for_good) ? WRITER_REFUSED : WRITER_LOST;
}

static enum writer_outcome judge(struct writer *writer, const struct err *err)
{
    struct err rollback_err = ERR_INIT;
    if (err->sqlstate[0] == '\0' || db_pipeline_failed(writer->db) < 0)
        return WRITER_LOST;
    enum write_step step = write_steps_kind(&writer->steps, db_pipeline_failed(writer->db));
    enum writer_outcome outcome = writer_outcome_of(err->sqlstate, step);
    writer->lost_parked = outcome == WRITER_CONFLICT && step == STEP_UNPARK;
    if (db_exec(writer->db, &rollback_statement, NULL, ROLLBACK_TIMEOUT_MS, NULL, &rollback_err) != CV_OK)
        return WRITER_LOST;
    return outcome;
}

enum writer_outcome writer_poll(struct writer *writer, struct err *err)
{
    if (!writer->busy)
        return WRITER_IDLE;
    writer_push(writer);
    if (writer->sending != CV_OK) {
        *err = writer->err;
        writer_disconnect(writer); /* the pipeline is half built */
        return WRITER_LOST;
    }
    if (!writer->ended)
        return WRITER_BUSY;
    enum cv_status status = db_pipeline_poll(writer->db, err);
    if (status == CV_RETRY && db_pipeline_busy(writer->db))
        return WRITER_BUSY;
    writer->busy = false;
    if (status != CV_OK)
        return judge(writer, err);
    if (write_steps_kind(&writer->steps, FENCE) == STEP_FENCE)
        writer->fence_us = db_int8(db_pipeline_result(writer->db, FENCE), 0, 1);
    FAIL_POINT("commit.unnoticed");
    return WRITER_COMMITTED;
}
