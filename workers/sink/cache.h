/*
 * cache.h: a bounded map from fixed-length keys to the caller's entries: states of cases and agents, and names of
 * directory entities. Above its ceiling it evicts entries that were not used recently, by the clock algorithm: each use
 * marks an entry, and the clock hand clears marks and evicts unmarked entries. One thread.
 *
 * A pinned entry belongs to a batch that is not committed, and is never evicted.
 */
#ifndef CASEVIEW_SINK_CACHE_H
#define CASEVIEW_SINK_CACHE_H

#include "caseview/base.h"

#define CACHE_KEY_MAX 36

struct cache_entry {
    struct cache_entry *next_in_bucket;
    uint64_t hash;
    unsigned pins;
    unsigned bytes; /* counted for the entry, itself included */
    bool used;      /* since the clock hand passed */
    uint8_t key[CACHE_KEY_MAX];
};

struct cache;

/* Releases what the caller's part of an entry owns, but not the entry itself. */
typedef void (*cache_drop)(struct cache_entry *entry, void *context);

/*
 * entry_size: size of the caller's struct, whose first member is a struct cache_entry; the rest is zeroed. drop may be
 * NULL; context is for drop, borrowed.
 */
struct cache *cache_new(size_t key_size, size_t entry_size, size_t max_bytes, cache_drop drop, void *context);
void cache_free(struct cache *cache);

/* The entry for key (key_size bytes), marked as used; NULL when there is none. */
struct cache_entry *cache_find(struct cache *cache, const void *key);
/* The same, created when there is none (*out_made). */
struct cache_entry *cache_get(struct cache *cache, const void *key, bool *out_made);
/* A key's hash in this cache. */
uint64_t cache_hash(const struct cache *cache, const void *key);
/*
 * Prefetches the memory of a later look-up of the key with this hash. PREFETCH_VALUE returns the first entry of the
 * key's bucket, which is usually the key's, so that the caller can prefetch what it owns; NULL if the bucket is empty.
 */
enum cache_prefetch { PREFETCH_BUCKET, PREFETCH_ENTRY, PREFETCH_VALUE };
const struct cache_entry *cache_prefetch(const struct cache *cache, uint64_t hash, enum cache_prefetch what);
/* Sets the bytes that the entry owns besides itself. */
void cache_weigh(struct cache *cache, struct cache_entry *entry, size_t bytes);
void cache_pin(struct cache_entry *entry);
void cache_unpin(struct cache_entry *entry);
void cache_set_max(struct cache *cache, size_t max_bytes); /* takes effect with the next cache_trim() */
/*
 * Evicts unpinned entries while the cache is above its ceiling. One call checks only a part of the cache, so that it
 * never takes long. Entries found before are invalid after it.
 */
void cache_trim(struct cache *cache);
void cache_remove(struct cache *cache, struct cache_entry *entry); /* must not be pinned */
/* Removes all entries, pinned or not. Entries found before are invalid after it. */
void cache_clear(struct cache *cache);

size_t cache_count(const struct cache *cache);
size_t cache_bytes(const struct cache *cache);

#endif
