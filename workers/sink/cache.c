#include "workers/sink/cache.h"

#include <sanitizer/asan_interface.h>
#include <unistd.h>
#include <xxhash.h>

#include "caseview/clock.h"

struct cache {
    size_t key_size;
    size_t entry_size;
    size_t max_bytes;
    cache_drop drop;
    void *context; /* of drop */
    uint64_t seed; /* keys come from producers, who must not be able to choose the buckets */
    struct cache_entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t bytes;
    size_t hand;               /* bucket that the clock checks next */
    struct cache_entry *spare; /* evicted ones, for the next new entries: malloc() would split and merge blocks */
    size_t spare_count;
};

#define FIRST_BUCKETS 1024
#define MALLOC_BYTES  16 /* the allocator's overhead per block */
#define TRIM_BUCKETS  4096
#define SPARE_MAX     4096 /* entries */
#define SPARE_SHARE   16   /* of the ceiling at most: a cache that is to shrink keeps little */
#define CACHE_LINE    64   /* bytes that the processor fetches at once */

struct cache *cache_new(size_t key_size, size_t entry_size, size_t max_bytes, cache_drop drop, void *context)
{
    assert(key_size <= CACHE_KEY_MAX && entry_size >= sizeof(struct cache_entry));
    struct cache *cache = cv_zalloc(sizeof *cache);
    cache->key_size = key_size;
    cache->entry_size = entry_size;
    cache->max_bytes = max_bytes;
    cache->drop = drop;
    cache->context = context;
    cache->seed = (uint64_t)clock_wall_us() ^ ((uint64_t)getpid() << 32) ^ (uint64_t)(uintptr_t)cache;
    cache->bucket_count = FIRST_BUCKETS;
    cache->buckets = cv_zalloc(cache->bucket_count * sizeof *cache->buckets);
    return cache;
}

/* ---- spare entries ---- */

/* An entry that a batch still used would be a bug: AddressSanitizer shall see it as it sees freed memory. */
static void release(struct cache *cache, struct cache_entry *entry)
{
    size_t bytes = (cache->spare_count + 1) * cache->entry_size;
    if (cache->spare_count == SPARE_MAX || bytes > cache->max_bytes / SPARE_SHARE) {
        free(entry);
        return;
    }
    entry->next_in_bucket = cache->spare;
    cache->spare = entry;
    cache->spare_count++;
    ASAN_POISON_MEMORY_REGION(entry, cache->entry_size);
}

static struct cache_entry *take_spare(struct cache *cache)
{
    struct cache_entry *entry = cache->spare;
    ASAN_UNPOISON_MEMORY_REGION(entry, cache->entry_size);
    cache->spare = entry->next_in_bucket;
    cache->spare_count--;
    return entry;
}

static void free_spare(struct cache *cache)
{
    while (cache->spare != NULL)
        free(take_spare(cache));
}

/* ---- entries ---- */

