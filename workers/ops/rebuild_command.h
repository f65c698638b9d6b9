/*
 * rebuild_command.h: what the rebuild commands share: the connection, the generations, refusals and the audit row. A
 * command that freezes within a transaction loses its locks after 5 s: the server ends its session.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMMAND_H
#define CASEVIEW_OPS_REBUILD_COMMAND_H

#include "workers/ops/generation.h"
#include "workers/ops/operation.h"

struct rebuild {
    struct operation operation; /* its generation is the one that the command works on */
    struct generation_list list;
    struct arena *arena; /* of list and of what a command keeps until its end */
};

/* A command. CV_OK: *out_exit_code is set; CV_RETRY or CV_FATAL (refused): err says what is to be printed. */
typedef enum cv_status rebuild_fn(struct rebuild *rebuild, int *out_exit_code, struct err *err);

rebuild_fn rebuild_start, rebuild_status, rebuild_prepare, rebuild_compare, rebuild_switch, rebuild_abort, rebuild_drop;

/* Reads the generations again. CV_OK or CV_RETRY. */
enum cv_status rebuild_read(struct rebuild *rebuild, struct err *err) CV_MUST_CHECK;
/*
 * Begins a transaction, takes the lock that lets one command at a time change generations, and reads them. Workers are
 * not affected. CV_OK or CV_RETRY; ended by rebuild_commit(), or by the end of the command.
 */
enum cv_status rebuild_begin(struct rebuild *rebuild, struct err *err) CV_MUST_CHECK;
/*
 * Runs a transaction, from rebuild_begin() to rebuild_commit(), again while workers are in its way. Returns what the
 * last run returned.
 */
typedef enum cv_status rebuild_transaction_fn(struct rebuild *rebuild, void *context, struct err *err);
enum cv_status rebuild_repeat(struct rebuild *rebuild, rebuild_transaction_fn *run, void *context, int tries,
                              struct err *err) CV_MUST_CHECK;
enum cv_status rebuild_commit(struct rebuild *rebuild, struct err *err) CV_MUST_CHECK;
/* Adds a row to ctl.audit. detail: a JSON object, or NULL. */
enum cv_status rebuild_audit(struct rebuild *rebuild, int32_t gen, const char *detail, struct err *err) CV_MUST_CHECK;

/*
 * Refuses topics that no worker of the generation has read: under other names than those of its workers, nothing could
 * tell how far it is. CV_OK, CV_RETRY or CV_FATAL.
 */
enum cv_status rebuild_check_topics(struct rebuild *rebuild, int32_t gen, struct err *err) CV_MUST_CHECK;

/* --generation on the command line. A file or an environment that workers share may name another one: 0 then. */
int32_t rebuild_named(const struct rebuild *rebuild);
/* The generation named so, else the one that is waiting. CV_OK, or CV_FATAL: there is none. */
enum cv_status rebuild_choose(struct rebuild *rebuild, const struct generation **out_generation,
                              struct err *err) CV_MUST_CHECK;

/* The number that follows `switch` or `drop`. CV_OK, or CV_FATAL: it is not the number of a generation. */
enum cv_status rebuild_operand(struct rebuild *rebuild, const struct generation **out_generation,
                               struct err *err) CV_MUST_CHECK;

#endif
