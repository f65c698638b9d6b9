/*
 * verify_history.h: the log folded into memory, one state a key, for `caseview verify`. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_HISTORY_H
#define CASEVIEW_OPS_VERIFY_HISTORY_H

#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/fold/directory.h"
#include "workers/ops/history_reader.h"
#include "workers/ops/verify_report.h"
#include "workers/sink/cache.h"
#include "workers/sink/names.h"

/* One case, agent or directory entity. */
struct verify_entry {
    struct cache_entry entry;
    bool ahead;                        /* the log has events of it that are not folded yet */
    bool from_row;                     /* the log cannot tell: state is the row's own */
    bool row_seen;                     /* in case_state, agent or directory */
    bool listed_seen;                  /* in active_case */
    int32_t row_part;                  /* of that row */
    uint64_t parts;                    /* part_bit() of its events */
    int64_t over_ms;                   /* record time of the event that ended it, -1: none */
    struct str state;                  /* owned: the stored form; null: no event counted */
    struct directory_state *directory; /* owned, one block with all its texts; NULL: no event counted */
};

/* All of one topic. */
struct verify_set {
    struct cache *cache;
    struct verify_entry **all; /* in the order of arrival */
    size_t count, room;
};

struct verify_history {
    struct verify_set sets[TOPIC_COUNT];
    struct verify_report *report; /* borrowed */
    int64_t sample;               /* percent */
    const char *const *topics;    /* names */
    struct arena *decoded;        /* one event at a time */
    struct arena *scratch;        /* states of agents while an event is applied */
    struct buf blob;
};

#define VERIFY_CASE_KEY      16 /* case */
#define VERIFY_AGENT_KEY     32 /* organization, user */
#define VERIFY_DIRECTORY_KEY 33 /* kind, organization (zero for an application, which is unique by itself), entity */

void verify_history_init(struct verify_history *history, int64_t sample, struct verify_report *report);
void verify_history_done(struct verify_history *history);

/* Reads and folds everything below the snapshot's cursors. */
enum cv_status verify_history_read(struct verify_history *history, struct history_reader *reader,
                                   struct err *err) CV_MUST_CHECK;

/* NULL: the log has nothing of it. */
struct verify_entry *verify_find(const struct verify_history *history, enum topic topic, const void *key);
struct verify_entry *verify_find_or_add(struct verify_history *history, enum topic topic, const void *key);
/* The state becomes the row's own, for what the log cannot tell. */
void verify_take_row(struct verify_entry *entry, struct str state);

void verify_directory_key(enum entity_kind kind, const struct uuid *organization_id, const struct uuid *entity_id,
                          uint8_t out_key[VERIFY_DIRECTORY_KEY]);
/* Whether an id belongs to the sample. */
bool verify_wants(const struct verify_history *history, const struct uuid *id);

#endif
