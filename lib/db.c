#include "db_internal.h"

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

/* Ours unless the conninfo says otherwise: a peer that vanished is noticed in about 20 s, not in hours. */
static const struct {
    const char *keyword;
    const char *value;
} defaults[] = {
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"},
};

enum { KEYWORDS_MAX = 96 }; /* libpq 15 knows 43 */

enum cv_status db_lose(struct db *db, const char *doing, struct err *err)
{
    db->lost = true;
    db->pipeline = PIPELINE_NONE;
    db->wants_write = false;
    db->failed = -1;
    const char *text = db->err.text[0] ? db->err.text : PQerrorMessage(db->conn);
    err_set(err, "%s: the database connection is lost: %s", doing, text[0] ? text : "closed by the other side");
    return CV_RETRY;
}

/*
 * Only the primary text: DETAIL of a refused row shows its content, and that belongs into no log. A FATAL of the server
 * ends the connection, so that its code would only mislead.
 */
bool db_refusal(const PGresult *rows, const char *statement, struct err *err)
{
    const char *text = PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
    const char *code = PQresultErrorField(rows, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(rows, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!text || !code || !severity) { /* libpq's own: the connection broke */
        const char *message = PQresultErrorMessage(rows);
        err_set(err, "%s", message[0] ? message : "no answer");
        return true;
    }
    bool ended = strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
    if (ended) {
        err_set(err, "%s (SQLSTATE %s)", text, code);
        return true;
    }
    err_set(err, "%s: %s (SQLSTATE %s)", statement, text, code);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", code);
    return false;
}

bool db_wait(const struct db *db, bool writable, int64_t deadline_ms)
{
    int timeout = -1;
    if (deadline_ms) {
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0)
            return false;
        timeout = left > 60000 ? 60000 : (int)left;
    }
    struct pollfd fd = {.fd = PQsocket(db->conn), .events = (short)(POLLIN | (writable ? POLLOUT : 0))};
    poll(&fd, 1, timeout); /* an interrupted or early return only makes the caller look again */
    return true;
}

static void on_notice(void *context CV_UNUSED, const char *message)
{
    log_debug("database: %s", message);
}

static bool given(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword; option++)
        if (option->val && strcmp(option->keyword, keyword) == 0)
            return true;
    return false;
}

/* libpq quotes the piece that it could not read, which may be a part of a password. */
static PQconninfoOption *parse_conninfo(const char *conninfo, struct err *err)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo ? conninfo : "", &message);
    if (!options) {
        bool secret = !message || strcasestr(conninfo, "pass") || strchr(conninfo, '@') || strchr(conninfo, '\'');
        err_set(err, "database: no valid connection string or URI%s%s",
                secret ? " (an unknown keyword, or a value that needs quotes or percent escapes)" : ": ",
                secret ? "" : message);
    }
    PQfreemem(message);
    return options;
}

/* Starts a connection with the caller's options, ours where those say nothing. */
static PGconn *start(const PQconninfoOption *options, const char *application_name)
{
    const char *keywords[KEYWORDS_MAX + 1];
    const char *values[KEYWORDS_MAX + 1];
    size_t n = 0;
    for (const PQconninfoOption *option = options; option->keyword; option++) {
        if (!option->val || strcmp(option->keyword, "client_encoding") == 0)
            continue;
        assert(n < KEYWORDS_MAX - ARRAY_LEN(defaults) - 2);
        keywords[n] = option->keyword;
        values[n++] = option->val;
    }
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        if (given(options, defaults[i].keyword))
            continue;
        keywords[n] = defaults[i].keyword;
        values[n++] = defaults[i].value;
    }
    if (!given(options, "fallback_application_name")) {
        keywords[n] = "fallback_application_name";
        values[n++] = application_name;
    }
    keywords[n] = "client_encoding";
    values[n++] = "UTF8";
    keywords[n] = NULL;
    values[n] = NULL;
    return PQconnectStartParams(keywords, values, 0);
}

