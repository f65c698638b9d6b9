/*
 * One connection: whether it can still be used, and why not.
 */
#include "db_internal.h"

#include <errno.h>
#include <poll.h>

#include "caseview/clock.h"

enum cv_status db_lose(struct db *db, const char *doing, struct err *err)
{
    db->lost = true;
    db->pipeline = PIPELINE_NONE;
    db->wants_write = false;
    db->failed = -1;
    char *text CV_CLEANUP(cv_free_ptr) = db_hide(db, db->err.text[0] != '\0' ? db->err.text : PQerrorMessage(db->conn));
    err_set(err, "%s: database connection lost: %s", doing, text[0] != '\0' ? text : "closed by the server");
    return CV_RETRY;
}

/*
 * Only the primary message: DETAIL shows the content of a refused row, which belongs in no log. A FATAL of the server
 * ends the connection, so its SQLSTATE would mislead the caller.
 */
bool db_refusal(const struct db *db, const PGresult *rows, const char *statement, struct err *err)
{
    const char *message = PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
    const char *code = PQresultErrorField(rows, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(rows, PG_DIAG_SEVERITY_NONLOCALIZED);
    bool from_server = message != NULL && code != NULL && severity != NULL;
    char *text CV_CLEANUP(cv_free_ptr) = db_hide(db, from_server ? message : PQresultErrorMessage(rows));
    if (!from_server) { /* libpq's own: the connection broke */
        err_set(err, "%s", text[0] != '\0' ? text : "no answer");
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
    if (deadline_ms != 0) {
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0)
            return false;
        timeout = left > 60000 ? 60000 : (int)left;
    }
    struct pollfd fd = {.fd = PQsocket(db->conn), .events = (short)(POLLIN | (writable ? POLLOUT : 0))};
    poll(&fd, 1, timeout); /* after an early return the caller polls again */
    return true;
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
