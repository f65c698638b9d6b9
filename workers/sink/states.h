/*
 * states.h: the states of all cases, or of all agents, that a worker has in memory, each as of the last batch folded,
 * committed or not; and which of them a batch works on. What a state means is the caller's. When a batch fails:
 * states_clear(). One thread.
 */
#ifndef CASEVIEW_SINK_STATES_H
#define CASEVIEW_SINK_STATES_H

#include "workers/sink/batch.h"

struct state_work;

/* One row of case_state or agent, with its key in entry.key. */
struct state_entry {
    struct cache_entry entry;
    bool loaded;             /* what follows is known; else it is in the table, or nowhere */
    bool listed;             /* cases: it has a row in active_case */
    int32_t rev;             /* of the row, 0: there is none */
    struct str blob;         /* owned by the cache; null while there is no row */
    struct state_work *work; /* while a batch is being collected */
};

/* One key of the batch being folded. */
struct state_work {
    struct state_entry *entry;        /* pinned */
    struct batch_event *first, *last; /* in the order of arrival, linked by next; NULL: none */
    bool rerender;                    /* a name of it changed in the directory */
    int32_t part;
};

struct states;

/* Writes the key of an event, or of what is to be rendered anew: exactly one of the two is given. */
typedef void (*states_key)(const struct batch_event *event, const struct batch_rerender *rerender, uint8_t *out_key);

struct states *states_new(enum topic topic, size_t key_size, states_key key, size_t max_bytes);
void states_free(struct states *states);
void states_clear(struct states *states);

/* What the batch works on, in key order, in the batch's output arena. CV_OK or CV_FATAL. */
enum cv_status states_collect(struct states *states, struct batch *batch, struct state_work **out_works,
                              size_t *out_count, struct err *err) CV_MUST_CHECK;
/* The entry of a key that was collected. */
struct state_entry *states_find(struct states *states, const void *key);
/* The caller of a replacing batch has read the log for rows that it saw before: they must still be the same ones. Else
 * it is stale. */
void states_check_expected(struct states *states, struct batch *batch);
/* The entry takes a copy of the blob. */
void states_set(struct states *states, struct state_entry *entry, struct str blob);
/* The batch does not write this key after all, or has written it: it may be put out. */
void states_release(struct state_entry *entry);
void states_trim(struct states *states); /* entries that are not pinned may be gone after it */

size_t states_count(const struct states *states);
size_t states_bytes(const struct states *states);

#endif
