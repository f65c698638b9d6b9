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

static void count_drop(struct cache_entry *entry)
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
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), SIZE_MAX, NULL);
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

static void test_trim_over_ceiling_puts_out_least_recently_used(void **state)
{
    (void)state;
    size_t each = sizeof(struct item) + 100;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), 3 * each, count_drop);
    dropped = 0;
    for (uint64_t key = 1; key <= 5; key++)
        put(cache, key, (int)key, 100);
    uint64_t first = 1;
    assert_non_null(cache_find(cache, &first)); /* used again: now the newest */
    cache_trim(cache);
    assert_int_equal(dropped, 2);
    assert_true(cache_bytes(cache) <= 3 * each);
    for (uint64_t key = 1; key <= 5; key++) {
        bool expected = key != 2 && key != 3;
        assert_int_equal(cache_find(cache, &key) != NULL, expected);
    }
    cache_free(cache);
    assert_int_equal(dropped, 5);
}

static void test_trim_pinned_stays(void **state)
{
    (void)state;
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), 0, count_drop);
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
    struct cache *cache = cache_new(sizeof(uint64_t), sizeof(struct item), 1000, NULL);
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
        cmocka_unit_test(test_get_many_keys_all_found),
        cmocka_unit_test(test_trim_over_ceiling_puts_out_least_recently_used),
        cmocka_unit_test(test_trim_pinned_stays),
        cmocka_unit_test(test_clear_pinned_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
