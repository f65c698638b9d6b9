/*
 * batch_outcome.h: what the end of a batch means: a commit moves the partitions' cursors and is counted; a refusal
 * tells how the next batches are made, and that everything has to start from the cursors. One thread.
 */
#ifndef CASEVIEW_WORKERS_BATCH_OUTCOME_H
#define CASEVIEW_WORKERS_BATCH_OUTCOME_H

#include "workers/directory_names.h"
#include "workers/operator_control.h"

struct batch_outcome {
    int32_t gen;
    struct claims *claims; /* borrowed, as are the next two */
    struct operator_control *control;
    struct directory_names *names;
    struct retry conflict; /* how long to wait after conflicts, so that two writers get past each other */
    bool expected; /* the last CV_RETRY is no failure of the database: it needs neither a log line nor a delay */
    struct log_limit conflicts, sent_again;
};

void batch_outcome_init(struct batch_outcome *outcome, int32_t gen);

/* Goes on writing the batch in flight and deals with its end. CV_OK, or CV_RETRY: the caller recovers. */
enum cv_status batch_outcome_settle(struct batch_outcome *outcome, struct err *err) CV_MUST_CHECK;

#endif
