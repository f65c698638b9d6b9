/*
 * cache.h: a bounded map from fixed-length keys to the caller's entries. When it is above its ceiling, entries that
 * were not used lately are evicted (the clock algorithm: each entry has a mark that its use sets, and the clock hand
 * clears marks and evicts what has none). Holds the states of cases and agents and the names of directory entities.
 * One thread.
 *
 * A pinned entry is never evicted: it is part of a batch that is not committed.
 */
#ifndef CASEVIEW_SINK_CACHE_H
#define CASEVIEW_SINK_CACHE_H

#include "caseview/base.h"

#define CACHE_KEY_MAX 36

struct cache_entry {
    struct cache_entry *next_in_bucket;
    uint64_t hash;
    unsigned pins;
    unsigned bytes; /* what the entry counts for, itself included */
    bool used;      /* since the clock hand passed */
    uint8_t key[CACHE_KEY_MAX];
};

struct cache;

/*
 * entry_size: size of the caller's struct, whose first member is a struct cache_entry; the rest starts zeroed.
 * drop: releases what the rest owns (not the entry itself); may be NULL.
 */
struct cache *cache_new(size_t key_size, size_t entry_size, size_t max_bytes, void (*drop)(struct cache_entry *entry));
void cache_free(struct cache *cache);

/* The entry for key (key_size bytes), marked as used; NULL when there is none. */
struct cache_entry *cache_find(struct cache *cache, const void *key);
/* The same, created when there is none (*out_made). */
struct cache_entry *cache_get(struct cache *cache, const void *key, bool *out_made);
/*
 * Asks the processor to fetch what a look-up of the key will read, some look-ups ahead: first the bucket, then the
 * entry. The entry is returned when it is there without a search, for what it owns to be fetched too; else NULL.
 */
enum cache_prefetch { PREFETCH_BUCKET, PREFETCH_ENTRY, PREFETCH_VALUE };
const struct cache_entry *cache_prefetch(const struct cache *cache, const void *key, enum cache_prefetch what);
/* The entry owns `bytes` besides itself now. */
void cache_weigh(struct cache *cache, struct cache_entry *entry, size_t bytes);
void cache_pin(struct cache_entry *entry);
void cache_unpin(struct cache_entry *entry);
void cache_set_max(struct cache *cache, size_t max_bytes); /* takes effect with the next cache_trim() */
/*
 * Evicts entries that are not pinned while the cache is above its ceiling. One call looks at a part of the cache only,
 * so that it never takes long. Entries found before may be gone after it.
 */
void cache_trim(struct cache *cache);
void cache_remove(struct cache *cache, struct cache_entry *entry); /* must not be pinned */
/* Removes everything, pinned or not: no entry found before may be used any more. */
void cache_clear(struct cache *cache);

size_t cache_count(const struct cache *cache);
size_t cache_bytes(const struct cache *cache);

#endif
