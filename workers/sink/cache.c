#include "workers/sink/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "caseview/clock.h"

struct cache {
    size_t key_size;
    size_t entry_size;
    size_t max_bytes;
    void (*drop)(struct cache_entry *entry);
    uint64_t seed; /* keys come from outside: nobody shall be able to choose their bucket */
    struct cache_entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t bytes;
    struct cache_entry *newest, *oldest;
};

#define FIRST_BUCKETS 1024

struct cache *cache_new(size_t key_size, size_t entry_size, size_t max_bytes, void (*drop)(struct cache_entry *entry))
{
    assert(key_size <= CACHE_KEY_MAX && entry_size >= sizeof(struct cache_entry));
    struct cache *cache = cv_zalloc(sizeof *cache);
    cache->key_size = key_size;
    cache->entry_size = entry_size;
    cache->max_bytes = max_bytes;
    cache->drop = drop;
    cache->seed = (uint64_t)clock_wall_us() ^ ((uint64_t)getpid() << 32) ^ (uint64_t)(uintptr_t)cache;
    cache->bucket_count = FIRST_BUCKETS;
    cache->buckets = cv_zalloc(cache->bucket_count * sizeof *cache->buckets);
    return cache;
}

static size_t bucket_of(const struct cache *cache, const void *key)
{
    return XXH3_64bits_withSeed(key, cache->key_size, cache->seed) & (cache->bucket_count - 1);
}

static void unlink_use(struct cache *cache, struct cache_entry *entry)
{
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        cache->newest = entry->older;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        cache->oldest = entry->newer;
}

static void link_newest(struct cache *cache, struct cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    if (cache->newest != NULL)
        cache->newest->newer = entry;
    else
        cache->oldest = entry;
    cache->newest = entry;
}

static void grow(struct cache *cache)
{
    size_t new_count = cache->bucket_count * 2;
    struct cache_entry **old = cache->buckets;
    size_t old_count = cache->bucket_count;
    cache->buckets = cv_zalloc(new_count * sizeof *cache->buckets);
    cache->bucket_count = new_count;
    for (size_t i = 0; i < old_count; i++) {
        struct cache_entry *next;
        for (struct cache_entry *entry = old[i]; entry != NULL; entry = next) {
            next = entry->next_in_bucket;
            struct cache_entry **head = &cache->buckets[bucket_of(cache, entry->key)];
            entry->next_in_bucket = *head;
            *head = entry;
        }
    }
    free(old);
}

struct cache_entry *cache_find(struct cache *cache, const void *key)
{
    struct cache_entry *entry = cache->buckets[bucket_of(cache, key)];
    while (entry != NULL && memcmp(entry->key, key, cache->key_size) != 0)
        entry = entry->next_in_bucket;
    if (entry != NULL && cache->newest != entry) {
        unlink_use(cache, entry);
        link_newest(cache, entry);
    }
    return entry;
}

struct cache_entry *cache_get(struct cache *cache, const void *key, bool *out_made)
{
    struct cache_entry *entry = cache_find(cache, key);
    *out_made = entry == NULL;
    if (entry != NULL)
        return entry;
    if (cache->count >= cache->bucket_count)
        grow(cache);
    entry = cv_zalloc(cache->entry_size);
    memcpy(entry->key, key, cache->key_size);
    entry->bytes = cache->entry_size;
    struct cache_entry **head = &cache->buckets[bucket_of(cache, key)];
    entry->next_in_bucket = *head;
    *head = entry;
    link_newest(cache, entry);
    cache->count++;
    cache->bytes += entry->bytes;
    return entry;
}

void cache_weigh(struct cache *cache, struct cache_entry *entry, size_t bytes)
{
    cache->bytes += cache->entry_size + bytes - entry->bytes;
    entry->bytes = cache->entry_size + bytes;
}

void cache_pin(struct cache_entry *entry)
{
    entry->pins++;
}

void cache_unpin(struct cache_entry *entry)
{
    assert(entry->pins > 0);
    entry->pins--;
}

static void put_out(struct cache *cache, struct cache_entry *entry)
{
    struct cache_entry **link = &cache->buckets[bucket_of(cache, entry->key)];
    while (*link != entry)
        link = &(*link)->next_in_bucket;
    *link = entry->next_in_bucket;
    unlink_use(cache, entry);
    cache->count--;
    cache->bytes -= entry->bytes;
    if (cache->drop != NULL)
        cache->drop(entry);
    free(entry);
}

void cache_trim(struct cache *cache)
{
    struct cache_entry *newer;
    for (struct cache_entry *entry = cache->oldest; entry != NULL && cache->bytes > cache->max_bytes; entry = newer) {
        newer = entry->newer;
        if (entry->pins == 0)
            put_out(cache, entry);
    }
}

void cache_clear(struct cache *cache)
{
    while (cache->oldest != NULL)
        put_out(cache, cache->oldest);
}

void cache_free(struct cache *cache)
{
    if (cache == NULL)
        return;
    cache_clear(cache);
    free(cache->buckets);
    free(cache);
}

size_t cache_count(const struct cache *cache)
{
    return cache->count;
}

size_t cache_bytes(const struct cache *cache)
{
    return cache->bytes;
}
