/* Seen, duplicate and missing numbers, compared with a complete bitmap. */
#include "workers/fold/sequence.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/random.h"

#define NUMBERS_MAX 600

struct oracle {
    bool seen[NUMBERS_MAX + 1];
    int64_t base;
    int64_t highest;
};

static bool oracle_add(struct oracle *oracle, int64_t number, bool snapshot)
{
    bool first = !oracle->seen[number];
    /* older than the window: unknown */
    bool told = number >= oracle->base - SEQUENCE_WINDOW;
    oracle->seen[number] = true;
    if (number > oracle->highest)
        oracle->highest = number;
    if (snapshot && number > oracle->base)
        oracle->base = number;
    return first || !told;
}

static bool oracle_has_missing(const struct oracle *oracle)
{
    for (int64_t number = oracle->base + 1; number < oracle->highest; number++) {
        if (!oracle->seen[number])
            return true;
    }
    return false;
}

struct stored {
    char bytes[1024];
    size_t len;
};

static struct stored store(const struct sequence *sequence)
{
    struct stored stored;
    assert_true(sequence_stored_max(sequence) <= sizeof stored.bytes);
    stored.len = (size_t)(sequence_put(sequence, stored.bytes) - stored.bytes);
    assert_true(stored.len <= sequence_stored_max(sequence));
    return stored;
}

static bool load(struct str bytes, struct sequence *out)
{
    struct blob_reader reader = blob_reader(bytes);
    sequence_get(&reader, out);
    return blob_finished(&reader);
}

static void assert_same(const struct sequence *a, const struct sequence *b)
{
    struct stored left = store(a);
    struct stored right = store(b);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.bytes, right.bytes, left.len);
}

static void add_all(struct sequence *sequence, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(sequence_add(sequence, numbers[i], false));
}

static void test_sequence_add_in_order_leaves_no_gap(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    assert_false(sequence_has_missing(&sequence));
    for (int64_t number = 1; number <= 1000; number++)
        assert_true(sequence_add(&sequence, number, number == 1));
    assert_int_equal(sequence.highest, 1000);
    assert_int_equal(sequence.base, 1);
    assert_int_equal(sequence.gap_count, 0);
    assert_false(sequence_has_missing(&sequence));
    assert_false(sequence_add(&sequence, 1, true));
    assert_false(sequence_add(&sequence, 500, false));
    assert_false(sequence_add(&sequence, 1000, false));
}

static void test_sequence_add_first_number_above_one_is_a_gap(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    assert_true(sequence_add(&sequence, 3, false));
    assert_true(sequence_has_missing(&sequence));
    assert_int_equal(sequence.gaps[0].first, 1);
    assert_int_equal(sequence.gaps[0].last, 2);
    assert_true(sequence_add(&sequence, 2, false));
    assert_false(sequence_add(&sequence, 2, false));
    assert_true(sequence_add(&sequence, 1, false));
    assert_false(sequence_has_missing(&sequence));
}

static void test_sequence_add_snapshot_hides_what_lies_below(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    add_all(&sequence, (int64_t[]){2, 5, 9}, 3);
    assert_int_equal(sequence.gap_count, 3);
    assert_true(sequence_add(&sequence, 7, true));
    assert_int_equal(sequence.base, 7);
    assert_int_equal(sequence.gap_count, 1); /* 8 */
    assert_true(sequence_has_missing(&sequence));
    assert_true(sequence_add(&sequence, 8, false));
    assert_false(sequence_has_missing(&sequence));

    /* below the base duplicates and first arrivals are still distinguished */
    assert_false(sequence_add(&sequence, 5, false));
    assert_false(sequence_add(&sequence, 2, false));
    assert_true(sequence_add(&sequence, 6, false));
    assert_false(sequence_add(&sequence, 6, false));
    assert_true(sequence_add(&sequence, 4, true)); /* an older snapshot does not lower the base */
    assert_int_equal(sequence.base, 7);
    assert_false(sequence_add(&sequence, 4, true));
}

