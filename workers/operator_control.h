/*
 * operator_control.h: what operators do to the cursors while the worker runs: pause, resume, move, or write rows of a
 * partition (parked retry, repair). Polled once a second. One thread.
 */
#ifndef CASEVIEW_WORKERS_OPERATOR_CONTROL_H
#define CASEVIEW_WORKERS_OPERATOR_CONTROL_H

#include "workers/claims.h"

struct operator_control {
    struct claims *claims; /* borrowed */
    int64_t next_poll_ms;
    bool stopped; /* the last poll found that an operator paused a partition or took a claim */
    /* A claim that a worker of another consumer group took from us: partition and owner, "": none was seen. */
    char rival[512];
};

/*
 * Reads the cursors, between two batches, once a second; sooner after operator_control_poll_now(). What was resumed is
 * claimed again. CV_OK; CV_RETRY: a partition was paused, or its claim taken, and all must start from the cursors
 * again, or the connection was lost.
 */
enum cv_status operator_control_poll(struct operator_control *control, struct err *err) CV_MUST_CHECK;
void operator_control_poll_now(struct operator_control *control);

#endif
