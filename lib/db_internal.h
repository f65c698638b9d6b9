/*
 * db_internal.h: what the files of db share: the connection, its prepared statements, and what was sent on it.
 *
 *   db.c           opens and closes, single statements and scripts
 *   db_conninfo.c  connection strings
 *   db_args.c      parameters          db_result.c    rows
 *   db_pipeline.c  pipelines           db_stream.c    streams
 */
#ifndef CASEVIEW_LIB_DB_INTERNAL_H
#define CASEVIEW_LIB_DB_INTERNAL_H

#include "caseview/db.h"

#include <libpq-fe.h>

/* What the server has of a statement. */
enum prepared_state {
    PREPARED_NOT,
    PREPARED_SENT, /* its Parse is in flight */
    PREPARED_YES,
    PREPARED_STALE, /* prepared, but no longer valid: DEALLOCATE first */
};

struct prepared {
    char *name;
    enum prepared_state state;
};

/* What was sent, in order, until it is answered. Only a QUERY has an index that callers see. */
enum sent_kind { SENT_DEALLOCATE, SENT_PARSE, SENT_QUERY, SENT_SYNC };

struct sent {
    enum sent_kind kind;
    int prepared; /* index in db->prepared */
    int query;    /* index of the statement that it belongs to */
    bool answered;
};

/* A statement of the pipeline that was not passed to libpq yet. */
struct waiting {
    const struct db_statement *statement;
    struct db_args args; /* its values belong to the caller */
    int prepared;
    int query;
};

struct db_result {
    PGresult *rows;
};

enum pipeline_state {
    PIPELINE_NONE,   /* no pipeline; results of the last one may still be borrowed */
    PIPELINE_OPEN,   /* between begin and end */
    PIPELINE_BUSY,   /* sent, waiting for answers */
    PIPELINE_STREAM, /* a stream, until the connection is closed */
};

struct db {
    PGconn *conn;
    char **hidden; /* values of the connection string that no message shows */
    size_t hidden_count;
    bool lost;
    struct prepared *prepared;
    int prepared_count, prepared_cap;
    enum pipeline_state pipeline;
    bool wants_write;
    struct sent *sent;
    int sent_count, sent_cap, sent_head;
    struct waiting *waiting;
    int waiting_count, waiting_cap, waiting_head;
    size_t given; /* about the bytes that libpq has not sent yet */
    bool synced;  /* the Sync was passed to libpq, too */
    struct db_result *results;
    int result_count, result_cap;
    int failed;     /* index of the statement that was refused, -1 for none */
    struct err err; /* of that statement */
};

/*
 * Starts connecting: checks the connection string, adds defaults, sets db->conn and db->hidden.
 * CV_OK, CV_FATAL: refused, err says why and shows nothing of it; CV_RETRY: no memory.
 */
enum cv_status db_start(struct db *db, const char *conninfo, const char *application_name,
                        struct err *err) CV_MUST_CHECK;
void db_hidden_done(struct db *db);
/* A copy of a message of libpq or the server, with values of the connection string replaced by ***. */
char *db_hide(const struct db *db, const char *text);

/* Marks the connection as lost and fills err with the reason. Always CV_RETRY. */
enum cv_status db_lose(struct db *db, const char *doing, struct err *err);
/* Fills err from a refused statement. True: the server has closed the connection, too. */
bool db_refusal(const struct db *db, const PGresult *rows, const char *statement, struct err *err);
/* Waits for the socket until the deadline (clock_mono_ms, 0: none). False: the deadline has passed. */
bool db_wait(const struct db *db, bool writable, int64_t deadline_ms);
/* Frees results and lists; db_pipeline_done() also the memory of the lists. */
void db_pipeline_clear(struct db *db);
void db_pipeline_done(struct db *db);

/* Shared by pipeline and stream. False: the connection is lost. */
int db_find_prepared(struct db *db, const char *name);
void db_note_sent(struct db *db, enum sent_kind kind, int prepared, int query);
/* Passes the statement to libpq, after a Parse where the server needs one. */
bool db_give(struct db *db, const struct db_statement *statement, const struct db_args *args, int prepared, int query);
/* Writes as much as the socket takes. */
bool db_flush(struct db *db);
/* Takes one answer to the oldest entry that was sent. */
bool db_take(struct db *db, PGresult *rows);

#endif
