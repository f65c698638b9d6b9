/*
 * admin.h: the operators' port of a program: /live and /ready (200, or 503 with one line of reason), /metrics
 * (OpenMetrics). Runs on its own four threads; no connection is kept after its answer.
 */
#ifndef CASEVIEW_ADMIN_H
#define CASEVIEW_ADMIN_H

#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/metrics.h"

struct admin;

/* Empty text: it is well. Else the reason why not, one line. Called on an admin thread. */
typedef void (*admin_probe)(void *context, char *out_reason, size_t size);

struct admin_options {
    const char *listen; /* HOST:PORT; port 0 takes a free one */
    struct metrics *metrics;
    admin_probe live; /* NULL: as long as the process runs */
    admin_probe ready;
    void *context; /* of both probes */
};

/* Logs the address, with the port that was taken. CV_OK or CV_FATAL. */
enum cv_status admin_start(const struct admin_options *options, struct admin **out_admin,
                           struct err *err) CV_MUST_CHECK;
void admin_stop(struct admin *admin);

#endif
