/*
 * arena.h: memory that is given back all at once: per batch in the worker, per request in the API.
 * Over a reset the blocks that the last round needed are kept, the others given back; under AddressSanitizer what is
 * not handed out is poisoned.
 * Not thread-safe.
 */
#ifndef CASEVIEW_ARENA_H
#define CASEVIEW_ARENA_H

#include "caseview/base.h"

struct arena;

/* max: ceiling in bytes of all blocks together. block: size of one block. */
struct arena *arena_new(size_t block, size_t max);
void arena_free(struct arena *arena);
void arena_reset(struct arena *arena);
size_t arena_used(const struct arena *arena); /* bytes handed out since the last reset */
/* 16-byte aligned, not zeroed. NULL only when the ceiling is reached. */
void *arena_alloc(struct arena *arena, size_t size) CV_MUST_CHECK;
void *arena_zalloc(struct arena *arena, size_t size) CV_MUST_CHECK;
/* A copy with a NUL behind it; null stays null. On a full arena: {NULL, 0}, so ask arena_full() where that matters. */
struct str arena_str(struct arena *arena, struct str text);
bool arena_full(const struct arena *arena); /* an allocation was refused since the last reset */

#endif
