/*
 * cache.h: a bounded map from fixed-length keys to values of the caller, least recently used out first. Serves the
 * states of cases and agents and the names of directory entities. One thread.
 *
 * An entry that is pinned (part of a batch that has not been committed) is never put out.
 */
#ifndef CASEVIEW_SINK_CACHE_H
#define CASEVIEW_SINK_CACHE_H

#include "caseview/base.h"

#define CACHE_KEY_MAX 36

struct cache_entry {
    struct cache_entry *next_in_bucket;
    struct cache_entry *newer, *older; /* by last use */
    unsigned pins;
    size_t bytes; /* what the entry counts for, itself included */
    uint8_t key[CACHE_KEY_MAX];
};

struct cache;

/*
 * entry_size: size of the caller's struct, whose first member is a struct cache_entry; the rest starts zeroed.
 * drop: releases what the rest owns (not the entry itself); may be NULL.
 */
struct cache *cache_new(size_t key_size, size_t entry_size, size_t max_bytes, void (*drop)(struct cache_entry *entry));
void cache_free(struct cache *cache);

/* The entry for key (key_size bytes), marked as just used; NULL when there is none. */
struct cache_entry *cache_find(struct cache *cache, const void *key);
/* The same, made when there is none (*out_made). */
struct cache_entry *cache_get(struct cache *cache, const void *key, bool *out_made);
/* The entry owns `bytes` beside itself now. */
void cache_weigh(struct cache *cache, struct cache_entry *entry, size_t bytes);
void cache_pin(struct cache_entry *entry);
void cache_unpin(struct cache_entry *entry);
/* Puts out what is over the ceiling and not pinned. Entries found before may be gone after it. */
void cache_trim(struct cache *cache);
void cache_clear(struct cache *cache); /* everything, pinned or not: no entry found before may be used any more */

size_t cache_count(const struct cache *cache);
size_t cache_bytes(const struct cache *cache);

#endif
