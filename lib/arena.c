#include "caseview/arena.h"

#include <sanitizer/asan_interface.h>
#include <stdalign.h>

#define ALIGNMENT 16

/* The newest block comes first; allocations only ever come out of it. */
struct block {
    struct block *older;
    size_t size; /* of data */
    size_t used;
    alignas(ALIGNMENT) char data[];
};

struct arena {
    struct block *newest;
    struct block *spare; /* of block_size each, empty: what the round before the last reset had needed */
    size_t block_size;
    size_t max;
    size_t total; /* bytes of all blocks' data */
    size_t used;
    bool full;
};

struct arena *arena_new(size_t block, size_t max)
{
    struct arena *arena = cv_zalloc(sizeof *arena);
    arena->block_size = block < max ? block : max;
    arena->max = max;
    return arena;
}

static void free_block(struct block *block)
{
    ASAN_UNPOISON_MEMORY_REGION(block->data, block->size);
    free(block);
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *older = block->older;
        free_block(block);
        block = older;
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena->newest);
    free_blocks(arena->spare);
    free(arena);
}

/*
 * Blocks of the usual size that this round needed are kept for the next one: fresh memory costs a page fault every
 * 4 KiB. Those that it did not need go back, so that one large batch does not hold its memory for ever.
 */
void arena_reset(struct arena *arena)
{
    free_blocks(arena->spare);
    arena->spare = NULL;
    for (struct block *block = arena->newest; block;) {
        struct block *older = block->older;
        if (block->size == arena->block_size) {
            block->used = 0;
            block->older = arena->spare;
            arena->spare = block;
            ASAN_POISON_MEMORY_REGION(block->data, block->size);
        } else {
            free_block(block);
        }
        block = older;
    }
    arena->newest = NULL;
    arena->total = 0;
    arena->used = 0;
    arena->full = false;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

bool arena_full(const struct arena *arena)
{
    return arena->full;
}

static bool add_block(struct arena *arena, size_t need)
{
    size_t left = arena->max - arena->total;
    size_t size = need > arena->block_size ? need : arena->block_size;
    if (size > left)
        size = left; /* the last block is what the ceiling leaves */
    if (size < need)
        return false;
    struct block *block = size == arena->block_size ? arena->spare : NULL;
    if (block)
        arena->spare = block->older;
    else
        block = cv_alloc(sizeof *block + size);
    block->size = size;
    block->used = 0;
    block->older = arena->newest;
    ASAN_POISON_MEMORY_REGION(block->data, block->size);
    arena->newest = block;
    arena->total += size;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->max) {
        arena->full = true;
        return NULL;
    }
    size_t need = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (need == 0)
        need = ALIGNMENT; /* every allocation has an address of its own */
    struct block *block = arena->newest;
    if (!block || block->size - block->used < need) {
        if (!add_block(arena, need)) {
            arena->full = true;
            return NULL;
        }
        block = arena->newest;
    }
    void *ptr = block->data + block->used;
    block->used += need;
    arena->used += need;
    ASAN_UNPOISON_MEMORY_REGION(ptr, size);
    return ptr;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *ptr = arena_alloc(arena, size);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

struct str arena_str(struct arena *arena, struct str text)
{
    if (!text.ptr)
        return STR_NULL;
    char *copy = arena_alloc(arena, text.len + 1);
    if (!copy)
        return STR_NULL;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (struct str){copy, text.len};
}
