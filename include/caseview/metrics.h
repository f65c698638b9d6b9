/*
 * metrics.h: counters, gauges and histograms, rendered as OpenMetrics text. Handles are made at the start by one
 * thread and live as long as the process; changing and rendering them is lock-free from any thread.
 */
#ifndef CASEVIEW_METRICS_H
#define CASEVIEW_METRICS_H

#include "caseview/base.h"
#include "caseview/buf.h"

struct metrics;
struct metric; /* one series: a family and one set of labels */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/*
 * Names as exposed: a counter ends in `_total`. labels: `reason="bad-guid",topic="x"` or NULL; values are escaped by
 * the caller. The same name and labels give the same series; the help text of a family's first series counts.
 */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);
/* Seconds, buckets from 100 µs to 10 s. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help);
/* Takes a series out of the page (a partition that is no longer ours); metrics_gauge() brings it back. */
void metrics_hide(struct metric *metric);

void metric_add(struct metric *metric, int64_t n);
void metric_set(struct metric *metric, double value);
void metric_observe_us(struct metric *metric, int64_t us);
double metric_value(const struct metric *metric);

/* The page: families together, `# EOF` last. process_* series are added by itself. */
void metrics_render(struct metrics *metrics, struct buf *out);

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
