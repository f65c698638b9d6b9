/*
 * db_internal.h: what the files of db share: the connection, its prepared statements and what was sent on it.
 */
#ifndef CASEVIEW_LIB_DB_INTERNAL_H
#define CASEVIEW_LIB_DB_INTERNAL_H

#include "caseview/db.h"

#include <libpq-fe.h>

/* Where a statement of ours stands on the server. */
enum prepared_state {
    PREPARED_NOT,
    PREPARED_SENT, /* its Parse is under way; what is sent after it needs no second one */
    PREPARED_YES,
    PREPARED_STALE, /* the server knows the name, but not as it should be: deallocate first */
};

struct prepared {
    char *name;
    enum prepared_state state;
};

/* What was sent and is not answered yet, in order. Only a QUERY has an index that callers see. */
enum sent_kind { SENT_DEALLOCATE, SENT_PARSE, SENT_QUERY, SENT_SYNC };

struct sent {
    enum sent_kind kind;
    int prepared; /* index in db->prepared */
    int query;    /* index of the statement that it belongs to */
    bool answered;
};

/* A statement of the pipeline that libpq has not been given yet. */
struct waiting {
    const struct db_statement *statement;
    struct db_args args; /* its values are the caller's */
    int prepared;
    int query;
};

struct db_result {
    PGresult *rows;
};

enum pipeline_state {
    PIPELINE_NONE,   /* no pipeline; results of the last one may still be borrowed */
    PIPELINE_OPEN,   /* between begin and end */
    PIPELINE_BUSY,   /* sent, answers are awaited */
    PIPELINE_STREAM, /* statements go out and answers come in all the time, until the connection is closed */
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
    size_t given; /* bytes, about, that libpq was given since it had sent everything */
    bool synced;  /* the Sync is given, too */
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

/* Fills err from the connection's message and marks it as lost. Always CV_RETRY. */
enum cv_status db_lose(struct db *db, const char *doing, struct err *err);
/* Fills err from a refused statement; true when the server has ended the connection with it. */
bool db_refusal(const struct db *db, const PGresult *rows, const char *statement, struct err *err);
/* Waits for the socket until the deadline (clock_mono_ms, 0: for ever); false when that has come. */
bool db_wait(const struct db *db, bool writable, int64_t deadline_ms);
/* Frees the results and the lists of what was sent and what waits. */
void db_pipeline_clear(struct db *db);
void db_pipeline_done(struct db *db);

/* Of the pipeline and of the stream. False: the connection is of no use any more. */
int db_find_prepared(struct db *db, const char *name);
void db_note_sent(struct db *db, enum sent_kind kind, int prepared, int query);
/* Gives the statement to libpq, with its Parse in front where the server needs one. */
bool db_give(struct db *db, const struct db_statement *statement, const struct db_args *args, int prepared, int query);
/* Writes what the socket takes. */
bool db_flush(struct db *db);
/* Takes one answer of the entry at the head of what was sent. */
bool db_take(struct db *db, PGresult *rows);

#endif
