#include "workers/sink/states.h"

#define BLOB_STEP 64 /* room is rounded up to it, so that a state that grows a little keeps its place */

struct states {
    struct cache *cache;
    size_t detached_bytes;
};

static size_t blob_bytes(const struct blob *blob)
{
    return sizeof *blob + blob->room;
}

static void unref(struct blob *blob)
{
    if (blob != NULL && --blob->refs == 0)
        free(blob);
}

static void drop_entry(struct cache_entry *entry)
{
    unref(((struct state *)entry)->blob);
}

struct states *states_new(size_t key_size, size_t max_bytes)
{
    struct states *states = cv_zalloc(sizeof *states);
    states->cache = cache_new(key_size, sizeof(struct state), max_bytes, drop_entry);
    return states;
}

void states_free(struct states *states)
{
    if (states == NULL)
        return;
    cache_free(states->cache);
    free(states);
}

struct state *states_get(struct states *states, const void *key)
{
    bool made;
    return (struct state *)cache_get(states->cache, key, &made);
}

struct state *states_find(struct states *states, const void *key)
{
    return (struct state *)cache_find(states->cache, key);
}

static struct blob *blob_new(size_t len)
{
    size_t room = (len + BLOB_STEP) / BLOB_STEP * BLOB_STEP;
    struct blob *blob = cv_alloc(sizeof *blob + room);
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
    unref(blob);
}

void states_set(struct states *states, struct state *state, struct str text)
{
    struct blob *blob = state->blob;
    if (blob == NULL || blob->refs > 1 || blob->room < text.len || blob->room > 4 * (text.len + BLOB_STEP)) {
        blob = blob_new(text.len);
        memcpy(blob->data, text.ptr, text.len);
        detach(states, state->blob);
        state->blob = blob;
        cache_weigh(states->cache, &state->entry, blob_bytes(blob));
    } else {
        memcpy(blob->data, text.ptr, text.len);
    }
    blob->len = (unsigned)text.len;
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
    unref(blob);
}

void states_set_max(struct states *states, size_t max_bytes)
{
    cache_set_max(states->cache, max_bytes);
}

void states_trim(struct states *states)
{
    cache_trim(states->cache);
}

void states_clear(struct states *states)
{
    cache_clear(states->cache);
}

size_t states_count(const struct states *states)
{
    return cache_count(states->cache);
}

size_t states_bytes(const struct states *states)
{
    return cache_bytes(states->cache) + states->detached_bytes;
}
