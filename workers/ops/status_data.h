/*
 * status_data.h: what `caseview status` prints, read from the database and from Kafka.
 */
#ifndef CASEVIEW_OPS_STATUS_DATA_H
#define CASEVIEW_OPS_STATUS_DATA_H

#include "caseview/config.h"
#include "caseview/db.h"
#include "workers/source/watermarks.h"

struct status_partition {
    struct str topic;
    int32_t part;
    bool has_cursor; /* false: in the topic, but no worker has claimed it yet */
    int64_t next_offset;
    int64_t end_offset; /* -1: unknown */
    int64_t lag;        /* -1: unknown */
    /* Age of the last folded record while lag > 0, at most the time since complete_at; 0 without a lag; -1: unknown. */
    double lag_seconds;
    struct str state;                /* live, paused, halted, or "unclaimed" */
    struct str reason, owner;        /* reason: of the halt, or the operator's */
    int64_t parked;                  /* its parked events */
    int64_t claims;                  /* number of claims so far */
    int64_t complete_at, updated_at; /* microseconds, INT64_MIN: never */
};

struct status_data {
    struct arena *arena; /* owns the texts */
    int32_t gen;         /* set by the caller */
    struct str generation_state;
    bool prepared;                                 /* false: `rebuild prepare` is still to complete its rows */
    struct str degraded_option, incomplete_option; /* one of them, for `caseview explain`; null: none */
    int64_t parked, degraded, incomplete, listed, agents;
    struct status_partition *partitions;
    size_t partition_count;
    char kafka_problem[800]; /* why end offsets are unknown, or "" */
    bool healthy;            /* all ends are known; every partition is live and not late; it is prepared */
};

/*
 * Reads everything. out_data->arena is the caller's and is reset, out_data->partitions is the caller's to free(). What
 * Kafka does not answer is a kafka_problem, not an error. CV_OK, CV_RETRY or CV_FATAL (a kafka property is wrong).
 */
enum cv_status status_read(const struct config *config, struct db *db, struct status_data *out_data,
                           struct err *err) CV_MUST_CHECK;

/* True: the lag is older than a minute, or of unknown age. */
bool status_is_late(const struct status_partition *partition);

#endif
