/*
 * rebuild_step.h: the steps of `rebuild prepare` (ctl.rebuild_step). Each remembers how far it is in the same
 * transaction as what it wrote, so that a command that was killed goes on there.
 */
#ifndef CASEVIEW_OPS_REBUILD_STEP_H
#define CASEVIEW_OPS_REBUILD_STEP_H

#include "workers/ops/rebuild_command.h"

struct rebuild_step {
    int32_t gen;
    const char *name;
    bool has_after;
    unsigned char after_key[48]; /* everything up to this key is done */
    size_t after_len;
    int64_t seen, changed; /* rows read and written so far */
    bool finished;
    int64_t reported_ms; /* clock_mono_ms() of the last line about its progress */
};

/* Reads the step, which begins when it is new. CV_OK or CV_RETRY. */
enum cv_status rebuild_step_open(struct rebuild *rebuild, int32_t gen, const char *name, struct rebuild_step *out_step,
                                 struct err *err) CV_MUST_CHECK;
/* Saves it, in the transaction that is open if there is one. CV_OK or CV_RETRY. */
enum cv_status rebuild_step_save(struct rebuild *rebuild, struct rebuild_step *step, struct err *err) CV_MUST_CHECK;
enum cv_status rebuild_step_finish(struct rebuild *rebuild, struct rebuild_step *step, struct err *err) CV_MUST_CHECK;
/* Logs how far it is, every few seconds. */
void rebuild_step_report(struct rebuild_step *step);

#endif