static struct cache_entry **bucket_of(const struct cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

static void grow(struct cache *cache)
{
    struct cache_entry **old = cache->buckets;
    size_t old_count = cache->bucket_count;
    cache->bucket_count = old_count * 2;
    cache->buckets = cv_zalloc(cache->bucket_count * sizeof *cache->buckets);
    for (size_t i = 0; i < old_count; i++) {
        struct cache_entry *next;
        for (struct cache_entry *entry = old[i]; entry != NULL; entry = next) {
            next = entry->next_in_bucket;
            struct cache_entry **head = bucket_of(cache, entry->hash);
            entry->next_in_bucket = *head;
            *head = entry;
        }
    }
    free(old);
}

uint64_t cache_hash(const struct cache *cache, const void *key)
{
    return XXH3_64bits_withSeed(key, cache->key_size, cache->seed);
}

static struct cache_entry *find(const struct cache *cache, const void *key, uint64_t hash)
{
    struct cache_entry *entry = *bucket_of(cache, hash);
    while (entry != NULL && (entry->hash != hash || memcmp(entry->key, key, cache->key_size) != 0))
        entry = entry->next_in_bucket;
    if (entry != NULL)
        entry->used = true;
    return entry;
}

const struct cache_entry *cache_prefetch(const struct cache *cache, uint64_t hash, enum cache_prefetch what)
{
    struct cache_entry **bucket = bucket_of(cache, hash);
    switch (what) {
    case PREFETCH_BUCKET:
        __builtin_prefetch(bucket);
        break;
    case PREFETCH_ENTRY:
        for (size_t at = 0; *bucket != NULL && at < cache->entry_size; at += CACHE_LINE)
            __builtin_prefetch((const char *)*bucket + at);
        break;
    case PREFETCH_VALUE:
        return *bucket;
    }
    return NULL;
}

struct cache_entry *cache_find(struct cache *cache, const void *key)
{
    return find(cache, key, cache_hash(cache, key));
}

struct cache_entry *cache_get(struct cache *cache, const void *key, bool *out_made)
{
    uint64_t hash = cache_hash(cache, key);
    struct cache_entry *entry = find(cache, key, hash);
    *out_made = entry == NULL;
    if (entry != NULL)
        return entry;
    if (cache->count >= cache->bucket_count)
        grow(cache);
    entry = cache->spare != NULL ? take_spare(cache) : cv_alloc(cache->entry_size);
    memset(entry, 0, cache->entry_size);
    memcpy(entry->key, key, cache->key_size);
    entry->hash = hash;
    entry->used = true;
    entry->bytes = (unsigned)(cache->entry_size + MALLOC_BYTES);
    struct cache_entry **head = bucket_of(cache, hash);
    entry->next_in_bucket = *head;
    *head = entry;
    cache->count++;
    cache->bytes += entry->bytes;
    return entry;
}

void cache_weigh(struct cache *cache, struct cache_entry *entry, size_t bytes)
{
    size_t own = cache->entry_size + MALLOC_BYTES + (bytes > 0 ? bytes + MALLOC_BYTES : 0);
    cache->bytes += own - entry->bytes;
    entry->bytes = (unsigned)own;
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

void cache_set_max(struct cache *cache, size_t max_bytes)
{
    cache->max_bytes = max_bytes;
    free_spare(cache);
}

/* Unlinks and frees the entry that *link points to. */
static void evict(struct cache *cache, struct cache_entry **link)
{
    struct cache_entry *entry = *link;
    *link = entry->next_in_bucket;
    cache->count--;
    cache->bytes -= entry->bytes;
    if (cache->drop != NULL)
        cache->drop(entry, cache->context);
    release(cache, entry);
}

static void trim_bucket(struct cache *cache, struct cache_entry **link)
{
    while (*link != NULL && cache->bytes > cache->max_bytes) {
        struct cache_entry *entry = *link;
        if (entry->pins == 0 && !entry->used) {
            evict(cache, link);
            continue;
        }
        entry->used = false;
        link = &entry->next_in_bucket;
    }
}

void cache_trim(struct cache *cache)
{
    size_t steps = cache->bucket_count / 4 + TRIM_BUCKETS;
    for (; steps > 0 && cache->bytes > cache->max_bytes; steps--) {
        trim_bucket(cache, &cache->buckets[cache->hand]);
        cache->hand = (cache->hand + 1) & (cache->bucket_count - 1);
    }
}

void cache_remove(struct cache *cache, struct cache_entry *entry)
{
    assert(entry->pins == 0);
    struct cache_entry **link = bucket_of(cache, entry->hash);
    while (*link != entry)
        link = &(*link)->next_in_bucket;
    evict(cache, link);
}

void cache_clear(struct cache *cache)
{
    for (size_t i = 0; i < cache->bucket_count; i++)
        while (cache->buckets[i] != NULL)
            evict(cache, &cache->buckets[i]);
    if (cache->bucket_count > FIRST_BUCKETS) {
        free(cache->buckets);
        cache->bucket_count = FIRST_BUCKETS;
        cache->buckets = cv_zalloc(cache->bucket_count * sizeof *cache->buckets);
    }
    cache->hand = 0;
    free_spare(cache);
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
