/*
 * carry_over_page.h: what the parts of carry-over (rebuild_carry_over.h) share. Each reads one page of the older
 * generation's rows after the key of its step, merges it, and writes what changed and the step in one transaction.
 */
#ifndef CASEVIEW_OPS_CARRY_OVER_PAGE_H
#define CASEVIEW_OPS_CARRY_OVER_PAGE_H

#include "workers/ops/rebuild_step.h"
#include "workers/sink/names.h"

#define CARRY_OVER_PAGE      500 /* the LIMIT of carry_cases.sql and carry_agents.sql */
#define CARRY_OVER_ARENA_MAX ((size_t)1 << 30)

struct carry_over {
    struct rebuild *rebuild;
    int32_t from, to;
    struct db *source;   /* search path: the older generation */
    struct db *target;   /* the newer one; the command's connection */
    struct arena *arena; /* of one page */
    struct names *names; /* of the newer one */
    bool lags;           /* the last page failed because the older generation had read less of the directory */
};

/*
 * Carries one page over. *out_more: there may be another one. CV_OK; CV_RETRY with an SQLSTATE, or with lags: the
 * transaction is open, the same page can be tried again; CV_FATAL: a state cannot be read.
 */
typedef enum cv_status carry_over_fn(struct carry_over *carry, struct rebuild_step *step, bool *out_more,
                                     struct err *err);

carry_over_fn carry_over_cases, carry_over_agents, carry_over_directory, carry_over_parked;

/* Begins the transaction of a page. CV_OK or CV_RETRY. */
enum cv_status carry_over_begin(struct carry_over *carry, struct err *err) CV_MUST_CHECK;
/* After a page: its number of rows, those that were written, and the key of its last row. */
void carry_over_advance(struct rebuild_step *step, int rows, size_t written, const void *key, size_t key_len);
/* Saves the step and commits the page. CV_OK or CV_RETRY. */
enum cv_status carry_over_commit(struct carry_over *carry, struct rebuild_step *step, struct err *err) CV_MUST_CHECK;

#endif
