#include "workers/sink/states.h"

#include <sanitizer/asan_interface.h>

#define BLOB_STEP 64 /* room is rounded up to it, so that a state that grows a little keeps its place */

/*
 * Every fold of a state whose row is in flight needs a new blob, and frees the old one with the commit; so do a new
 * state and an evicted one. Small ones are kept for the next fold: malloc() would split and merge its blocks each time,
 * a tenth of a worker's CPU time.
 */
#define SPARE_SIZES     16
#define SPARE_BYTES_MAX (4u << 20)
#define SPARE_SHARE     16 /* of the ceiling at most: a cache that is to shrink keeps little */

struct states {
    struct cache *cache;
    size_t detached_bytes;
    struct blob *spare[SPARE_SIZES + 1]; /* by room in steps, linked through their data */
    size_t spare_bytes, spare_max;
};

static size_t blob_bytes(const struct blob *blob)
{
    return sizeof *blob + blob->room;
}

/* A blob that a row still read would be a bug: AddressSanitizer shall see it as it sees freed memory. */
static void release(struct states *states, struct blob *blob)
{
    size_t steps = blob->room / BLOB_STEP, bytes = blob_bytes(blob);
    if (steps > SPARE_SIZES || states->spare_bytes + bytes > states->spare_max) {
        free(blob);
        return;
    }
    memcpy(blob->data, &states->spare[steps], sizeof(struct blob *));
    states->spare[steps] = blob;
    states->spare_bytes += bytes;
    ASAN_POISON_MEMORY_REGION(blob, bytes);
}

/* NULL: there is none of this size. */
static struct blob *take_spare(struct states *states, size_t steps)
{
    struct blob *blob = states->spare[steps];
    if (blob == NULL)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(blob, sizeof *blob + steps * BLOB_STEP);
    memcpy(&states->spare[steps], blob->data, sizeof(struct blob *));
    states->spare_bytes -= blob_bytes(blob);
    return blob;
}

static void free_spare(struct states *states)
{
    for (size_t steps = 0; steps <= SPARE_SIZES; steps++)
        while (states->spare[steps] != NULL)
            free(take_spare(states, steps));
}

static void unref(struct states *states, struct blob *blob)
{
    if (blob != NULL && --blob->refs == 0)
        release(states, blob);
}

static void drop_entry(struct cache_entry *entry, void *states)
{
    unref(states, ((struct state *)entry)->blob);
}

static size_t spare_max(size_t max_bytes)
{
    return max_bytes / SPARE_SHARE < SPARE_BYTES_MAX ? max_bytes / SPARE_SHARE : SPARE_BYTES_MAX;
}

struct states *states_new(size_t key_size, size_t max_bytes)
{
    struct states *states = cv_zalloc(sizeof *states);
    states->cache = cache_new(key_size, sizeof(struct state), max_bytes, drop_entry, states);
    states->spare_max = spare_max(max_bytes);
    return states;
}

void states_free(struct states *states)
{
    if (states == NULL)
        return;
    cache_free(states->cache);
    free_spare(states);
    free(states);
}

struct state *states_get(struct states *states, const void *key)
{
    bool made;
    return (struct state *)cache_get(states->cache, key, &made);
}

uint64_t states_hash(const struct states *states, const void *key)
{
    return cache_hash(states->cache, key);
}

void states_prefetch(const struct states *states, uint64_t hash, enum cache_prefetch what)
{
    const struct state *state = (const struct state *)cache_prefetch(states->cache, hash, what);
    if (state == NULL || state->blob == NULL)
        return;
    __builtin_prefetch(state->blob);
    __builtin_prefetch(state->blob->data + BLOB_STEP);
    __builtin_prefetch(state->blob->data + 3 * BLOB_STEP);
}

struct state *states_find(struct states *states, const void *key)
{
    return (struct state *)cache_find(states->cache, key);
}

static struct blob *blob_new(struct states *states, size_t len)
{
    size_t room = (len + BLOB_STEP) / BLOB_STEP * BLOB_STEP;
    size_t steps = room / BLOB_STEP;
    struct blob *blob = steps <= SPARE_SIZES ? take_spare(states, steps) : NULL;
    if (blob == NULL)
        blob = cv_alloc(sizeof *blob + room);
    *blob = (struct blob){.refs = 1, .room = (unsigned)room};
    return blob;
}

static void detach(struct states *states, struct blob *blob)
{
    if (blob == NULL)
        return;
    if (blob->refs > 1) {
        blob->detached = true;
        states->detached_bytes += blob_bytes(blob);
    }
    unref(states, blob);
}

void states_set(struct states *states, struct state *state, struct str text)
{
    struct blob *blob = state->blob;
    if (blob == NULL || blob->refs > 1 || blob->room < text.len || blob->room > 4 * (text.len + BLOB_STEP)) {
        blob = blob_new(states, text.len);
        memcpy(blob->data, text.ptr, text.len);
        detach(states, state->blob);
        state->blob = blob;
        cache_weigh(states->cache, &state->entry, blob_bytes(blob));
    } else {
        memcpy(blob->data, text.ptr, text.len);
    }
    blob->len = (unsigned)text.len;
}

void states_remove(struct states *states, struct state *state)
{
    cache_remove(states->cache, &state->entry);
}

void states_forget_blob(struct states *states, struct state *state)
{
    detach(states, state->blob);
    state->blob = NULL;
    cache_weigh(states->cache, &state->entry, 0);
}

struct blob *states_share(struct state *state)
{
    state->blob->refs++;
    return state->blob;
}

void states_unshare(struct states *states, struct blob *blob)
{
    if (blob->refs == 1 && blob->detached)
        states->detached_bytes -= blob_bytes(blob);
    unref(states, blob);
}

void states_set_max(struct states *states, size_t max_bytes)
{
    cache_set_max(states->cache, max_bytes);
    states->spare_max = spare_max(max_bytes);
    free_spare(states);
}

void states_trim(struct states *states)
{
    cache_trim(states->cache);
}

void states_clear(struct states *states)
{
    cache_clear(states->cache);
    free_spare(states);
}

size_t states_count(const struct states *states)
{
    return cache_count(states->cache);
}

size_t states_bytes(const struct states *states)
{
    return cache_bytes(states->cache) + states->detached_bytes + states->spare_bytes;
}
