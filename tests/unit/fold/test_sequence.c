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

struct number {
    int64_t number;
    bool snapshot;
};

static struct sequence sequence_of(const struct number *numbers, size_t count)
{
    struct sequence sequence;
    sequence_init(&sequence);
    for (size_t i = 0; i < count && numbers[i].number; i++)
        (void)sequence_add(&sequence, numbers[i].number, numbers[i].snapshot);
    return sequence;
}

/* Merges in both directions, which must not differ, and again, which must change nothing. The result can be stored. */
static struct sequence merge(const struct sequence *a, const struct sequence *b)
{
    struct sequence merged = *a;
    struct sequence other = *b;
    struct stored before = store(a);
    bool changed = sequence_merge(&merged, b);
    struct stored after = store(&merged);
    assert_int_equal(changed, before.len != after.len || memcmp(before.bytes, after.bytes, after.len) != 0);
    (void)sequence_merge(&other, a);
    assert_same(&merged, &other);
    assert_false(sequence_merge(&merged, a));
    assert_false(sequence_merge(&merged, b));
    assert_false(sequence_merge(&merged, &other));
    struct sequence loaded;
    assert_true(load((struct str){after.bytes, after.len}, &loaded));
    assert_same(&loaded, &merged);
    return merged;
}

#define MERGE_NUMBERS 8

