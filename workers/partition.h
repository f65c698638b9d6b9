/*
 * partition.h: what the worker knows of one assigned partition, and the states that it goes through.
 *
 *                claim               first record fits
 *   UNCLAIMED ───────────► PROVING ────────────────────► LIVE ◄──── HELD
 *       ▲  └──(nothing to prove)──────────────────────►   │  └─────► (its schema cannot be fetched now)
 *       │                     └────────► HALTING ◄────────┘ poison flood, out of range
 *       └── every failure            HALTED ◄┘  (cursor says why; looked at again every second)
 */
#ifndef CASEVIEW_WORKER_PARTITION_H
#define CASEVIEW_WORKER_PARTITION_H

#include "caseview/log_limit.h"
#include "caseview/metrics.h"
#include "caseview/retry.h"
#include "workers/fold/record.h"
#include "workers/sink/cursor.h"

enum partition_state {
    PARTITION_UNCLAIMED, /* ours by the group, not yet by the database */
    PARTITION_PROVING,   /* claimed; the record at last_record_offset will show that the log is still the same */
    PARTITION_LIVE,
    PARTITION_HELD,    /* silent until a schema can be fetched */
    PARTITION_HALTING, /* stopped; the cursor has still to say so */
    PARTITION_HALTED,  /* stopped, or paused by an operator, until the cursor says otherwise */
    PARTITION_STATE_COUNT,
};

const char *partition_state_name(enum partition_state state);

/* Poison flood: more than this many parked, and more than half, within a minute (contract, section 4). */
#define FLOOD_PARKED  1000
#define FLOOD_SECONDS 60

struct flood_second {
    int64_t second; /* of the monotonic clock */
    int64_t records, parked;
    int64_t first_parked; /* offset, valid while parked > 0 */
};

struct partition {
    enum topic topic;
    int32_t part;
    struct str topic_name;
    enum partition_state state;
    struct cursor cursor; /* as of the last commit */
    int64_t position;     /* next offset to collect: ≥ cursor.next_offset */
    bool at_eof;
    bool complete_pending; /* an EOF whose complete_at has still to be written */
    int64_t completed_ms;  /* clock_mono_ms() of the last one written */
    int64_t look_again_ms; /* HELD, UNCLAIMED: when to try again */
    bool known_stopped;    /* HALTED: a log line has said so */
    struct retry hold;
    int64_t last_record_ms; /* timestamp of the last record collected, -1: none */
    int64_t committed_to_kafka;
    int64_t beyond_end_ms;   /* clock_mono_ms() since when the log seems to end before the position, 0: it does not */
    const char *halt_reason; /* HALTING: why */
    int64_t halt_back_to;    /* HALTING: offset to go back to, -1: stay */
    struct flood_second flood[FLOOD_SECONDS];
    struct log_limit parked;
    const char *parked_reason; /* of the last one */
    int64_t parked_offset;
    int64_t caught_up_ms; /* clock_mono_ms() when it last had no lag, 0: not yet */
    struct metric *lag_events, *lag_seconds;
};

/* Logs old → new; a transition that the table in partition.c does not have is a bug of ours (assert). */
void partition_set_state(struct partition *partition, enum partition_state state);

void partition_count_record(struct partition *partition, int64_t now_ms);
/* One of those counted was parked; true when the flood limit is passed: *out_back_to is then the first parked offset of
 * the minute. */
bool partition_count_parked(struct partition *partition, int64_t offset, int64_t now_ms, int64_t *out_back_to);

#endif
