#include "workers/sink/states.h"

#include <stdlib.h>

struct states {
    enum topic topic;
    size_t key_size;
    states_key key;
    struct cache *cache;
};

static void drop_entry(struct cache_entry *entry)
{
    free((char *)(uintptr_t)((struct state_entry *)entry)->blob.ptr);
}

struct states *states_new(enum topic topic, size_t key_size, states_key key, size_t max_bytes)
{
    struct states *states = cv_zalloc(sizeof *states);
    states->topic = topic;
    states->key_size = key_size;
    states->key = key;
    states->cache = cache_new(key_size, sizeof(struct state_entry), max_bytes, drop_entry);
    return states;
}

void states_free(struct states *states)
{
    if (states == NULL)
        return;
    cache_free(states->cache);
    free(states);
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
    return cache_bytes(states->cache);
}

static struct state_work *work_on(struct states *states, const uint8_t *key, struct state_work *works, size_t *count)
{
    bool made;
    struct state_entry *entry = (struct state_entry *)cache_get(states->cache, key, &made);
    if (entry->work != NULL)
        return entry->work;
    cache_pin(&entry->entry);
    works[*count] = (struct state_work){.entry = entry};
    entry->work = &works[*count];
    return &works[(*count)++];
}

static void add_event(struct state_work *work, struct batch_event *event)
{
    event->next = NULL;
    if (work->first == NULL)
        work->first = event;
    else
        work->last->next = event;
    work->last = event;
    work->part = event->record.partition;
}

static size_t most_works(const struct states *states, const struct batch *batch)
{
    size_t most = 0;
    for (size_t i = 0; i < batch->event_count; i++)
        most += batch->events[i]->event.topic == states->topic;
    for (size_t i = 0; i < batch->rerender_count; i++)
        most += batch->rerenders[i].topic == states->topic;
    return most;
}

/* Keys are never longer than CACHE_KEY_MAX, and what is behind them is zero: all of it may be compared. */
static int compare_works(const void *a, const void *b)
{
    const struct state_work *x = a, *y = b;
    return memcmp(x->entry->entry.key, y->entry->entry.key, CACHE_KEY_MAX);
}

enum cv_status states_collect(struct states *states, struct batch *batch, struct state_work **out_works,
                              size_t *out_count, struct err *err)
{
    uint8_t key[CACHE_KEY_MAX];
    size_t count = 0;
    struct state_work *works = arena_alloc(batch->output, (most_works(states, batch) + 1) * sizeof *works);
    if (works == NULL)
        return batch_too_large(err);
    for (size_t i = 0; i < batch->event_count; i++) {
        if (batch->events[i]->event.topic != states->topic)
            continue;
        states->key(batch->events[i], NULL, key);
        add_event(work_on(states, key, works, &count), batch->events[i]);
    }
    for (size_t i = 0; i < batch->rerender_count; i++) {
        if (batch->rerenders[i].topic != states->topic)
            continue;
        states->key(NULL, &batch->rerenders[i], key);
        struct state_work *work = work_on(states, key, works, &count);
        work->rerender = true;
        if (work->first == NULL)
            work->part = batch->rerenders[i].part;
    }
    for (size_t i = 0; i < count; i++)
        works[i].entry->work = NULL;
    qsort(works, count, sizeof *works, compare_works);
    *out_works = works;
    *out_count = count;
    return CV_OK;
}

struct state_entry *states_find(struct states *states, const void *key)
{
    return (struct state_entry *)cache_find(states->cache, key);
}

void states_check_expected(struct states *states, struct batch *batch)
{
    uint8_t key[CACHE_KEY_MAX];
    for (size_t i = 0; i < batch->expected_count; i++) {
        const struct batch_expected *expected = &batch->expected[i];
        if (expected->topic != states->topic)
            continue;
        states->key(NULL, &(struct batch_rerender){.organization_id = expected->organization_id, .id = expected->id},
                    key);
        const struct state_entry *entry = states_find(states, key);
        batch->stale |= entry != NULL && entry->rev != expected->rev;
    }
}

void states_set(struct states *states, struct state_entry *entry, struct str blob)
{
    char *copy = cv_alloc(blob.len + 1);
    memcpy(copy, blob.ptr, blob.len);
    drop_entry(&entry->entry);
    entry->blob = (struct str){copy, blob.len};
    cache_weigh(states->cache, &entry->entry, blob.len);
}

void states_release(struct state_entry *entry)
{
    cache_unpin(&entry->entry);
}

void states_trim(struct states *states)
{
    cache_trim(states->cache);
}
