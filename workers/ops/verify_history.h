/*
 * verify_history.h: the log folded into memory, one state per key, for `caseview verify`. Private to verify.
 *
 * verify_history_read() brings the states to the cursors of the reader's last snapshot. It may be called again with a
 * newer snapshot: then only the records between the two are read and folded, which the order-free fold allows, unless
 * the history is no continuation of what was read (a cursor went back, or a parked record was folded meanwhile): then
 * all is read and folded again.
 *
 * Memory: one state per key, in its stored form. Entries live until verify_history_done().
 */
#ifndef CASEVIEW_OPS_VERIFY_HISTORY_H
#define CASEVIEW_OPS_VERIFY_HISTORY_H

#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/fold/directory.h"
#include "workers/ops/history_reader.h"
#include "workers/ops/verify_report.h"
#include "workers/sink/cache.h"

/* A copy of a row, kept until its history is known up to the row's moment. */
struct verify_row {
    int32_t part;
    struct str state;                  /* case_state and agent */
    struct directory_state *directory; /* directory */
};

/* One case, agent or directory entity. */
struct verify_entry {
    struct cache_entry entry;
    bool ahead;                        /* the log has events of it at or beyond the cursor */
    bool row_seen;                     /* in case_state, agent or directory */
    bool is_suspect;                   /* in verify_set.suspects */
    uint64_t parts;                    /* part_bit() of its folded events */
    int64_t over_ms;                   /* record time of the event that ended it, -1: none */
    struct str state;                  /* owned: the stored form; null: no event counted */
    struct directory_state *directory; /* owned, one block with all its texts; NULL: no event counted */
    struct verify_row *row;            /* owned, of a suspect; NULL: there is no row */
};

/* All of one topic. */
struct verify_set {
    struct cache *cache;
    struct verify_entry **all; /* in the order of arrival */
    size_t count, room;
    struct verify_entry **suspects; /* their rows have to be compared again */
    size_t suspect_count, suspect_room;
    bool start_gone; /* records are missing at the start of a partition: rows may know more than the log */
    bool has_holes;  /* or anywhere in it: compaction, transactions */
};

/* How far a partition was read. */
struct verify_position {
    enum topic topic;
    int32_t part;
    int64_t folded_to;   /* records below it are folded */
    int64_t reported_to; /* findings about records below it are reported */
};

struct verify_history {
    struct verify_set sets[TOPIC_COUNT];
    struct verify_report *report; /* borrowed */
    int64_t sample;               /* percent */
    const char *const *topics;    /* names */
    struct verify_position *positions;
    size_t position_count;
    struct arena *decoded; /* one event at a time */
    struct arena *scratch; /* states of agents while an event is applied */
    struct buf blob;
};

#define VERIFY_CASE_KEY  16 /* case */
#define VERIFY_AGENT_KEY 32 /* organization, user. An entity's key is that of entity_key.h */

void verify_history_init(struct verify_history *history, int64_t sample, struct verify_report *report);
void verify_history_done(struct verify_history *history);

/* CV_OK, CV_RETRY, or CV_FATAL (a state is too large). Needs no open snapshot. */
enum cv_status verify_history_read(struct verify_history *history, struct history_reader *reader,
                                   struct err *err) CV_MUST_CHECK;
/* True: no cursor of the topic moved between the last verify_history_read() and the reader's last snapshot. */
bool verify_history_is_at(const struct verify_history *history, const struct history_reader *reader, enum topic topic);

/* NULL: the log has nothing of this key. */
struct verify_entry *verify_find(const struct verify_history *history, enum topic topic, const void *key);
struct verify_entry *verify_find_or_add(struct verify_history *history, enum topic topic, const void *key);
void verify_suspect(struct verify_history *history, enum topic topic, struct verify_entry *entry);
/* Keeps a copy of a suspect's row in place of the one kept before. */
void verify_keep_row(struct verify_entry *entry, int32_t part, struct str state);
void verify_keep_directory_row(struct verify_entry *entry, const struct directory_state *directory);
void verify_forget_row(struct verify_entry *entry);

/* Whether an id belongs to the sample. */
bool verify_wants(const struct verify_history *history, const struct uuid *id);

#endif
