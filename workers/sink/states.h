/*
 * states.h: the cached rows of case_state or agent, each as of the last event folded, committed or not. A state is
 * found by its key, filled from the table once (`loaded`), and replaced by every fold. One thread.
 *
 * The stored form of a state (a blob) is counted: a row that is being written shares it, and a fold that comes
 * meanwhile makes a new one. So a row in flight never changes, and nothing has to be copied.
 */
#ifndef CASEVIEW_SINK_STATES_H
#define CASEVIEW_SINK_STATES_H

#include "workers/sink/cache.h"

struct blob {
    unsigned refs;
    unsigned len;
    unsigned room;
    bool detached; /* replaced in its state; only rows in flight still share it */
    char data[];
};

struct state {
    struct cache_entry entry; /* the key: case id, or organization and user */
    bool loaded;              /* the members below are valid; otherwise the row must be read */
    bool wanted;              /* its row is being read */
    bool dirty;               /* part of the open batch */
    bool has_row;             /* cases: in case_state once every closed batch is committed */
    bool listed;              /* cases: has a row in active_case once every closed batch is committed */
    unsigned counted;         /* bytes of it that the open batch has counted */
    int16_t flags;            /* cases: of case_state */
    int32_t rev;              /* of the row once every closed batch is committed; 0: there is none */
    int32_t part;             /* partition of the last event, or of the row */
    struct blob *blob;        /* NULL: no row and no event */
};

struct states;

struct states *states_new(size_t key_size, size_t max_bytes);
void states_free(struct states *states);

/* The state of a key, created (not loaded) when it is not cached. */
struct state *states_get(struct states *states, const void *key);
struct state *states_find(struct states *states, const void *key); /* NULL: not cached */

/* A state that will be needed soon: see cache_hash() and cache_prefetch(). */
uint64_t states_hash(const struct states *states, const void *key);
void states_prefetch(const struct states *states, uint64_t hash, enum cache_prefetch what);

static inline struct str state_blob(const struct state *state)
{
    return state->blob != NULL ? (struct str){state->blob->data, state->blob->len} : STR_NULL;
}

/* Replaces the blob by a copy of the text. */
void states_set(struct states *states, struct state *state, struct str text);
/* Forgets the state, which must not be pinned: the next one of this key is read again. */
void states_remove(struct states *states, struct state *state);
/* Resets the state to one without events; the row's revision stays. */
void states_forget_blob(struct states *states, struct state *state);
/* Shares the blob with a row in flight, until states_unshare(). */
struct blob *states_share(struct state *state);
void states_unshare(struct states *states, struct blob *blob);

void states_set_max(struct states *states, size_t max_bytes);
void states_trim(struct states *states); /* states that are not pinned may be gone after it */
/* Forgets all, pinned or not: only together with every batch that refers to states (pipeline_drop()). */
void states_clear(struct states *states);

size_t states_count(const struct states *states);
size_t states_bytes(const struct states *states); /* blobs of rows in flight included */

#endif
