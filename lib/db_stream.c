/*
 * The stream: a pipeline without an end. Each call has a Sync of its own, so that a refusal ends with it, and the
 * answers come in the order of sending: the one that is being read is always results[0].
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
    db->synced = true; /* nothing is kept back from libpq */
    db->pipeline = PIPELINE_STREAM;
    return CV_OK;
}

enum cv_status db_stream_send(struct db *db, const struct db_statement *statement, const struct db_args *args,
                              struct err *err)
{
    assert(db->pipeline == PIPELINE_NONE || db->pipeline == PIPELINE_STREAM);
    if (args->failed) { /* before anything is sent: the connection stays as it is */
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

/* The oldest call has been answered whole. */
static enum cv_status take_call(struct db *db, struct db_result **out_result, struct err *err)
{
    forget_answered(db);
    PGresult *rows = db->results[0].rows;
    db->results[0].rows = NULL;
    if (db->failed >= 0) {
        PQclear(rows);
        *err = db->err;
        err_set(&db->err, "%s", ""); /* a later loss has another reason */
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
    bool looked = false; /* into the socket */
    if (db->pipeline == PIPELINE_NONE && begin(db, "stream", err) != CV_OK)
        return CV_RETRY;
    if (db_is_lost(db) || !db_flush(db))
        return db_lose(db, "stream", err);
    for (;;) {
        bool waits = PQisBusy(db->conn) || db->sent_count == 0; /* in this order: what comes unasked is read, too */
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
        if (at_the_end && db->sent_head != before) /* only the Sync's own answer moves on from it */
            return take_call(db, out_result, err);
    }
}
