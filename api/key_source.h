/*
 * key_source.h: the key set (JWKS) that access tokens are verified with, from a file or a URL. A thread of its own
 * reads it again every refresh_s (a file at least every 5 s), on a reload, and when a token names an unknown kid (at
 * most every 5 s). A set that cannot be read or parsed leaves the old one in force, with one log line.
 *
 * A set is immutable once published. The version grows with every set whose text differs from the one before, so that
 * tokens verified with a withdrawn key can be told. All functions but new and free: any thread.
 */
#ifndef CASEVIEW_API_KEY_SOURCE_H
#define CASEVIEW_API_KEY_SOURCE_H

#include "caseview/base.h"
#include "caseview/metrics.h"
#include "keys.h"

struct key_source;

/*
 * Starts the thread; returns at once, whether the set can be read or not. source is borrowed until key_source_free().
 * threads: of the callers; at most half of them, and 32, wait for an unknown kid.
 */
struct key_source *key_source_new(const char *source, int refresh_s, int threads, struct metrics *metrics);
void key_source_free(struct key_source *keys);

/* Version of the set in force; 0: none yet. */
uint64_t key_source_version(const struct key_source *keys);
/* Empty when there is a set, else why there is none. */
void key_source_reason(struct key_source *keys, char *out, size_t size);

/* Reads the set again now. */
void key_source_reload(struct key_source *keys);

/*
 * KEY_FOUND: out_key belongs to out_set, which the caller releases by key_set_release(). For an unknown kid the set is
 * read again first; the call waits for that, at most 3 s, and not at all when the last such reading was less than 5 s
 * ago or many calls wait already.
 */
enum key_search key_source_find(struct key_source *keys, const char *kid, const char *alg, const struct key **out_key,
                                struct key_set **out_set);

#endif
