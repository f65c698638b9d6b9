/*
 * arena.h: memory that is freed all at once: per batch in the worker, per request in the API.
 * A reset keeps the blocks that were used since the reset before it, and frees the others: after a smaller round an
 * arena is smaller. Under AddressSanitizer memory that is not allocated to a caller is poisoned.
 * Not thread-safe.
 */
#ifndef CASEVIEW_ARENA_H
#define CASEVIEW_ARENA_H

#include "caseview/base.h"

struct arena;

/* max: ceiling in bytes of all blocks together. block: size of one block. */
struct arena *arena_new(size_t block, size_t max);
void arena_free(struct arena *arena); /* NULL is allowed */
/* Frees all allocations. */
void arena_reset(struct arena *arena);
/* Frees the blocks that the last reset kept and that are not used again yet: for an arena that will be idle. */
void arena_trim(struct arena *arena);
size_t arena_used(const struct arena *arena); /* bytes allocated to callers since the last reset */
size_t arena_held(const struct arena *arena); /* bytes of all blocks, spare ones included: at most max */
/* 16-byte aligned, not zeroed. NULL only when the ceiling is reached. */
void *arena_alloc(struct arena *arena, size_t size) CV_MUST_CHECK;
void *arena_zalloc(struct arena *arena, size_t size) CV_MUST_CHECK;
/* A copy with a NUL after it; null stays null. On a full arena: {NULL, 0}, so ask arena_full() where that matters. */
struct str arena_str(struct arena *arena, struct str text);
bool arena_full(const struct arena *arena); /* an allocation was refused since the last reset */

#endif
