/*
 * db.h: a connection to PostgreSQL; only lib/db*.c uses libpq. Statements are prepared on first use; parameters and
 * results are binary. A pipeline sends many statements with one flush and reads their answers later; a stream sends and
 * reads continuously. Neither blocks. A connection belongs to one thread, that of a stream to two.
 *
 * Errors: CV_RETRY with err->sqlstate set: the server refused a statement, the caller decides by the code. CV_RETRY
 * with an empty sqlstate: the connection is lost or could not be made; close it and open another. CV_FATAL: see
 * db_open().
 */
#ifndef CASEVIEW_DB_H
#define CASEVIEW_DB_H

#include "caseview/arena.h"
#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/uuid.h"

struct db;
struct db_result; /* rows of one statement, valid until db_result_free() */

/* Setup of a connection that works on generation %d: statements name its tables without a schema. */
#define DB_SEARCH_PATH_FMT "SET search_path = gen_%d, pg_catalog"

/* A statement: sql is the text of a .sql file, name is unique within the program. */
struct db_statement {
    const char *name;
    const char *sql;
};

/* PostgreSQL's type oids, for db_arg_null(). */
enum db_type {
    DB_BOOL = 16,
    DB_BYTEA = 17,
    DB_INT8 = 20,
    DB_INT2 = 21,
    DB_INT4 = 23,
    DB_TEXT = 25,
    DB_TIMESTAMPTZ = 1184,
    DB_UUID = 2950,
    DB_BOOL_ARRAY = 1000,
    DB_BYTEA_ARRAY = 1001,
    DB_INT2_ARRAY = 1005,
    DB_INT4_ARRAY = 1007,
    DB_TEXT_ARRAY = 1009,
    DB_INT8_ARRAY = 1016,
    DB_TIMESTAMPTZ_ARRAY = 1185,
    DB_UUID_ARRAY = 2951,
};

/*
 * conninfo: libpq's keywords or URI, NULL or "" for the PG… variables. setup: SQL run at once after connecting (SET …),
 * or NULL. Waits at most timeout_ms; connecting ends early when a stop is requested (stop.h).
 * With several hosts and no target_session_attrs, read-write is asked for.
 * CV_FATAL: a connection string that is not valid or can be read in two ways, or a database whose encoding is not UTF8.
 * No err of a connection ever shows a value of conninfo but hosts, ports and the database.
 */
enum cv_status db_open(const char *conninfo, const char *application_name, const char *setup, int timeout_ms,
                       struct db **out_db, struct err *err) CV_MUST_CHECK;
/* For a program that works on after the request to stop: connecting ends early when cancelled() is true instead. */
struct db_cancel {
    bool (*cancelled)(void *context);
    void *context;
};
enum cv_status db_open_unless(const char *conninfo, const char *application_name, const char *setup, int timeout_ms,
                              const struct db_cancel *cancel, struct db **out_db, struct err *err) CV_MUST_CHECK;
void db_close(struct db *db); /* NULL is allowed; a running statement is not cancelled */
bool db_is_lost(const struct db *db);
/*
 * Checks that two connections reach the same primary: with several hosts each connection may end at another one.
 * CV_OK; CV_RETRY: another server or a standby (close both, connect again), or a statement failed as in db_exec().
 */
enum cv_status db_same_server(struct db *a, struct db *b, int timeout_ms, struct err *err) CV_MUST_CHECK;
int db_socket(const struct db *db);       /* for poll(2) */
bool db_wants_write(const struct db *db); /* poll for writing, too: a part is not sent yet */
int db_backend_pid(const struct db *db);

/* Parameters of one call, added in the order $1, $2 …, at most 32. Their memory comes from the arena. */
struct db_args {
    struct arena *arena;
    int count;
    unsigned types[32]; /* PostgreSQL type oids */
    const char *values[32];
    int lengths[32];
    const char
        *comment; /* NULL; or text that follows the statement: the call is sent in full, not prepared. As values */
    bool failed;  /* arena full or too many: the call returns CV_FATAL */
};

void db_args_init(struct db_args *args, struct arena *arena);
void db_arg_null(struct db_args *args, unsigned type_oid);
void db_arg_int4(struct db_args *args, int32_t value);
void db_arg_int8(struct db_args *args, int64_t value);
void db_arg_bool(struct db_args *args, bool value);
void db_arg_text(struct db_args *args, struct str value); /* null stays null */
void db_arg_bytea(struct db_args *args, struct str value);
void db_arg_uuid(struct db_args *args, const struct uuid *value); /* NULL: null */

/*
 * Arrays (text[], uuid[] …) for unnest(). Item i is at base + i * stride, so a column can be read directly from an
 * array of structs. uuid: struct uuid; text and bytea: struct str (ptr NULL: null item).
 */
void db_arg_int2_array(struct db_args *args, const int16_t *base, size_t stride, size_t n);
void db_arg_int4_array(struct db_args *args, const int32_t *base, size_t stride, size_t n);
void db_arg_int8_array(struct db_args *args, const int64_t *base, size_t stride, size_t n);
void db_arg_bool_array(struct db_args *args, const bool *base, size_t stride, size_t n);
void db_arg_time_array(struct db_args *args, const int64_t *base, size_t stride, size_t n); /* INT64_MIN: null item */
void db_arg_uuid_array(struct db_args *args, const struct uuid *base, size_t stride, size_t n);
/* present: a bool for each uuid, at the same stride; false writes a null item. */
void db_arg_uuid_null_array(struct db_args *args, const struct uuid *base, const bool *present, size_t stride,
                            size_t n);
