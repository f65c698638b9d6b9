/*
 * operation.h: what the operators' commands share: a connection, the arguments for ctl.audit, and the exit code. One
 * thread.
 */
#ifndef CASEVIEW_OPS_OPERATION_H
#define CASEVIEW_OPS_OPERATION_H

#include "caseview/buf.h"
#include "caseview/config.h"
#include "caseview/db.h"

#define OPERATION_QUERY_TIMEOUT_MS 60000

struct operation {
    const struct config *config;
    const char *command; /* "parked retry": in ctl.audit and in errors */
    int32_t gen;
    struct db *db;       /* search path: the generation */
    struct arena *arena; /* of the last statement */
    char client[96];     /* host:pid */
};

/*
 * Opens a connection for a command and chooses the generation: --generation, else the live one, else 1. The search path
 * is that generation. CV_OK, CV_RETRY or CV_FATAL.
 */
enum cv_status operation_connect(const struct config *config, const char *command, struct db **out_db, int32_t *out_gen,
                                 struct err *err) CV_MUST_CHECK;
/* Makes another generation the search path. CV_OK or CV_RETRY. */
enum cv_status operation_use_generation(struct db *db, int32_t gen, struct err *err) CV_MUST_CHECK;

/* Connects. CV_OK, CV_RETRY or CV_FATAL; call operation_close() after a failure, too. */
enum cv_status operation_open(struct operation *operation, const struct config *config, const char *command,
                              struct err *err) CV_MUST_CHECK;
void operation_close(struct operation *operation);
/* Logs one line: what failed and what to do. Returns the exit code. */
int operation_failed(const char *command, enum cv_status status, const struct err *err);

/* Begins the arguments of a statement: $1 generation, $2 topic or null, $3 partition or null. Resets the arena. */
void operation_args(struct operation *operation, struct db_args *args);
/* Adds the next three: the operator's reason or null, the client, the command. */
void operation_audit_args(struct operation *operation, struct db_args *args);
/* Adds --offset, or null. */
void operation_offset_arg(struct operation *operation, struct db_args *args);
/* The server refused a statement because a worker was in its way: deadlock, lock timeout, serialization failure. */
bool operation_may_repeat(const struct err *err);
/* Runs a statement that locks rows which workers lock, too: repeats it after a deadlock or a lock timeout. */
enum cv_status operation_run(struct operation *operation, const struct db_statement *statement,
                             const struct db_args *args, struct db_result **out_result, struct err *err) CV_MUST_CHECK;
/*
 * Appends "caseview COMMAND" for an operator to run, with --generation where this command was given it: without, the
 * live one is meant.
 */
void operation_put_command(const struct config *config, struct buf *out, const char *command);
/* Appends the options that select a case, or an agent: " --case ID", " --user ID --organization ID". */
void operation_put_case(struct buf *out, const struct uuid *id);
void operation_put_agent(struct buf *out, const struct uuid *organization_id, const struct uuid *id);
/* Describes what the options selected: "topic T, partition 3", "topic T" or "any topic". */
void operation_describe(const struct operation *operation, char *out, size_t size);

#endif
