/*
 * housekeeping.h: once a second: gauges, counts from the database, deletion of old tombstones, the courtesy commit to
 * Kafka, readiness, and giving memory back. One thread; the fields marked so are read by the admin port's.
 */
#ifndef CASEVIEW_WORKERS_HOUSEKEEPING_H
#define CASEVIEW_WORKERS_HOUSEKEEPING_H

#include "workers/claims.h"
#include "workers/directory_names.h"
#include "workers/generation_watch.h"

struct housekeeping {
    struct claims *claims; /* borrowed, as are the others */
    struct folder *folder;
    struct directory_names *names;
    struct generation_watch *watch;
    int tombstone_days, gap_alarm_s;
    size_t cache_bytes, idle_cache_bytes; /* ceilings of the cache: behind, and some time after it has caught up */
    int64_t next_tick_ms, next_counts_ms, next_sweep_ms;
    int64_t caught_up_ms; /* clock_mono_ms() since when nothing is behind, 0: it is */
    bool shrunk;          /* the cache's ceiling is the idle one, and memory was given back */
    int64_t alarms, assignments;
    struct log_limit gaps;
    _Atomic int unready; /* partitions still to be claimed, -1: no assignment yet; read by the admin port's thread */
};

/* CV_OK, or CV_RETRY: the connection was lost. */
enum cv_status housekeeping_tick(struct housekeeping *housekeeping, struct err *err) CV_MUST_CHECK;
/* Records in the logs beyond the positions, as far as the ends are known. */
int64_t housekeeping_behind(const struct partitions *partitions);

#endif
