/*
 * The pipeline keeps a list of what was sent; the server answers in that order. A statement that the server has not
 * prepared yet is preceded by a Parse, which has no index that callers see.
 *
 * A large pipeline is passed to libpq piece by piece: after each partial write libpq moves the rest of its buffer to
 * the front, and sending 250 MB at once would take half a minute of memmove.
 */
#include "db_internal.h"

#include <poll.h>
#include <stdio.h>

/* libpq gets no further statement while it has this many unsent bytes. */
#define GIVEN_MAX ((size_t)256 << 10)

void db_pipeline_clear(struct db *db)
{
    for (int i = 0; i < db->result_count; i++)
        PQclear(db->results[i].rows);
    db->result_count = 0;
    db->sent_count = 0;
    db->sent_head = 0;
    db->waiting_count = db->waiting_head = 0;
    db->given = 0;
    db->synced = false;
    db->failed = -1;
    err_set(&db->err, "%s", "");
}

void db_pipeline_done(struct db *db)
{
    db_pipeline_clear(db);
    free(db->results);
    free(db->sent);
    free(db->waiting);
    for (int i = 0; i < db->prepared_count; i++)
        free(db->prepared[i].name);
    free(db->prepared);
}

enum cv_status db_pipeline_begin(struct db *db, struct err *err)
{
    assert(db->pipeline == PIPELINE_NONE);
    db_pipeline_clear(db);
    if (db_is_lost(db) || !PQenterPipelineMode(db->conn))
        return db_lose(db, "pipeline", err);
    db->pipeline = PIPELINE_OPEN;
    return CV_OK;
}

int db_find_prepared(struct db *db, const char *name)
{
    assert(strlen(name) < 64); /* PostgreSQL truncates longer names in DEALLOCATE */
    for (int i = 0; i < db->prepared_count; i++)
        if (strcmp(db->prepared[i].name, name) == 0)
            return i;
    if (db->prepared_count == db->prepared_cap) {
        db->prepared_cap = db->prepared_cap ? db->prepared_cap * 2 : 16;
        db->prepared = cv_realloc(db->prepared, (size_t)db->prepared_cap * sizeof *db->prepared);
    }
    db->prepared[db->prepared_count] = (struct prepared){cv_strdup(name), PREPARED_NOT};
    return db->prepared_count++;
}

void db_note_sent(struct db *db, enum sent_kind kind, int prepared, int query)
{
    if (db->sent_count == db->sent_cap) {
        db->sent_cap = db->sent_cap ? db->sent_cap * 2 : 32;
        db->sent = cv_realloc(db->sent, (size_t)db->sent_cap * sizeof *db->sent);
    }
    db->sent[db->sent_count++] = (struct sent){.kind = kind, .prepared = prepared, .query = query};
}

static bool send_deallocate(struct db *db, int prepared, int query)
{
    char sql[256];
    char *name = PQescapeIdentifier(db->conn, db->prepared[prepared].name, strlen(db->prepared[prepared].name));
    if (name == NULL)
        return false;
    int n = snprintf(sql, sizeof sql, "DEALLOCATE %s", name);
    PQfreemem(name);
    assert(n > 0 && n < (int)sizeof sql); /* names are short, see db_find_prepared() */
    if (!PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 1))
        return false;
    db_note_sent(db, SENT_DEALLOCATE, prepared, query);
    return true;
}

/* Sends a Parse before the statement when the server has not prepared it. */
static bool send_parse(struct db *db, int prepared, const struct db_statement *statement, const struct db_args *args,
                       int query)
{
    struct prepared *entry = &db->prepared[prepared];
    if (entry->state == PREPARED_YES || entry->state == PREPARED_SENT)
        return true;
    if (entry->state == PREPARED_STALE && !send_deallocate(db, prepared, query))
        return false;
    if (!PQsendPrepare(db->conn, entry->name, statement->sql, args->count, args->types))
        return false;
    db_note_sent(db, SENT_PARSE, prepared, query);
    /* A stale statement remains stale until its DEALLOCATE has succeeded. */
    if (entry->state == PREPARED_NOT)
        entry->state = PREPARED_SENT;
    return true;
}

/*
 * Each comment makes another text, which the server would have to keep. The statement stays prepared for other calls.
 */
static bool send_in_full(struct db *db, const struct db_statement *statement, const struct db_args *args,
                         const int *formats)
{
    size_t size = strlen(statement->sql) + strlen(args->comment) + 1;
    char *sql CV_CLEANUP(cv_free_ptr) = cv_alloc(size);
    snprintf(sql, size, "%s%s", statement->sql, args->comment);
    return PQsendQueryParams(db->conn, sql, args->count, args->types, args->values, args->lengths, formats, 1);
}

