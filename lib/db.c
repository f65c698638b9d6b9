#include "db_internal.h"

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

static void on_notice(void *context, const char *message)
{
    const struct db *db = context;
    char *text CV_CLEANUP(cv_free_ptr) = db_hide(db, message);
    log_debug("database: %s", text);
}

enum { CANCEL_EVERY_MS = 100 };

static bool stop_cancels(void *context CV_UNUSED)
{
    return stop_requested();
}

/* libpq tries all hosts and their addresses; the socket may change with each step. */
static enum cv_status finish_connecting(struct db *db, int64_t deadline_ms, const struct db_cancel *cancel,
                                        struct err *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (PQstatus(db->conn) != CONNECTION_BAD && step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0) {
            char *text CV_CLEANUP(cv_free_ptr) = db_hide(db, PQerrorMessage(db->conn));
            err_set(err, "database: not connected within the time-out%s%s", text[0] != '\0' ? ": " : "", text);
            return CV_RETRY;
        }
        if (cancel->cancelled(cancel->context)) {
            err_set(err, "database: stopped while connecting");
            return CV_RETRY;
        }
        struct pollfd fd = {.fd = PQsocket(db->conn), .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (poll(&fd, 1, left > CANCEL_EVERY_MS ? CANCEL_EVERY_MS : (int)left) > 0)
            step = PQconnectPoll(db->conn);
    }
    if (PQstatus(db->conn) == CONNECTION_OK)
        return CV_OK;
    char *text CV_CLEANUP(cv_free_ptr) = db_hide(db, PQerrorMessage(db->conn));
    err_set(err, "database: %s", text[0] != '\0' ? text : "not connected");
    /* How libpq words a connection string that contradicts itself; no host was tried then. */
    bool contradicts = strncmp(text, "invalid ", 8) == 0 || strncmp(text, "could not match ", 16) == 0;
    return contradicts ? CV_FATAL : CV_RETRY;
}

/* Sends a script and reads all of its answers; the first refusal is reported. */
static enum cv_status run_script(struct db *db, const char *sql, int64_t deadline_ms, struct err *err)
{
    assert(db->pipeline == PIPELINE_NONE);
    db_pipeline_clear(db);
    if (db_is_lost(db) || !PQsendQuery(db->conn, sql))
        return db_lose(db, "script", err);
    bool refused = false;
    for (;;) {
        int flushed = PQflush(db->conn);
        if (flushed < 0 || !PQconsumeInput(db->conn))
            return db_lose(db, "script", err);
        if (PQisBusy(db->conn)) {
            if (db_wait(db, flushed == 1, deadline_ms))
                continue;
            err_set(&db->err, "no answer within the time-out");
            return db_lose(db, "script", err);
        }
        PGresult *rows = PQgetResult(db->conn);
        if (rows == NULL)
            break;
        ExecStatusType status = PQresultStatus(rows);
        bool ended = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
        if (status == PGRES_FATAL_ERROR && !refused) {
            refused = true;
            ended = db_refusal(db, rows, "script", &db->err);
        }
        PQclear(rows);
        if (ended || db_is_lost(db))
            return db_lose(db, "script", err);
    }
    if (refused && err != NULL)
        *err = db->err;
    return refused ? CV_RETRY : CV_OK;
}

enum cv_status db_script(struct db *db, const char *sql, int timeout_ms, struct err *err)
{
    return run_script(db, sql, timeout_ms != 0 ? clock_mono_ms() + timeout_ms : 0, err);
}

/* Names and texts are UTF-8: another encoding would refuse some of them, in the middle of the work. */
static enum cv_status check_encoding(const struct db *db, struct err *err)
{
    const char *encoding = PQparameterStatus(db->conn, "server_encoding");
    if (encoding == NULL || strcmp(encoding, "UTF8") == 0)
        return CV_OK;
    err_set(err,
            "database: its encoding is %s, but Caseview needs UTF8 (createdb --encoding=UTF8 --template=template0)",
            encoding);
    return CV_FATAL;
}

static enum cv_status connect_and_set_up(struct db *db, const char *setup, int timeout_ms,
                                         const struct db_cancel *cancel, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    PQsetNoticeProcessor(db->conn, on_notice, db);
    enum cv_status status = finish_connecting(db, deadline_ms, cancel, err);
    if (status != CV_OK)
        return status;
    if (PQsetnonblocking(db->conn, 1) != 0)
        return db_lose(db, "database", err);
    status = check_encoding(db, err);
    if (status != CV_OK)
        return status;
    return setup != NULL ? run_script(db, setup, deadline_ms, err) : CV_OK;
}

