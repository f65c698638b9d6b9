#include "caseview/arena.h"

#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_alloc_is_aligned_and_apart(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(256, 1 << 20);
    char *before = NULL;
    for (size_t size = 0; size < 600; size++) {
        char *ptr = arena_alloc(arena, size);
        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % 16, 0);
        assert_true(ptr != before);
        memset(ptr, (int)size, size);
        before = ptr;
    }
    assert_false(arena_full(arena));
    arena_free(arena);
}

static void test_alloc_ceiling_refuses_and_reset_forgives(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(64, 160);
    assert_non_null(arena_alloc(arena, 64));
    assert_non_null(arena_alloc(arena, 64));
    assert_non_null(arena_alloc(arena, 32)); /* the last block is smaller */
    assert_false(arena_full(arena));
    assert_int_equal(arena_used(arena), 160);
    assert_null(arena_alloc(arena, 1));
    assert_true(arena_full(arena));
    arena_reset(arena);
    assert_false(arena_full(arena));
    assert_int_equal(arena_used(arena), 0);
    assert_non_null(arena_alloc(arena, 64));
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, 161));
    assert_true(arena_full(arena));
    arena_free(arena);
    arena_free(NULL);
}

static void test_reset_keeps_one_block(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(4096, 1 << 20);
    assert_non_null(arena_alloc(arena, 10000)); /* a block of its own, given back */
    char *usual = arena_alloc(arena, 100);
    assert_non_null(usual);
    arena_reset(arena);
    assert_ptr_equal(arena_alloc(arena, 100), usual);
    arena_free(arena);
}

static void test_reset_after_a_smaller_round_shrinks(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(4096, 1 << 20);
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_alloc(arena, 4096));
    arena_reset(arena);
    assert_int_equal(arena_held(arena), 10 * 4096);
    for (int i = 0; i < 3; i++)
        assert_non_null(arena_alloc(arena, 4096));
    assert_int_equal(arena_held(arena), 10 * 4096);
    arena_reset(arena);
    assert_int_equal(arena_held(arena), 3 * 4096);
    arena_reset(arena);
    assert_int_equal(arena_held(arena), 0);
    arena_free(arena);
}

static void test_trim_frees_spare_blocks_only(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(4096, 1 << 20);
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_alloc(arena, 4096));
    arena_trim(arena);
    assert_int_equal(arena_held(arena), 10 * 4096);
    arena_reset(arena);
    char *kept = arena_alloc(arena, 4096);
    memset(kept, 7, 4096);
    arena_trim(arena);
    assert_int_equal(arena_held(arena), 4096);
    assert_int_equal(kept[4095], 7);
    assert_non_null(arena_alloc(arena, 4096));
    arena_free(arena);
}

static void test_held_never_passes_the_ceiling(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(4096, 16 * 4096);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 12; i++)
            assert_non_null(arena_alloc(arena, 4096));
        arena_reset(arena);
        assert_non_null(arena_alloc(arena, 9 * 4096)); /* beside 12 spare blocks */
        assert_true(arena_held(arena) <= 16 * 4096);
        arena_reset(arena);
    }
    arena_free(arena);
}

static void test_zalloc_after_reset_is_zero(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(4096, 4096);
    void *dirty = arena_alloc(arena, 4096);
    assert_non_null(dirty);
    memset(dirty, 0xff, 4096);
    arena_reset(arena);
    char *clean = arena_zalloc(arena, 4096);
    assert_non_null(clean);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(clean[i], 0);
    arena_free(arena);
}

static void test_str_copies_and_keeps_null(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(64, 64);
    char text[] = "abc";
    struct str copy = arena_str(arena, str_of(text));
    text[0] = 'x';
    assert_string_equal(copy.ptr, "abc");
    assert_int_equal(copy.len, 3);
    assert_null(arena_str(arena, STR_NULL).ptr);
    struct str empty = arena_str(arena, STR(""));
    assert_true(empty.ptr && empty.len == 0 && empty.ptr[0] == '\0');
    assert_false(arena_full(arena));
    assert_null(arena_str(arena, STR("0123456789012345678901234567890123456789")).ptr);
    assert_true(arena_full(arena));
    arena_free(arena);
}

#ifdef __SANITIZE_ADDRESS__
static void test_poison_covers_what_is_not_handed_out(void **state CV_UNUSED)
{
    struct arena *arena = arena_new(4096, 4096);
    char *ptr = arena_alloc(arena, 20);
    assert_non_null(ptr);
    assert_false(__asan_address_is_poisoned(ptr + 19));
    assert_true(__asan_address_is_poisoned(ptr + 20));
    arena_reset(arena);
    assert_true(__asan_address_is_poisoned(ptr));
    arena_free(arena);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_aligned_and_apart),
        cmocka_unit_test(test_alloc_ceiling_refuses_and_reset_forgives),
        cmocka_unit_test(test_reset_keeps_one_block),
        cmocka_unit_test(test_reset_after_a_smaller_round_shrinks),
        cmocka_unit_test(test_trim_frees_spare_blocks_only),
        cmocka_unit_test(test_held_never_passes_the_ceiling),
        cmocka_unit_test(test_zalloc_after_reset_is_zero),
        cmocka_unit_test(test_str_copies_and_keeps_null),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test(test_poison_covers_what_is_not_handed_out),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