bool db_give(struct db *db, const struct db_statement *statement, const struct db_args *args, int prepared, int query)
{
    static const int binary[ARRAY_LEN(args->values)] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    if (args->comment != NULL) {
        if (!send_in_full(db, statement, args, binary))
            return false;
    } else if (!send_parse(db, prepared, statement, args, query) ||
               !PQsendQueryPrepared(db->conn, statement->name, args->count, args->values, args->lengths, binary, 1))
        return false;
    db_note_sent(db, SENT_QUERY, prepared, query);
    return true;
}

static bool give_next(struct db *db)
{
    const struct waiting *next = &db->waiting[db->waiting_head++];
    for (int i = 0; i < next->args.count; i++)
        db->given += (size_t)next->args.lengths[i];
    return db_give(db, next->statement, &next->args, next->prepared, next->query);
}

/* Passes more statements to libpq, up to GIVEN_MAX, and a Sync after the last one. */
static bool give_more(struct db *db)
{
    if (db->failed >= 0) /* the server would skip the rest up to the Sync */
        db->waiting_head = db->waiting_count;
    while (db->waiting_head < db->waiting_count && db->given < GIVEN_MAX)
        if (!give_next(db))
            return false;
    if (db->waiting_head < db->waiting_count || db->pipeline == PIPELINE_OPEN)
        return true;
    /* An implicit transaction commits at the Sync; an error there is reported for the last statement. */
    db->synced = true;
    db_note_sent(db, SENT_SYNC, db->sent[db->sent_count - 1].prepared, db->result_count - 1);
    return PQpipelineSync(db->conn) == 1;
}

bool db_flush(struct db *db)
{
    for (;;) {
        int flushed = PQflush(db->conn);
        if (flushed < 0)
            return false;
        db->wants_write = flushed == 1;
        if (db->wants_write || db->synced)
            return true;
        db->given = 0;
        if (db->pipeline == PIPELINE_OPEN && db->waiting_head == db->waiting_count)
            return true;
        if (!give_more(db))
            return false;
    }
}

enum cv_status db_pipeline_send(struct db *db, const struct db_statement *statement, const struct db_args *args,
                                struct err *err)
{
    assert(db->pipeline == PIPELINE_OPEN);
    assert(db->result_count < DB_PIPELINE_MAX);
    if (args != NULL && args->failed) {
        err_set(err, "%s: the arguments do not fit in their memory", statement->name);
        return CV_FATAL;
    }
    if (db_is_lost(db))
        return db_lose(db, statement->name, err);

    if (db->waiting_count == db->waiting_cap) {
        db->waiting_cap = db->waiting_cap ? db->waiting_cap * 2 : 16;
        db->waiting = cv_realloc(db->waiting, (size_t)db->waiting_cap * sizeof *db->waiting);
    }
    struct waiting *next = &db->waiting[db->waiting_count++];
    next->statement = statement;
    next->prepared = db_find_prepared(db, statement->name);
    next->query = db->result_count;
    if (args != NULL)
        next->args = *args;
    else
        db_args_init(&next->args, NULL);

    if (db->result_count == db->result_cap) {
        db->result_cap = db->result_cap ? db->result_cap * 2 : 16;
        db->results = cv_realloc(db->results, (size_t)db->result_cap * sizeof *db->results);
    }
    db->results[db->result_count++] = (struct db_result){NULL};
    if (!give_more(db))
        return db_lose(db, statement->name, err);
    return CV_OK;
}

bool db_pipeline_has_room(const struct db *db)
{
    return db->waiting_head == db->waiting_count && !db->wants_write && db->given < GIVEN_MAX;
}

enum cv_status db_pipeline_flush(struct db *db, struct err *err)
{
    assert(db->pipeline == PIPELINE_OPEN);
    if (db_is_lost(db) || !db_flush(db) || !PQconsumeInput(db->conn))
        return db_lose(db, "pipeline", err);
    return CV_OK;
}

enum cv_status db_pipeline_end(struct db *db, struct err *err)
{
    assert(db->pipeline == PIPELINE_OPEN && db->result_count > 0);
    db->pipeline = PIPELINE_BUSY;
    if (db_is_lost(db) || !give_more(db) || !db_flush(db))
        return db_lose(db, "pipeline", err);
    return CV_OK;
}

/*
 * Updates what is known of the server's prepared statement after a refusal. A stream may have several Parses of one
 * statement in flight, one refused and a later one not: a wrong guess then returns as 42P05 or 26000, and the next send
 * corrects it.
 */