void db_arg_text_array(struct db_args *args, const struct str *base, size_t stride, size_t n);
void db_arg_bytea_array(struct db_args *args, const struct str *base, size_t stride, size_t n);

/*
 * Runs one prepared statement and waits for it, at most timeout_ms (0: no limit). args NULL: none. out_result NULL: the
 * rows are dropped.
 */
enum cv_status db_exec(struct db *db, const struct db_statement *statement, const struct db_args *args, int timeout_ms,
                       struct db_result **out_result, struct err *err) CV_MUST_CHECK;
/*
 * Runs a text of any number of statements, unprepared, in one implicit transaction unless it has its own. timeout_ms as
 * above: 0 is for what may take long, such as an index.
 */
enum cv_status db_script(struct db *db, const char *sql, int timeout_ms, struct err *err) CV_MUST_CHECK;

/*
 * A pipeline: begin, any number of sends, end (one Sync, one flush), then db_pipeline_poll() until it is not CV_RETRY
 * with db_pipeline_busy(). Nothing here blocks; what the socket does not take is sent later by db_pipeline_poll():
 * until then the statements, and the memory of their args, must remain valid. CV_OK     every statement succeeded;
 * result i (in order of sending) by db_pipeline_result(), borrowed until the next begin CV_RETRY  busy: wait for
 * db_socket() (writable too while db_wants_write()); or failed: see db_pipeline_failed() for the index of the statement
 * that the server refused (-1: the connection is lost) CV_FATAL  from send: arguments that do not fit. The pipeline is
 * incomplete then: close the connection. A pipeline is one implicit transaction unless it contains BEGIN and COMMIT.
 * The server skips the statements after a refused one, a COMMIT too: a transaction that was opened by BEGIN then
 * remains open, in failed state and without its locks, until the caller runs `rollback` (db_script). Otherwise the
 * connection may be used again at once. 1 to DB_PIPELINE_MAX statements.
 */
#define DB_PIPELINE_MAX 1024
enum cv_status db_pipeline_begin(struct db *db, struct err *err) CV_MUST_CHECK;
enum cv_status db_pipeline_send(struct db *db, const struct db_statement *statement, const struct db_args *args,
                                struct err *err) CV_MUST_CHECK;
/*
 * A large pipeline can be sent in pieces, so that its arguments need not all be in memory: send while
 * db_pipeline_has_room(), then db_pipeline_flush(), wait for the socket, and so on. After each send that had room libpq
 * has its own copy of the arguments. flush writes what the socket takes: CV_OK, or CV_RETRY (the connection is lost).
 */
bool db_pipeline_has_room(const struct db *db);
enum cv_status db_pipeline_flush(struct db *db, struct err *err) CV_MUST_CHECK;
enum cv_status db_pipeline_end(struct db *db, struct err *err) CV_MUST_CHECK;
enum cv_status db_pipeline_poll(struct db *db, struct err *err) CV_MUST_CHECK;
bool db_pipeline_busy(const struct db *db);
/* Waits until db_pipeline_poll() has something to do, at most timeout_ms. */
void db_pipeline_wait(const struct db *db, int timeout_ms);
int db_pipeline_failed(const struct db *db);
/* A statement without rows has an empty result. */
const struct db_result *db_pipeline_result(const struct db *db, int i);

/*
 * A stream: statements are sent without waiting for earlier answers, each in its own transaction; answers arrive in the
 * order of sending. Nothing here blocks. From the first send on the connection can only be used as a stream. One thread
 * may send and another receive, if they hold a mutex of theirs for each call.
 *
 * send     CV_OK: sent, or kept and sent by db_stream_receive(); CV_FATAL: the arguments do not fit, nothing was sent.
 * receive  CV_OK: the answer to the oldest statement, which the caller frees, or NULL: none yet, wait for db_socket();
 *          CV_RETRY with a sqlstate: the server refused the oldest statement, later ones go on. "0A000", "26000" and
 *          "42P05" refuse the prepared statement only: the next send prepares it again.
 * Both     CV_RETRY without a sqlstate: the connection is lost, and all that was not answered with it.
 */
enum cv_status db_stream_send(struct db *db, const struct db_statement *statement, const struct db_args *args,
                              struct err *err) CV_MUST_CHECK;
enum cv_status db_stream_receive(struct db *db, struct db_result **out_result, struct err *err) CV_MUST_CHECK;

/* Results. Columns and rows count from 0. The caller knows the types; fixed lengths are asserted. */
void db_result_free(struct db_result *result);
/* For CV_CLEANUP(db_result_done) on a local `struct db_result *`, NULL until a query sets it. */
static inline void db_result_done(struct db_result **result)
{
    db_result_free(*result);
}
int db_rows(const struct db_result *result);
bool db_is_null(const struct db_result *result, int row, int column);
struct str db_str(const struct db_result *result, int row, int column); /* text or bytea, borrowed; null: STR_NULL */
int16_t db_int2(const struct db_result *result, int row, int column);
int32_t db_int4(const struct db_result *result, int row, int column);
int64_t db_int8(const struct db_result *result, int row, int column);
bool db_bool(const struct db_result *result, int row, int column);
/* timestamptz as microseconds since 1970; -infinity and infinity are INT64_MIN and INT64_MAX */
int64_t db_time(const struct db_result *result, int row, int column);
struct uuid db_uuid(const struct db_result *result, int row, int column);

#endif