static void test_sequence_add_older_than_window_counts_as_first_arrival(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    for (int64_t number = 1; number <= 100; number++)
        assert_true(sequence_add(&sequence, number, number == 100));
    assert_false(sequence_add(&sequence, 100 - SEQUENCE_WINDOW, false));
    assert_true(sequence_add(&sequence, 99 - SEQUENCE_WINDOW, false));
    assert_true(sequence_add(&sequence, 99 - SEQUENCE_WINDOW, false));
    assert_false(sequence_has_missing(&sequence));
}

/* Every second number up to 2 × count: count gaps. */
static void add_even(struct sequence *sequence, int64_t count)
{
    for (int64_t i = 1; i <= count; i++)
        assert_true(sequence_add(sequence, 2 * i, false));
}

static void test_sequence_add_33_gaps_is_many_until_a_newer_snapshot(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    add_even(&sequence, SEQUENCE_MAX_GAPS);
    assert_int_equal(sequence.gap_count, SEQUENCE_MAX_GAPS);
    assert_int_equal(sequence.many_up_to, 0);
    add_all(&sequence, (int64_t[]){66}, 1);
    assert_int_equal(sequence.many_up_to, 66);
    assert_int_equal(sequence.gap_count, 0);
    assert_true(sequence_has_missing(&sequence));

    for (int64_t number = 1; number <= 66; number += 2)
        assert_true(sequence_add(&sequence, number, false));
    assert_true(sequence_has_missing(&sequence)); /* the mark stays */
    assert_true(sequence_add(&sequence, 40, true));
    assert_int_equal(sequence.base, 40);
    assert_true(sequence_has_missing(&sequence)); /* an older snapshot does not clear it */
    add_all(&sequence, (int64_t[]){68}, 1);
    assert_int_equal(sequence.gap_count, 1); /* above, gaps are counted again */
    assert_true(sequence_add(&sequence, 67, true));
    assert_int_equal(sequence.many_up_to, 0);
    assert_false(sequence_has_missing(&sequence));
    assert_false(sequence_add(&sequence, 68, false));
}

static void test_sequence_add_many_cleared_by_a_snapshot_at_its_end(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    add_even(&sequence, SEQUENCE_MAX_GAPS + 1);
    assert_int_equal(sequence.many_up_to, 66);
    assert_true(sequence_add(&sequence, 66, true));
    assert_false(sequence_has_missing(&sequence));
    /* numbers that are no longer tracked are first arrivals: a late end of a case must not be taken for a duplicate */
    assert_true(sequence_add(&sequence, 65, false));
    assert_false(sequence_add(&sequence, 65, false));
    assert_true(sequence_add(&sequence, 2, false));
}

static void test_sequence_add_splitting_the_32nd_gap_is_many(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    add_even(&sequence, SEQUENCE_MAX_GAPS - 1);
    add_all(&sequence, (int64_t[]){100, 80}, 2);
    assert_int_equal(sequence.many_up_to, 100);
    assert_true(sequence_has_missing(&sequence));
}

static void test_sequence_add_greatest_numbers_do_not_wrap(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence);
    assert_true(sequence_add(&sequence, INT64_MAX, false));
    assert_true(sequence_add(&sequence, 1, false));
    assert_true(sequence_add(&sequence, INT64_MAX - 1, true));
    assert_false(sequence_add(&sequence, INT64_MAX, false));
    assert_false(sequence_has_missing(&sequence));
    assert_true(sequence_add(&sequence, INT64_MAX - 2, false));
    assert_false(sequence_add(&sequence, INT64_MAX - 2, false));
    struct stored stored = store(&sequence);
    struct sequence loaded;
    assert_true(load((struct str){stored.bytes, stored.len}, &loaded));
    assert_same(&sequence, &loaded);
}

