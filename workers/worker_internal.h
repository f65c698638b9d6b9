/*
 * worker_internal.h: the worker's one struct, shared by the files worker*.c and by nobody else. One thread.
 */
#ifndef CASEVIEW_WORKER_INTERNAL_H
#define CASEVIEW_WORKER_INTERNAL_H

#include "caseview/config.h"
#include "caseview/metrics.h"
#include "workers/partition.h"
#include "workers/sink/agents.h"
#include "workers/sink/cases.h"
#include "workers/sink/entities.h"
#include "workers/sink/feed.h"
#include "workers/sink/writer.h"
#include "workers/source/consumer.h"
#include "workers/source/decode.h"

struct worker_metrics {
    struct metric *records[TOPIC_COUNT];
    struct metric *parked[PARK_REASON_COUNT];
    struct metric *duplicates, *unknown_types, *over, *applied;
    struct metric *degraded, *incomplete, *gap_alarms;
    struct metric *batches, *case_rows, *active_rows, *agent_rows, *directory_rows, *parked_rows, *rerendered;
    struct metric *commit_seconds, *visible_seconds, *fold_seconds;
    struct metric *fenced, *refolds, *retries, *recoveries, *claims, *claims_refused, *unproven, *consumer_errors;
    struct metric *partitions[PARTITION_STATE_COUNT], *paused;
    struct metric *cached_cases, *cache_bytes, *directory_number;
};

struct worker {
    const struct config *config;
    int32_t gen;
    char default_group_id[32];
    const char *group_id;
    char owner[384]; /* host:pid, before it group@ unless that is the default; for people */
    char rival[512]; /* partition and owner of a claim that a worker of another group took from us, "": none was seen */
    const char *topics[TOPIC_COUNT];
    size_t batch_bytes, batch_events;
    size_t most_events; /* … for now: fewer after a batch that was too large for its memory */
    int tombstone_days, gap_alarm_s;

    struct consumer *consumer;
    struct consumer_event *events; /* room for CONSUMER_POLL_MAX */
    struct schemas *schemas;
    struct writer *writer;
    struct cases *cases;
    struct agents *agents;
    struct names *names;
    struct feed *feed;
    struct fold_context fold;
    struct arena *scratch; /* arguments of small queries */

    struct partition *partitions;
    size_t partition_count, partition_room;
    bool feed_stale; /* the set of partitions, or their claims, changed: feed_restart() is due */

    struct batch *collecting;
    struct batch *writing; /* sent, or about to be sent again */
    bool more;             /* the last poll took all it could: there is more at hand */
    uint64_t folds, committed;
    int64_t sent_at_us;
    int64_t expect_new_from_ms; /* no guess that a case is new before this */
    int refolds;                /* of the batch being written */
    int64_t dir_no_unsaved;     /* the cursors may show this, with the next batch or a second later */
    int64_t dir_no_saved_ms;
    struct retry reconnect; /* reset by a commit, or by some seconds without a failure */
    int64_t connected_at_ms;

    int64_t next_tick_ms, next_counts_ms, next_sweep_ms, next_look_ms;
    int64_t alarms;
    struct log_limit refolded, sent_again, gaps;
    struct metrics *metrics;
    struct worker_metrics m;
    int exit_code;          /* after CV_FATAL */
    _Atomic int unready;    /* partitions still to be claimed, or -1: no assignment yet; read by the admin thread */
    _Atomic bool connected; /* to the database; likewise */
    _Atomic int64_t turned_ms; /* when the loop began its last turn (clock_mono_ms()); likewise */
};

#define CONSUMER_POLL_MAX 1000

/* worker.c */
void worker_drop_batches(struct worker *worker);
/* The batch being written is committed: what it held counts from now on. */
void worker_committed(struct worker *worker);

/* worker_records.c: from the consumer into the collecting batch. CV_OK or CV_FATAL. */
enum cv_status worker_take_events(struct worker *worker, struct err *err) CV_MUST_CHECK;
struct partition *worker_partition(struct worker *worker, enum topic topic, int32_t part);
/* Counts a parked record of the partition, which halts when there are too many. */
void worker_count_parked(struct worker *worker, struct partition *partition, int64_t offset);
/* The partition's entry in the collecting batch, made when there is none. */
struct batch_cursor *worker_batch_cursor(struct worker *worker, const struct partition *partition);

/* worker_claims.c: ownership: claims, halts, and the one way back after any failure. */
void worker_recover(struct worker *worker, const struct err *err);
/* Silent and without a claim; the feed begins anew before it goes on. look_again_ms, when to claim, is the caller's. */
void worker_unclaim(struct worker *worker, struct partition *partition);
/* CV_OK, or CV_FATAL: the connection string cannot work. */
enum cv_status worker_claim_partitions(struct worker *worker, struct err *err) CV_MUST_CHECK;
/* A partition that cannot be read for now: silent and unclaimed, until it is tried again. The others go on. */
void worker_postpone(struct worker *worker, struct partition *partition, const struct err *err);
void worker_halt_partitions(struct worker *worker);
/* Once a second: what operators have paused stops, what they have resumed is claimed again. */
void worker_look_at_cursors(struct worker *worker);
/* Now. The partitions that were paused meanwhile are taken out of both batches, which the caller folds again; how many
 * there were. Likewise knows of a rival from then on. */
size_t worker_stop_paused(struct worker *worker);
void worker_retry_held(struct worker *worker);
void worker_halt(struct worker *worker, struct partition *partition, const char *reason, int64_t back_to,
                 const char *detail);

/* worker_rebalance.c: what the group takes away */
void worker_before_revoke(void *context, const struct consumer_taken *taken, size_t count, bool lost, int budget_ms);
/* Drops what the batches hold of the partition. Not while one of them is being written. */
void worker_take_out(struct worker *worker, const struct partition *partition);
/* Logs in one line which partitions were given or taken. */
void worker_log_partitions(const struct worker *worker, const char *what, const struct consumer_taken *which,
                           size_t count);

/* worker_metrics.c */
void worker_metrics_init(struct worker *worker);
void worker_count_commit(struct worker *worker, const struct batch *batch);
void worker_tick(struct worker *worker); /* once a second: gauges, counts, sweeps, Kafka's courtesy commit */

#endif
