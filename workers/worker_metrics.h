/*
 * worker_metrics.h: the worker's metrics by name; docs/operations.md explains them. Set by the worker's thread, read by
 * the admin port's.
 */
#ifndef CASEVIEW_WORKERS_WORKER_METRICS_H
#define CASEVIEW_WORKERS_WORKER_METRICS_H

#include "caseview/metrics.h"
#include "workers/partition.h"

struct worker_metrics {
    struct metrics *metrics; /* borrowed */
    int32_t gen;
    struct metric *records[TOPIC_COUNT];
    struct metric *parked[PARK_REASON_COUNT];
    struct metric *duplicates, *unknown_types, *over, *applied, *undated;
    struct metric *degraded, *incomplete, *gap_alarms, *parked_events;
    struct metric *batches, *case_rows, *active_rows, *agent_rows, *directory_rows, *parked_rows, *rerendered;
    struct metric *commit_seconds, *visible_seconds, *fold_seconds;
    struct metric *fenced, *refolds, *retries, *recoveries, *claims, *claims_refused, *unproven, *consumer_errors;
    struct metric *partitions[PARTITION_STATE_COUNT], *paused;
    struct metric *cached_cases, *cache_bytes, *directory_number;
    struct metric *names_lag, *loop_age, *connections, *rebalances, *topic_partitions[TOPIC_COUNT];
    struct metric *generation, *generation_live, *generation_deferred, *fold_rate, *seconds_left;
};

/* memory: the option, in bytes. */
void worker_metrics_init(struct worker_metrics *m, struct metrics *metrics, const char *const topic_names[TOPIC_COUNT],
                         int32_t gen, size_t memory);
/* The gauges of one partition; hidden again when it is revoked. */
void worker_metrics_show_partition(const struct worker_metrics *m, struct partition *partition);
/* The partition's present state, and the reason of a halt. */
void worker_metrics_show_state(const struct worker_metrics *m, struct partition *partition);
void worker_metrics_hide_partition(struct partition *partition);

#endif