static void shuffle(struct random *random, int64_t *numbers, unsigned count)
{
    for (unsigned i = count; i > 1; i--) {
        unsigned k = random_below(random, i);
        int64_t swap = numbers[i - 1];
        numbers[i - 1] = numbers[k];
        numbers[k] = swap;
    }
}

/* At most 32 numbers, so that "many" cannot occur, out of a range that is dense or wider than the window. */
static void one_random_set(struct random *random)
{
    int64_t numbers[SEQUENCE_MAX_GAPS];
    bool snapshot[NUMBERS_MAX + 1] = {false};
    static const unsigned ranges[] = {12, 40, 90, 150, NUMBERS_MAX};
    unsigned range = ranges[random_below(random, ARRAY_LEN(ranges))];
    unsigned count = 1 + random_below(random, SEQUENCE_MAX_GAPS);
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = 1 + random_below(random, range);
        snapshot[numbers[i]] = snapshot[numbers[i]] || random_chance(random, 15);
    }

    struct sequence reference;
    for (unsigned order = 0; order < 3; order++) {
        struct sequence sequence;
        struct oracle oracle = {.base = 0};
        sequence_init(&sequence);
        for (unsigned i = 0; i < count; i++) {
            bool expected = oracle_add(&oracle, numbers[i], snapshot[numbers[i]]);
            assert_int_equal(sequence_add(&sequence, numbers[i], snapshot[numbers[i]]), expected);
            assert_int_equal(sequence_has_missing(&sequence), oracle_has_missing(&oracle));
            assert_int_equal(sequence.highest, oracle.highest);
            assert_int_equal(sequence.base, oracle.base);
            if (random_chance(random, 30)) {
                struct stored stored = store(&sequence);
                struct sequence loaded;
                assert_true(load((struct str){stored.bytes, stored.len}, &loaded));
                assert_same(&loaded, &sequence);
                sequence = loaded;
            }
        }
        if (order == 0)
            reference = sequence;
        assert_same(&sequence, &reference);
        shuffle(random, numbers, count);
    }
}

static void test_sequence_add_random_sets_same_as_bitmap_in_any_order(void **state)
{
    (void)state;
    struct random random = random_start("random sets");
    for (unsigned i = 0; i < 20000; i++)
        one_random_set(&random);
}

/* Any bytes: refused, or exactly what sequence_put() writes. */
static void test_sequence_get_damaged_bytes_refused_or_canonical(void **state)
{
    (void)state;
    struct random random = random_start("damaged sequences");
    for (unsigned i = 0; i < 50000; i++) {
        struct sequence sequence;
        sequence_init(&sequence);
        for (unsigned k = 0; k < 12; k++)
            (void)sequence_add(&sequence, 1 + random_below(&random, 60), random_chance(&random, 10));
        struct stored stored = store(&sequence);
        stored.bytes[random_below(&random, (unsigned)stored.len)] ^= (char)(1 << random_below(&random, 8));
        struct sequence loaded;
        if (load((struct str){stored.bytes, stored.len}, &loaded)) {
            struct stored again = store(&loaded);
            assert_int_equal(again.len, stored.len);
            assert_memory_equal(again.bytes, stored.bytes, stored.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequence_add_in_order_leaves_no_gap),
        cmocka_unit_test(test_sequence_add_first_number_above_one_is_a_gap),
        cmocka_unit_test(test_sequence_add_snapshot_hides_what_lies_below),
        cmocka_unit_test(test_sequence_add_older_than_window_counts_as_first_arrival),
        cmocka_unit_test(test_sequence_add_33_gaps_is_many_until_a_newer_snapshot),
        cmocka_unit_test(test_sequence_add_many_cleared_by_a_snapshot_at_its_end),
        cmocka_unit_test(test_sequence_add_splitting_the_32nd_gap_is_many),
        cmocka_unit_test(test_sequence_add_greatest_numbers_do_not_wrap),
        cmocka_unit_test(test_sequence_add_random_sets_same_as_bitmap_in_any_order),
        cmocka_unit_test(test_sequence_get_damaged_bytes_refused_or_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
