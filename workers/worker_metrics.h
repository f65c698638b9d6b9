/*
 * worker_metrics.h: the worker's metrics by name; docs/operations.md explains them. Set by the worker's thread, read by
 * the admin port's.
 */
#ifndef CASEVIEW_WORKERS_WORKER_METRICS_H
#define CASEVIEW_WORKERS_WORKER_METRICS_H

#include "caseview/metrics.h"
#include "workers/partition.h"

struct worker_metrics {
    struct metric *records[TOPIC_COUNT];
    struct metric *parked[PARK_REASON_COUNT];
    struct metric *duplicates, *unknown_types, *over, *applied, *undated;
    struct metric *degraded, *incomplete, *gap_alarms;
    struct metric *batches, *case_rows, *active_rows, *agent_rows, *directory_rows, *parked_rows, *rerendered;
    struct metric *commit_seconds, *visible_seconds, *fold_seconds;
    struct metric *fenced, *refolds, *retries, *recoveries, *claims, *claims_refused, *unproven, *consumer_errors;
    struct metric *partitions[PARTITION_STATE_COUNT], *paused;
    struct metric *cached_cases, *cache_bytes, *directory_number;
    struct metric *generation, *generation_live, *generation_deferred, *fold_rate, *seconds_left;
};

void worker_metrics_init(struct worker_metrics *m, struct metrics *metrics);
/* The gauges of one partition; hidden again when it is revoked. */
void worker_metrics_show_partition(struct metrics *metrics, struct partition *partition);
void worker_metrics_hide_partition(struct partition *partition);

#endif
