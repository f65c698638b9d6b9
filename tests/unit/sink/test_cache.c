#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/sink/cache.h"

struct item {
    struct cache_entry entry;
    int value;
};

static int dropped;

static void count_drop(struct cache_entry *entry, void *context CV_UNUSED)
{
    (void)entry;
    dropped++;
}

static struct item *put(struct cache *cache, uint64_t key, int value, size_t bytes)
{
    bool made;
    struct item *item = (struct item *)cache_get(cache, &key, &made);
    assert_true(made);
    item->value = value;
    cache_weigh(cache, &item->entry, bytes);
    return item;
}

static void test_get_many_keys_all_found(void **state)
{
    (void)state;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), SIZE_MAX, NULL, NULL);
    for (uint64_t key = 0; key < 50000; key++)
        put(cache, key, (int)key, 0);
    for (uint64_t key = 0; key < 50000; key++) {
        struct item *item = (struct item *)cache_find(cache, &key);
        assert_non_null(item);
        assert_int_equal(item->value, key);
    }
    uint64_t other = 50000;
    assert_null(cache_find(cache, &other));
    assert_int_equal(cache_count(cache), 50000);
    cache_free(cache);
}

static void test_trim_over_ceiling_evicts_unused(void **state)
{
    (void)state;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), SIZE_MAX, count_drop, NULL);
    dropped = 0;
    for (uint64_t key = 0; key < 1000; key++)
        put(cache, key, (int)key, 100);
    size_t each = cache_bytes(cache) / 1000;
    cache_set_max(cache, 999 * each); /* clears the marks of the entries it passes, and evicts one */
    cache_trim(cache);
    assert_int_equal(dropped, 1);
    for (uint64_t key = 0; key < 500; key++)
        (void)cache_find(cache, &key);
    cache_set_max(cache, 600 * each);
    cache_trim(cache);
    assert_true(cache_bytes(cache) <= 600 * each);
    size_t used = 0;
    for (uint64_t key = 0; key < 500; key++)
        used += cache_find(cache, &key) != NULL;
    assert_true(used >= 498); /* used since the hand passed: at most one was evicted first */
    cache_free(cache);
    assert_int_equal(dropped, 1000);
}

static void test_remove_entry_is_gone(void **state)
{
    (void)state;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), SIZE_MAX, count_drop, NULL);
    dropped = 0;
    for (uint64_t key = 0; key < 3000; key++)
        put(cache, key, (int)key, 10);
    for (uint64_t key = 0; key < 3000; key += 2)
        cache_remove(cache, cache_find(cache, &key));
    assert_int_equal(dropped, 1500);
    for (uint64_t key = 0; key < 3000; key++)
        assert_int_equal(cache_find(cache, &key) != NULL, key % 2);
    cache_free(cache);
}

static void count_drop_in(struct cache_entry *entry CV_UNUSED, void *context)
{
    ++*(int *)context;
}

/* More entries than the cache keeps for reuse go and come, with other keys. */
static void test_get_after_evictions_entries_are_zeroed(void **state)
{
    (void)state;
    enum { KEYS = 10000 };
    int gone = 0;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), SIZE_MAX, count_drop_in, &gone);
    for (uint64_t key = 0; key < KEYS; key++)
        put(cache, key, 77, 10);
    for (uint64_t key = 0; key < KEYS; key++)
        cache_remove(cache, cache_find(cache, &key));
    assert_int_equal(gone, KEYS);
    assert_int_equal(cache_bytes(cache), 0);
    for (uint64_t key = KEYS; key < 2 * KEYS; key++) {
        bool made;
        struct item *item = (struct item *)cache_get(cache, &key, &made);
        assert_true(made);
        assert_int_equal(item->value, 0);
        assert_int_equal(item->entry.pins, 0);
    }
    assert_int_equal(cache_count(cache), KEYS);
    cache_free(cache);
}

static void test_trim_pinned_stays(void **state)
{
    (void)state;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), 0, count_drop, NULL);
    struct item *pinned = put(cache, 7, 7, 0);
    cache_pin(&pinned->entry);
    put(cache, 8, 8, 0);
    cache_trim(cache);
    assert_int_equal(cache_count(cache), 1);
    uint64_t key = 7;
    assert_ptr_equal(cache_find(cache, &key), pinned);
    cache_unpin(&pinned->entry);
    cache_trim(cache);
    assert_int_equal(cache_count(cache), 0);
    assert_int_equal(cache_bytes(cache), 0);
    cache_free(cache);
}

static void test_clear_pinned_goes(void **state)
{
    (void)state;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), 1000, NULL, NULL);
    cache_pin(&put(cache, 1, 1, 10)->entry);
    cache_clear(cache);
    assert_int_equal(cache_count(cache), 0);
    put(cache, 1, 2, 10);
    assert_int_equal(cache_count(cache), 1);
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_many_keys_all_found), cmocka_unit_test(test_trim_over_ceiling_evicts_unused),
        cmocka_unit_test(test_remove_entry_is_gone),    cmocka_unit_test(test_trim_pinned_stays),
        cmocka_unit_test(test_clear_pinned_goes),       cmocka_unit_test(test_get_after_evictions_entries_are_zeroed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