static void note_prepared(struct prepared *prepared, enum sent_kind kind, const char *sqlstate)
{
    if (strcmp(sqlstate, kind == SENT_PARSE ? "42P05" : "0A000") ==
        0) /* exists already; a view that it uses has changed */
        prepared->state = PREPARED_STALE;
    else if (kind == SENT_PARSE && prepared->state == PREPARED_SENT)
        prepared->state = PREPARED_NOT;
    else if (strcmp(sqlstate, "26000") == 0 && prepared->state != PREPARED_SENT) /* no such prepared statement */
        prepared->state = PREPARED_NOT;
}

static void take_success(struct db *db, const struct sent *sent, PGresult *rows)
{
    struct prepared *prepared = &db->prepared[sent->prepared];
    switch (sent->kind) {
    case SENT_DEALLOCATE:
        prepared->state = PREPARED_SENT; /* its Parse comes next */
        break;
    case SENT_PARSE:
        prepared->state = PREPARED_YES;
        break;
    case SENT_QUERY:
        db->results[sent->query].rows = rows;
        return;
    case SENT_SYNC:
        break;
    }
    PQclear(rows);
}

/* A Parse that was refused, or skipped after an earlier refusal, must be sent again next time. */
static void take_failure(struct db *db, const struct sent *sent, PGresult *rows)
{
    struct prepared *prepared = &db->prepared[sent->prepared];
    bool reached = PQresultStatus(rows) != PGRES_PIPELINE_ABORTED;
    if (reached && db->failed < 0) {
        db->failed = sent->query;
        if (db_refusal(db, rows, prepared->name, &db->err))
            db->lost = true;
    }
    note_prepared(prepared, sent->kind, reached ? db->err.sqlstate : "");
    PQclear(rows);
}

bool db_take(struct db *db, PGresult *rows)
{
    struct sent *sent = &db->sent[db->sent_head];
    if (rows == NULL) { /* end of one command's answers; a Sync has a result of its own instead */
        if (!sent->answered)
            return false;
        if (sent->kind != SENT_SYNC)
            db->sent_head++;
        return true;
    }
    switch (PQresultStatus(rows)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(rows);
        db->sent_head++;
        return sent->kind == SENT_SYNC;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (sent->answered || sent->kind == SENT_SYNC) {
            PQclear(rows);
            return false;
        }
        sent->answered = true;
        take_success(db, sent, rows);
        return true;
    case PGRES_FATAL_ERROR:
    case PGRES_PIPELINE_ABORTED:
        sent->answered = true;
        take_failure(db, sent, rows);
        return !db->lost;
    default: /* COPY and others are not possible in a pipeline */
        PQclear(rows);
        return false;
    }
}

static enum cv_status finish(struct db *db, struct err *err)
{
    db->pipeline = PIPELINE_NONE;
    if (!PQexitPipelineMode(db->conn))
        return db_lose(db, "pipeline", err);
    if (db->failed < 0)
        return CV_OK;
    if (err != NULL)
        *err = db->err;
    return CV_RETRY;
}

enum cv_status db_pipeline_poll(struct db *db, struct err *err)
{
    assert(db->pipeline == PIPELINE_BUSY);
    if (db_is_lost(db) || !db_flush(db) || !PQconsumeInput(db->conn))
        return db_lose(db, "pipeline", err);
    while (db->sent_head < db->sent_count) {
        if (PQisBusy(db->conn)) {
            err_set(err, "the database is still busy");
            return CV_RETRY;
        }
        if (!db_take(db, PQgetResult(db->conn)) || db_is_lost(db))
            return db_lose(db, "pipeline", err);
    }
    if (!db->synced) { /* all that was sent is answered, but the socket has not taken the rest yet */
        err_set(err, "the database is still busy");
        return CV_RETRY;
    }
    return finish(db, err);
}

void db_pipeline_wait(const struct db *db, int timeout_ms)
{
    struct pollfd fd = {db_socket(db), (short)(POLLIN | (db_wants_write(db) ? POLLOUT : 0)), 0};
    poll(&fd, 1, timeout_ms);
}

bool db_pipeline_busy(const struct db *db)
{
    return db->pipeline == PIPELINE_BUSY;
}

int db_pipeline_failed(const struct db *db)
{
    return db->failed;
}

const struct db_result *db_pipeline_result(const struct db *db, int i)
{
    assert(db->pipeline == PIPELINE_NONE && db->failed < 0 && i >= 0 && i < db->result_count);
    assert(db->results[i].rows != NULL);
    return &db->results[i];
}
