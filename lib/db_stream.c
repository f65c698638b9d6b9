/*
 * The stream is a pipeline that does not end. Each call has a Sync, so that a refusal affects only that call. Answers
 * arrive in the order of sending; the one being read is always results[0].
 */
#include "db_internal.h"

static enum cv_status begin(struct db *db, const char *doing, struct err *err)
{
    db_pipeline_clear(db);
    if (db_is_lost(db) || !PQenterPipelineMode(db->conn))
        return db_lose(db, doing, err);
    if (db->result_cap == 0) {
        db->result_cap = 1;
        db->results = cv_alloc(sizeof *db->results);
    }
    db->results[0].rows = NULL;
    db->result_count = 1;
    db->synced = true; /* libpq gets everything at once */
    db->pipeline = PIPELINE_STREAM;
    return CV_OK;
}

enum cv_status db_stream_send(struct db *db, const struct db_statement *statement, const struct db_args *args,
                              struct err *err)
{
    assert(db->pipeline == PIPELINE_NONE || db->pipeline == PIPELINE_STREAM);
    if (args->failed) { /* nothing was sent, the connection remains usable */
        err_set(err, "%s: the arguments do not fit in their memory", statement->name);
        return CV_FATAL;
    }
    if (db->pipeline == PIPELINE_NONE && begin(db, statement->name, err) != CV_OK)
        return CV_RETRY;
    int prepared = db_find_prepared(db, statement->name);
    if (db_is_lost(db) || !db_give(db, statement, args, prepared, 0))
        return db_lose(db, statement->name, err);
    db_note_sent(db, SENT_SYNC, prepared, 0);
    if (PQpipelineSync(db->conn) != 1 || !db_flush(db))
        return db_lose(db, statement->name, err);
    return CV_OK;
}

static void forget_answered(struct db *db)
{
    db->sent_count -= db->sent_head;
    memmove(db->sent, db->sent + db->sent_head, (size_t)db->sent_count * sizeof *db->sent);
    db->sent_head = 0;
}

/* Takes the answer to the oldest call, which is complete. */
static enum cv_status take_call(struct db *db, struct db_result **out_result, struct err *err)
{
    forget_answered(db);
    PGresult *rows = db->results[0].rows;
    db->results[0].rows = NULL;
    if (db->failed >= 0) {
        PQclear(rows);
        *err = db->err;
        err_set(&db->err, "%s", ""); /* it must not become the reason of a later loss */
        db->failed = -1;
        return CV_RETRY;
    }
    *out_result = cv_alloc(sizeof **out_result);
    (*out_result)->rows = rows;
    return CV_OK;
}

enum cv_status db_stream_receive(struct db *db, struct db_result **out_result, struct err *err)
{
    *out_result = NULL;
    err_set(err, "%s", "");
    bool looked = false; /* the socket was read */
    if (db->pipeline == PIPELINE_NONE && begin(db, "stream", err) != CV_OK)
        return CV_RETRY;
    if (db_is_lost(db) || !db_flush(db))
        return db_lose(db, "stream", err);
    for (;;) {
        bool waits = PQisBusy(db->conn) || db->sent_count == 0; /* in this order: unrequested messages are read, too */
        if (waits && looked)
            return CV_OK;
        if (waits) {
            looked = true;
            if (!PQconsumeInput(db->conn))
                return db_lose(db, "stream", err);
            continue;
        }
        bool at_the_end = db->sent[db->sent_head].kind == SENT_SYNC;
        int before = db->sent_head;
        if (!db_take(db, PQgetResult(db->conn)) || db_is_lost(db))
            return db_lose(db, "stream", err);
        if (at_the_end && db->sent_head != before) /* the Sync itself is answered */
            return take_call(db, out_result, err);
    }
}
