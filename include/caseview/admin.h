/*
 * admin.h: the operators' port of a program: /live and /ready (200, or 503 with one line of reason), /metrics
 * (OpenMetrics 1.0 when Accept names it, else Prometheus' text format 0.0.4). It has its own threads and its own
 * acceptor, so that probes are answered independently of the program's clients; silent clients hold no thread.
 * Connections are closed after the answer; request bodies are refused.
 */
#ifndef CASEVIEW_ADMIN_H
#define CASEVIEW_ADMIN_H

#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/metrics.h"

struct admin;

/*
 * Leaves the text empty when all is well, else writes the reason, one line. Called on an admin thread; must not block.
 */
typedef void (*admin_probe)(void *context, char *out_reason, size_t size);
/* Brings gauges up to date before a page is made. Called on an admin thread; must not block. */
typedef void (*admin_refresh)(void *context);

struct admin_options {
    const char *listen;  /* HOST:PORT; port 0 takes a free one */
    const char *program; /* "worker", a label of caseview_build_info */
    struct metrics *metrics;
    admin_refresh refresh; /* NULL: nothing to do */
    admin_probe live;      /* NULL: as long as the process runs */
    admin_probe ready;
    void *context; /* of the three functions */
};

/* Adds the metrics that every program has, and logs the address with the port that was taken. CV_OK or CV_FATAL. */
enum cv_status admin_start(const struct admin_options *options, struct admin **out_admin,
                           struct err *err) CV_MUST_CHECK;
void admin_stop(struct admin *admin);

#endif
