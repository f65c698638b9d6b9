#include "caseview/arena.h"

#include <sanitizer/asan_interface.h>
#include <stdalign.h>

#define ALIGNMENT 16

/* Allocations come out of the newest block only. */
struct block {
    struct block *older;
    size_t size; /* of data */
    size_t used;
    alignas(ALIGNMENT) char data[];
};

struct arena {
    struct block *newest;
    struct block *spare; /* of block_size each, empty: used before the last reset and not yet again */
    size_t block_size;
    size_t max;
    size_t total; /* bytes of the blocks from `newest` on */
    size_t spare_total;
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
    while (block != NULL) {
        struct block *older = block->older;
        free_block(block);
        block = older;
    }
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena->newest);
    free_blocks(arena->spare);
    free(arena);
}

void arena_trim(struct arena *arena)
{
    free_blocks(arena->spare);
    arena->spare = NULL;
    arena->spare_total = 0;
}

/*
 * Blocks of block_size that were used since the last reset are kept: fresh memory costs a page fault every 4 KiB. The
 * others are freed, so that one large batch does not hold its memory forever.
 */
void arena_reset(struct arena *arena)
{
    arena_trim(arena);
    for (struct block *block = arena->newest; block != NULL;) {
        struct block *older = block->older;
        if (block->size == arena->block_size) {
            block->used = 0;
            block->older = arena->spare;
            arena->spare = block;
            arena->spare_total += block->size;
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

size_t arena_held(const struct arena *arena)
{
    return arena->total + arena->spare_total;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

bool arena_full(const struct arena *arena)
{
    return arena->full;
}

/*
 * Takes a spare block, or allocates one. The ceiling counts spare blocks too: they are freed when it would be passed.
 */
static bool add_block(struct arena *arena, size_t need)
{
    size_t left = arena->max - arena->total;
    size_t size = need > arena->block_size ? need : arena->block_size;
    if (size > left)
        size = left; /* the last block is what the ceiling leaves */
    if (size < need)
        return false;
    struct block *block = size == arena->block_size ? arena->spare : NULL;
    if (block != NULL) {
        arena->spare = block->older;
        arena->spare_total -= size;
    } else {
        if (arena->spare_total > left - size)
            arena_trim(arena);
        block = cv_alloc(sizeof *block + size);
    }
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
        need = ALIGNMENT; /* two allocations never have the same address */
    struct block *block = arena->newest;
    if (block == NULL || block->size - block->used < need) {
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
    if (ptr != NULL)
        memset(ptr, 0, size);
    return ptr;
}

struct str arena_str(struct arena *arena, struct str text)
{
    if (text.ptr == NULL)
        return STR_NULL;
    char *copy = arena_alloc(arena, text.len + 1);
    if (copy == NULL)
        return STR_NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (struct str){copy, text.len};
}