/* Each row: what one state has seen, what the other has; the result is that of adding both. A number 0 ends a list. */
static void test_sequence_merge_table_same_as_adding_both(void **state)
{
    (void)state;
    static const struct {
        struct number a[MERGE_NUMBERS], b[MERGE_NUMBERS];
    } rows[] = {
        {{{0}}, {{0}}},
        {{{0}}, {{3, false}, {5, true}, {9, false}}},
        {{{1, true}, {2, false}}, {{3, false}, {4, false}}},                  /* prefix and suffix */
        {{{1, true}, {2, false}, {3, false}}, {{3, false}, {4, false}}},      /* overlapping */
        {{{1, true}, {2, false}}, {{5, false}, {6, false}}},                  /* a gap between the two */
        {{{1, false}, {3, false}, {5, false}}, {{2, false}, {4, false}}},     /* each fills the other's gaps */
        {{{1, false}, {9, false}}, {{5, false}}},                             /* splits a gap */
        {{{1, false}, {9, false}}, {{2, false}, {8, false}}},                 /* shortens a gap on both sides */
        {{{2, true}, {5, false}}, {{4, true}, {3, false}}},                   /* the greater snapshot counts */
        {{{2, false}, {6, false}}, {{9, true}}},                              /* all of a is below b's snapshot */
        {{{1, false}, {80, false}, {100, false}}, {{90, true}, {70, false}}}, /* window from gaps */
        {{{60, true}, {50, false}}, {{100, true}, {40, false}}},              /* window from a window */
        {{{10, true}, {9, false}}, {{200, true}}},                            /* farther apart than the window */
        {{{64, true}, {1, false}}, {{65, true}, {2, false}}},
        {{{INT64_MAX, true}}, {{INT64_MAX, true}}},
        {{{INT64_MAX, true}}, {{1, true}, {INT64_MAX, false}}},
        {{{INT64_MAX - 1, false}}, {{INT64_MAX, false}}},
        {{{INT64_MAX, false}}, {{1, true}}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sequence a = sequence_of(rows[i].a, MERGE_NUMBERS);
        struct sequence b = sequence_of(rows[i].b, MERGE_NUMBERS);
        struct sequence expected = a;
        for (size_t k = 0; k < MERGE_NUMBERS && rows[i].b[k].number; k++)
            (void)sequence_add(&expected, rows[i].b[k].number, rows[i].b[k].snapshot);
        struct sequence merged = merge(&a, &b);
        assert_same(&merged, &expected);
    }
}

static void test_sequence_merge_state_without_gaps_clears_many(void **state)
{
    (void)state;
    struct sequence many, complete, nearly;
    sequence_init(&many);
    sequence_init(&complete);
    sequence_init(&nearly);
    add_even(&many, SEQUENCE_MAX_GAPS + 1);
    for (int64_t number = 1; number <= 70; number++) {
        assert_true(sequence_add(&complete, number, false));
        if (number != 20 && number != 68)
            assert_true(sequence_add(&nearly, number, false));
    }
    struct sequence merged = merge(&many, &complete);
    assert_same(&merged, &complete);

    merged = merge(&many, &nearly); /* 20 was seen, but is not tracked; 68 is certainly missing */
    assert_int_equal(merged.many_up_to, 20);
    assert_int_equal(merged.gap_count, 1);
    assert_int_equal(merged.gaps[0].first, 68);
    assert_int_equal(merged.gaps[0].last, 68);
    assert_int_equal(merged.highest, 70);
}

static void test_sequence_merge_newer_snapshot_clears_many(void **state)
{
    (void)state;
    struct sequence many;
    sequence_init(&many);
    add_even(&many, SEQUENCE_MAX_GAPS + 1);
    for (int64_t number = 60; number <= 70; number++) {
        struct sequence snapshot = sequence_of(&(struct number){number, true}, 1);
        struct sequence merged = merge(&many, &snapshot);
        assert_int_equal(merged.base, number);
        assert_int_equal(merged.highest, number > 66 ? number : 66);
        assert_int_equal(sequence_has_missing(&merged), number < 66);
    }
}

/* 33 gaps, of which each state alone has fewer: the highest 32 are kept. */
static void test_sequence_merge_one_gap_too_many_keeps_the_highest(void **state)
{
    (void)state;
    struct sequence low, high;
    sequence_init(&low);
    sequence_init(&high);
    for (int64_t i = 1; i <= 20; i++)
        assert_true(sequence_add(&low, 3 * i, false));
    for (int64_t i = 21; i <= SEQUENCE_MAX_GAPS; i++)
        assert_true(sequence_add(&high, 3 * i, false));
    struct sequence merged = merge(&low, &high);
    assert_int_equal(merged.gap_count, SEQUENCE_MAX_GAPS);
    assert_int_equal(merged.many_up_to, 0);
    assert_true(sequence_add(&high, 3 * (SEQUENCE_MAX_GAPS + 1), false));
    merged = merge(&low, &high);
    assert_int_equal(merged.gap_count, SEQUENCE_MAX_GAPS);
    assert_int_equal(merged.many_up_to, 2);
    assert_int_equal(merged.gaps[0].first, 4);
    assert_int_equal(merged.gaps[SEQUENCE_MAX_GAPS - 1].last, merged.highest - 1);
}

/* Numbers, each in one or more of three states. At most 32, so that "many" cannot occur. */
static void one_random_merge(struct random *random)
{
    static const unsigned ranges[] = {12, 40, 90, 150, NUMBERS_MAX};
    unsigned range = ranges[random_below(random, ARRAY_LEN(ranges))];
    unsigned count = random_below(random, SEQUENCE_MAX_GAPS + 1);
    unsigned border = random_chance(random, 50) ? 1 + random_below(random, range) : 0;
    bool snapshot[NUMBERS_MAX + 1];
    struct sequence states[3], all;
    for (unsigned number = 0; number <= range; number++)
        snapshot[number] = random_chance(random, 15);
    sequence_init(&all);
    for (unsigned k = 0; k < 3; k++)
        sequence_init(&states[k]);
    for (unsigned i = 0; i < count; i++) {
        unsigned number = 1 + random_below(random, range);
        unsigned in = 1 + random_below(random, 7);
        if (border) /* one has lost what is below the border, one what is above */
            in = number < border ? 1 : random_chance(random, 30) ? 3 : 2;
        for (unsigned k = 0; k < 3; k++) {
            if (in & (1u << k))
                (void)sequence_add(&states[k], number, snapshot[number]);
        }
        (void)sequence_add(&all, number, snapshot[number]);
    }
    struct sequence left = merge(&states[0], &states[1]);
    left = merge(&left, &states[2]);
    struct sequence right = merge(&states[1], &states[2]);
    right = merge(&states[0], &right);
    assert_same(&left, &all);
    assert_same(&right, &all);
}

static void test_sequence_merge_random_sets_same_as_adding_all(void **state)
{
    (void)state;
    struct random random = random_start("random merges");
    for (unsigned i = 0; i < 20000; i++)
        one_random_merge(&random);
}

/*
 * Beyond the limit: what the header promises of any state. seen: all numbers that were added to it or merged into it.
 */
static void assert_sound(const struct sequence *sequence, const struct oracle *oracle)
{
    assert_int_equal(sequence->highest, oracle->highest);
    assert_int_equal(sequence->base, oracle->base);
    assert_true(sequence_has_missing(sequence) || !oracle_has_missing(oracle));
    unsigned gap = 0;
    for (int64_t number = 1; number <= oracle->highest; number++) {
        if (number < oracle->base && oracle->base - number <= SEQUENCE_WINDOW) {
            bool missing = sequence->low_missing >> (oracle->base - 1 - number) & 1;
            assert_true(missing || oracle->seen[number]);
        }
        if (number <= oracle->base || number <= sequence->many_up_to)
            continue;
        while (gap < sequence->gap_count && sequence->gaps[gap].last < number)
            gap++;
        bool missing = gap < sequence->gap_count && number >= sequence->gaps[gap].first;
        assert_int_equal(missing, !oracle->seen[number]);
    }
}

/* No range is forgotten that one of the two still knew, unless there are too many. */
static void assert_precise(const struct sequence *merged, const struct sequence *a, const struct sequence *b)
{
    int64_t many = a->many_up_to > b->many_up_to ? a->many_up_to : b->many_up_to;
    assert_true(merged->many_up_to <= many || merged->gap_count == SEQUENCE_MAX_GAPS);
    if (a->highest == merged->highest && a->base == merged->base && !sequence_has_missing(a))
        assert_false(sequence_has_missing(merged));
}

static void one_random_merge_beyond_the_limit(struct random *random)
{
    struct sequence states[2];
    struct oracle oracle = {.base = 0};
    unsigned range = 40 + random_below(random, 260);
    unsigned border = random_chance(random, 30) ? random_below(random, range) : 0;
    unsigned last_snapshot = random_chance(random, 50) ? random_below(random, range) : 0;
    for (unsigned k = 0; k < 2; k++) {
        unsigned percent = random_chance(random, 20) ? 100 : random_below(random, 100);
        sequence_init(&states[k]);
        for (unsigned i = 1; i <= range; i++) {
            unsigned number = percent < 50 ? 1 + random_below(random, range) : i;
            if (!random_chance(random, percent) || (border && (number < border) == (k == 0)))
                continue;
            bool snapshot = number <= last_snapshot && number % 31 == 0;
            (void)sequence_add(&states[k], number, snapshot);
            (void)oracle_add(&oracle, number, snapshot);
        }
    }
    struct sequence merged = merge(&states[0], &states[1]);
    assert_sound(&merged, &oracle);
    assert_precise(&merged, &states[0], &states[1]);
    assert_precise(&merged, &states[1], &states[0]);
}

static void test_sequence_merge_beyond_the_limit_never_hides_a_missing_number(void **state)
{
    (void)state;
    struct random random = random_start("merges beyond the limit");
    for (unsigned i = 0; i < 20000; i++)
        one_random_merge_beyond_the_limit(&random);
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
        cmocka_unit_test(test_sequence_merge_table_same_as_adding_both),
        cmocka_unit_test(test_sequence_merge_state_without_gaps_clears_many),
        cmocka_unit_test(test_sequence_merge_newer_snapshot_clears_many),
        cmocka_unit_test(test_sequence_merge_one_gap_too_many_keeps_the_highest),
        cmocka_unit_test(test_sequence_merge_random_sets_same_as_adding_all),
        cmocka_unit_test(test_sequence_merge_beyond_the_limit_never_hides_a_missing_number),
        cmocka_unit_test(test_sequence_get_damaged_bytes_refused_or_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
