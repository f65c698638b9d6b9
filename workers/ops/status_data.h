/*
 * status_data.h: what `caseview status` knows, gathered from the database and Kafka; printed by status.c.
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
    double
        lag_seconds;  /* age of the last record folded while lag > 0, at most since complete_at; else 0; -1: unknown */
    struct str state; /* live, paused, halted, or "unclaimed" */
    struct str reason, owner;        /* reason: why it halted, or the operator's words */
    int64_t parked;                  /* events of it */
    int64_t claims;                  /* how often a worker has taken it */
    int64_t complete_at, updated_at; /* microseconds, INT64_MIN: never */
};

struct status_data {
    struct arena *arena; /* owns the texts */
    struct str generation_state;
    struct str degraded_option, incomplete_option; /* one of them, for `caseview explain`; null: none */
    int64_t parked, degraded, incomplete, listed, agents;
    struct status_partition *partitions;
    size_t partition_count;
    char kafka_problem[256]; /* why ends are unknown, or "" */
    bool healthy;            /* every partition is live, read to its end or at most a minute behind */
};

/*
 * Reads everything anew; out_data->arena is the caller's and is reset, out_data->partitions is the caller's to free().
 * Without a broker among the kafka properties, or without its answer, the ends stay unknown. CV_OK, CV_RETRY or
 * CV_FATAL (a kafka property is wrong).
 */
enum cv_status status_read(const struct config *config, struct db *db, struct status_data *out_data,
                           struct err *err) CV_MUST_CHECK;

#endif