enum cv_status db_open(const char *conninfo, const char *application_name, const char *setup, int timeout_ms,
                       struct db **out_db, struct err *err)
{
    static const struct db_cancel on_stop = {.cancelled = stop_cancels};
    return db_open_unless(conninfo, application_name, setup, timeout_ms, &on_stop, out_db, err);
}

enum cv_status db_open_unless(const char *conninfo, const char *application_name, const char *setup, int timeout_ms,
                              const struct db_cancel *cancel, struct db **out_db, struct err *err)
{
    struct db *db = cv_zalloc(sizeof *db);
    db->failed = -1;
    enum cv_status status = db_start(db, conninfo, application_name, err);
    if (status == CV_OK)
        status = connect_and_set_up(db, setup, timeout_ms, cancel, err);
    if (status != CV_OK) {
        db_close(db);
        return status;
    }
    *out_db = db;
    return CV_OK;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    db_pipeline_done(db);
    PQfinish(db->conn);
    db_hidden_done(db);
    free(db);
}

/* The start of its postmaster tells a server from a copy of it: both have the same system identifier. */
static enum cv_status read_server(struct db *db, int timeout_ms, char *out, size_t size, bool *out_recovery,
                                  struct err *err)
{
    static const struct db_statement statement = {
        "server_identity", "SELECT pg_catalog.format('%s %s', (SELECT system_identifier FROM pg_control_system()), "
                           "pg_postmaster_start_time()), pg_is_in_recovery()"};
    struct db_result *result = NULL;
    enum cv_status status = db_exec(db, &statement, NULL, timeout_ms, &result, err);
    if (status != CV_OK)
        return status;
    struct str identity = db_str(result, 0, 0);
    snprintf(out, size, "%.*s", (int)identity.len, identity.ptr);
    *out_recovery = db_bool(result, 0, 1);
    db_result_free(result);
    return CV_OK;
}

enum cv_status db_same_server(struct db *a, struct db *b, int timeout_ms, struct err *err)
{
    char identity_a[128], identity_b[128];
    bool recovery_a, recovery_b;
    enum cv_status status = read_server(a, timeout_ms, identity_a, sizeof identity_a, &recovery_a, err);
    if (status == CV_OK)
        status = read_server(b, timeout_ms, identity_b, sizeof identity_b, &recovery_b, err);
    if (status != CV_OK)
        return status;
    if (recovery_a || recovery_b) {
        err_set(err, "database: the server is in recovery (a standby), it cannot be written");
        return CV_RETRY;
    }
    if (strcmp(identity_a, identity_b) == 0)
        return CV_OK;
    err_set(err, "database: two connections reached different servers; connecting again");
    return CV_RETRY;
}

/* Runs one statement as a pipeline, so that answers are read in one place only. */
static enum cv_status exec_once(struct db *db, const struct db_statement *statement, const struct db_args *args,
                                int64_t deadline_ms, struct err *err)
{
    enum cv_status status = db_pipeline_begin(db, err);
    if (status == CV_OK)
        status = db_pipeline_send(db, statement, args, err);
    if (status == CV_OK)
        status = db_pipeline_end(db, err);
    while (status == CV_OK) {
        status = db_pipeline_poll(db, err);
        if (!db_pipeline_busy(db))
            break;
        if (!db_wait(db, db->wants_write, deadline_ms)) {
            err_set(&db->err, "no answer within the time-out");
            return db_lose(db, statement->name, err);
        }
        status = CV_OK;
    }
    return status;
}

enum cv_status db_exec(struct db *db, const struct db_statement *statement, const struct db_args *args, int timeout_ms,
                       struct db_result **out_result, struct err *err)
{
    if (args != NULL && args->failed) { /* nothing was sent, the connection remains usable */
        err_set(err, "%s: the arguments do not fit in their memory", statement->name);
        return CV_FATAL;
    }
    int64_t deadline_ms = timeout_ms != 0 ? clock_mono_ms() + timeout_ms : 0;
    bool in_transaction = PQtransactionStatus(db->conn) != PQTRANS_IDLE;
    enum cv_status status = exec_once(db, statement, args, deadline_ms, err);
    /*
     * 0A000: a view has changed since the statement was prepared. A transaction has failed with it, so no retry there.
     */
    if (status == CV_RETRY && strcmp(db->err.sqlstate, "0A000") == 0 && !in_transaction)
        status = exec_once(db, statement, args, deadline_ms, err);
    if (status != CV_OK || out_result == NULL)
        return status;
    struct db_result *result = cv_alloc(sizeof *result);
    *result = db->results[0];
    db->results[0].rows = NULL;
    *out_result = result;
    return CV_OK;
}
