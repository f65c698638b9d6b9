/*
 * partition.h: what the worker knows of one assigned partition, and the states that it goes through. The table of
 * transitions is in partition.c; docs/architecture.md shows the same table. One thread.
 */
#ifndef CASEVIEW_WORKERS_PARTITION_H
#define CASEVIEW_WORKERS_PARTITION_H

#include "caseview/log_limit.h"
#include "caseview/metrics.h"
#include "caseview/retry.h"
#include "caseview/trace.h"
#include "workers/fold/record.h"
#include "workers/poison_flood.h"
#include "workers/sink/cursor.h"
#include "workers/sink/halt_reason.h"

enum partition_state {
    PARTITION_UNCLAIMED, /* assigned by the group, not yet claimed in the database */
    PARTITION_PROVING,   /* claimed; the record at last_record_offset will show that the log is still the same */
    PARTITION_LIVE,      /* its records are folded */
    PARTITION_HELD,      /* paused until a schema can be fetched */
    PARTITION_HALTING,   /* stopped; the cursor does not say so yet */
    PARTITION_HALTED,    /* stopped, or paused by an operator, until the cursor says otherwise */
    PARTITION_STATE_COUNT,
};

/* A record whose effect PostgreSQL refused; the next time it is read it is parked. */
struct refused_record {
    int64_t offset; /* -1: none */
    int times;      /* refused so far, parked as it was or without its value */
    char text[512]; /* what the server said */
};

struct partition {
    enum topic topic;
    int32_t part;
    struct str topic_name; /* borrowed from the configuration */
    enum partition_state state;
    struct cursor cursor;   /* as of the last commit */
    int64_t position;       /* next offset to take: ≥ cursor.next_offset */
    bool at_end;            /* read to the end of its log */
    bool complete_pending;  /* … and complete_at has still to be written */
    int64_t completed_ms;   /* clock_mono_ms() when complete_at was last added to a batch */
    int64_t try_at_ms;      /* UNCLAIMED, HELD: not tried again before */
    bool taken_up;          /* has been claimed and started since it was assigned */
    bool stop_reported;     /* HALTED: a log line has said so */
    struct retry retry;     /* of claims, positions and schemas */
    int64_t last_record_ms; /* timestamp of the last record taken that has a time (record_has_time()), -1: none */
    int64_t committed_to_kafka;
    int64_t beyond_end_ms; /* clock_mono_ms() since when the log seems to end before the position, 0: it does not */
    enum halt_reason halt_reason; /* HALTING */
    int64_t halt_back_to;         /* HALTING: offset that the cursor goes back to, -1: none */
    struct poison_flood flood;
    struct refused_record refused;
    /* Index of its entry in the open batch, valid while batch_number is that batch's. */
    uint64_t batch_number;
    size_t batch_cursor;
    const struct record *last_taken; /* of the chunk being taken; NULL between chunks */
    /* For the log and the metrics. */
    struct log_limit parked;
    const char *parked_reason; /* of the last one */
    int64_t parked_offset;
    struct trace parked_trace;
    int64_t caught_up_ms; /* clock_mono_ms() when it last had no lag, 0: not yet */
    struct metric *lag_events, *lag_seconds, *state_shown;
    const char *shown_state, *shown_reason; /* labels of state_shown */
};

/* A partition that was just assigned. */
void partition_init(struct partition *partition, enum topic topic, int32_t part, struct str topic_name);
const char *partition_state_name(enum partition_state state);
/* Logs old → new; a transition that the table does not have is a bug (assert). */
void partition_set_state(struct partition *partition, enum partition_state state);
/* Nothing of it was ever read. Once it has been read to its end at 0, what a later beginning leaves out is lost. */
bool partition_is_fresh(const struct partition *partition);
/* Its rows are written under a claim that is ours, so names in them may be brought up to date. */
bool partition_shows_names(const struct partition *partition);

/* One row of the table of transitions, for the documentation; NULL at its end. */
struct partition_transition {
    enum partition_state from, to;
    const char *when;
};
const struct partition_transition *partition_transitions(size_t *out_count);

#endif
