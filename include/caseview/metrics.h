/*
 * metrics.h: counters, gauges and histograms, and the page that Prometheus reads. Handles are created at the start by
 * one thread and live as long as the process; updating and writing them is lock-free from any thread.
 */
#ifndef CASEVIEW_METRICS_H
#define CASEVIEW_METRICS_H

#include "caseview/base.h"
#include "caseview/buf.h"

struct metrics;
struct metric; /* one series: a family with one set of labels */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/*
 * name: a counter's ends in `_total`. labels: `reason="bad-guid",topic="x"` or NULL; the caller escapes values. The
 * same name and labels return the same series. A family has the help text of its first series.
 */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);
/* Of seconds, with buckets from 100 µs to 10 s. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help);
/* Removes a series from the page (a partition that was revoked); metrics_gauge() of the same labels shows it again. */
void metrics_hide(struct metric *metric);

void metric_add(struct metric *metric, int64_t n);
void metric_set(struct metric *metric, double value);
void metric_observe_us(struct metric *metric, int64_t us);
double metric_value(const struct metric *metric);

/* The two formats of the page: Prometheus' text format 0.0.4 and OpenMetrics 1.0. */
enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };

/*
 * OpenMetrics when the value of the Accept header names it with a version of ours and not with q=0, otherwise text.
 * NULL: there is no such header.
 */
enum metrics_format metrics_format_of(const char *accept);
const char *metrics_content_type(enum metrics_format format);
/* Appends the page: each family once, with its series; the process_* series last. */
void metrics_write(struct metrics *metrics, enum metrics_format format, struct buf *out);

#endif