/* libpq goes through all hosts and their addresses by itself; the socket may be another one after each step. */
static enum cv_status finish_connecting(struct db *db, int64_t deadline_ms, struct err *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (PQstatus(db->conn) != CONNECTION_BAD && step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0) {
            const char *text = PQerrorMessage(db->conn);
            err_set(err, "database: no connection in time%s%s", text[0] ? ": " : "", text);
            return CV_RETRY;
        }
        if (stop_requested()) {
            err_set(err, "database: stopped while connecting");
            return CV_RETRY;
        }
        struct pollfd fds[] = {
            {.fd = PQsocket(db->conn), .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT},
            {.fd = stop_fd(), .events = POLLIN},
        };
        if (poll(fds, ARRAY_LEN(fds), left > 60000 ? 60000 : (int)left) > 0 && fds[0].revents != 0)
            step = PQconnectPoll(db->conn);
    }
    if (PQstatus(db->conn) == CONNECTION_OK)
        return CV_OK;
    const char *text = PQerrorMessage(db->conn);
    err_set(err, "database: %s", text[0] ? text : "no connection");
    /* These are libpq's words for options that contradict themselves, before any host was asked. */
    bool hopeless = strncmp(text, "invalid ", 8) == 0 || strncmp(text, "could not match ", 16) == 0;
    return hopeless ? CV_FATAL : CV_RETRY;
}

/* Sends a script and reads all of its answers; the first refusal counts. */
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
            err_set(&db->err, "no answer in time");
            return db_lose(db, "script", err);
        }
        PGresult *rows = PQgetResult(db->conn);
        if (!rows)
            break;
        ExecStatusType status = PQresultStatus(rows);
        bool ended = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
        if (status == PGRES_FATAL_ERROR && !refused) {
            refused = true;
            ended = db_refusal(rows, "script", &db->err);
        }
        PQclear(rows);
        if (ended || db_is_lost(db))
            return db_lose(db, "script", err);
    }
    if (refused && err)
        *err = db->err;
    return refused ? CV_RETRY : CV_OK;
}

enum cv_status db_script(struct db *db, const char *sql, struct err *err)
{
    return run_script(db, sql, 0, err);
}

static enum cv_status connect_and_set_up(struct db *db, const char *setup, int timeout_ms, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    PQsetNoticeProcessor(db->conn, on_notice, NULL);
    enum cv_status status = finish_connecting(db, deadline_ms, err);
    if (status != CV_OK)
        return status;
    if (PQsetnonblocking(db->conn, 1) != 0)
        return db_lose(db, "database", err);
    return setup ? run_script(db, setup, deadline_ms, err) : CV_OK;
}

enum cv_status db_open(const char *conninfo, const char *application_name, const char *setup, int timeout_ms,
                       struct db **out_db, struct err *err)
{
    PQconninfoOption *options = parse_conninfo(conninfo, err);
    if (!options)
        return CV_FATAL;
    struct db *db = cv_zalloc(sizeof *db);
    db->failed = -1;
    db->conn = start(options, application_name);
    PQconninfoFree(options);
    if (!db->conn) {
        err_set(err, "database: out of memory");
        db_close(db);
        return CV_RETRY;
    }
    enum cv_status status = connect_and_set_up(db, setup, timeout_ms, err);
    if (status != CV_OK) {
        db_close(db);
        return status;
    }
    *out_db = db;
    return CV_OK;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db_pipeline_done(db);
    PQfinish(db->conn);
    free(db);
}

bool db_is_lost(const struct db *db)
{
    return db->lost || PQstatus(db->conn) == CONNECTION_BAD;
}

int db_socket(const struct db *db)
{
    return PQsocket(db->conn);
}

bool db_wants_write(const struct db *db)
{
    return db->wants_write;
}

int db_backend_pid(const struct db *db)
{
    return PQbackendPID(db->conn);
}

/* One statement as a pipeline of its own, so that there is one way in which answers are read. */
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
            err_set(&db->err, "no answer in time");
            return db_lose(db, statement->name, err);
        }
        status = CV_OK;
    }
    return status;
}

enum cv_status db_exec(struct db *db, const struct db_statement *statement, const struct db_args *args, int timeout_ms,
                       struct db_result **out_result, struct err *err)
{
    if (args && args->failed) { /* before anything is sent: the connection stays as it is */
        err_set(err, "%s: its arguments do not fit into the memory set aside for them", statement->name);
        return CV_FATAL;
    }
    int64_t deadline_ms = timeout_ms ? clock_mono_ms() + timeout_ms : 0;
    bool in_transaction = PQtransactionStatus(db->conn) != PQTRANS_IDLE;
    enum cv_status status = exec_once(db, statement, args, deadline_ms, err);
    /* A view below has changed its shape since the statement was prepared; inside a transaction all is lost anyway. */
    if (status == CV_RETRY && strcmp(db->err.sqlstate, "0A000") == 0 && !in_transaction)
        status = exec_once(db, statement, args, deadline_ms, err);
    if (status != CV_OK || !out_result)
        return status;
    struct db_result *result = cv_alloc(sizeof *result);
    *result = db->results[0];
    db->results[0].rows = NULL;
    *out_result = result;
    return CV_OK;
}
