/*
 * admin.h: the operators' port of a program: /live (200 while the process runs), /ready (200 or 503 with one line of
 * reason), /metrics (OpenMetrics). Runs on its own four threads; no connection is kept after its answer.
 */
#ifndef CASEVIEW_ADMIN_H
#define CASEVIEW_ADMIN_H

#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/metrics.h"

struct admin;

/* Empty text: ready. Else the reason, one line. Called on an admin thread. */
typedef void (*admin_ready)(void *context, char *out_reason, size_t size);

/* Logs the address, with the port that was taken. CV_OK or CV_FATAL. */
enum cv_status admin_start(const char *listen, struct metrics *metrics, admin_ready ready, void *context,
                           struct admin **out_admin, struct err *err) CV_MUST_CHECK;
void admin_stop(struct admin *admin);

#endif
