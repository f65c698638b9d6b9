/* How many records a batch may hold after refusals: against a log in which some records are refused for good. */
#include "workers/sink/batch_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/random.h"

#define RECORDS 20000
#define LOG2    15   /* of RECORDS, rounded up */
#define FULL    5000 /* a batch without a limit: by its bytes */

/* A log, and what has become of its records. */
struct simulation {
    struct batch_limit limit;
    bool bad[RECORDS];
    bool parked[RECORDS];
    size_t at;    /* cursor */
    size_t steps; /* batches sent */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One batch from the cursor on; the cursor moves if it is committed. */
static void send_batch(struct simulation *s)
{
    size_t count = smaller(smaller(s->limit.items, FULL), RECORDS - s->at);
    assert_true(count > 0);
    s->steps++;
    for (size_t i = s->at; i < s->at + count; i++) {
        if (!s->bad[i] || s->parked[i])
            continue;
        if (batch_limit_refused(&s->limit, count)) {
            assert_int_equal(count, 1); /* only the refused record itself is ever parked */
            s->parked[s->at] = true;
        }
        return;
    }
    s->at += count;
    batch_limit_committed(&s->limit, count);
}

static void run_to_the_end(struct simulation *s, size_t most_steps)
{
    while (s->at < RECORDS) {
        send_batch(s);
        assert_true(s->steps <= most_steps);
    }
    for (size_t i = 0; i < RECORDS; i++)
        assert_int_equal(s->parked[i], s->bad[i]);
}

/* Refusals and commits of the search, its last two steps, and the growth after it. */
#define STEPS_FOR_ONE (4 * LOG2)

static void test_refused_one_bad_record_found(void **state CV_UNUSED)
{
    static const size_t places[] = {0, 1, 2, 4999, 5000, 7777, 12345, 19998, 19999};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        static struct simulation s;
        s = (struct simulation){0};
        batch_limit_init(&s.limit, BATCH_LIMIT_NONE);
        s.bad[places[i]] = true;
        run_to_the_end(&s, RECORDS / FULL + STEPS_FOR_ONE);
    }
}

static void test_refused_several_bad_records_each_found(void **state CV_UNUSED)
{
    struct random random = random_start("test_batch_limit");
    for (size_t count = 2; count <= 200; count *= 2) {
        static struct simulation s;
        s = (struct simulation){0};
        batch_limit_init(&s.limit, BATCH_LIMIT_NONE);
        for (size_t i = 0; i < count; i++)
            s.bad[random_below(&random, RECORDS)] = true;
        run_to_the_end(&s, RECORDS / FULL + count * STEPS_FOR_ONE);
    }
}

static void test_refused_neighbours_each_found(void **state CV_UNUSED)
{
    static struct simulation s;
    s = (struct simulation){0};
    batch_limit_init(&s.limit, BATCH_LIMIT_NONE);
    for (size_t i = 9990; i < 10010; i++)
        s.bad[i] = true;
    run_to_the_end(&s, RECORDS / FULL + 20 * STEPS_FOR_ONE);
}

#define PARTITIONS 8

/* Records of several partitions, which come in another order each time they are read again. */
struct partitions {
    struct batch_limit limit;
    size_t at[PARTITIONS], bad[PARTITIONS]; /* cursor, and the record that is refused */
    bool parked[PARTITIONS];
};

static bool has_bad_record(const struct partitions *p, size_t part, size_t count)
{
    return !p->parked[part] && p->bad[part] >= p->at[part] && p->bad[part] < p->at[part] + count;
}

/* One batch: partitions are drawn until it is full. Returns how many records were committed. */
static size_t send_mixed_batch(struct partitions *p, struct random *random)
{
    size_t counts[PARTITIONS] = {0}, room = smaller(p->limit.items, FULL), items = 0;
    size_t refused = PARTITIONS, first = random_below(random, PARTITIONS);
    for (size_t i = 0; i < PARTITIONS; i++) {
        size_t part = (first + i) % PARTITIONS;
        counts[part] = smaller(smaller(1 + random_below(random, 1000), RECORDS / PARTITIONS - p->at[part]),
                               room - items);
        items += counts[part];
        if (has_bad_record(p, part, counts[part]))
            refused = part;
    }
    if (refused < PARTITIONS) {
        if (batch_limit_refused(&p->limit, items)) {
            assert_int_equal(items, 1);
            p->parked[refused] = true;
        }
        return 0;
    }
    for (size_t part = 0; part < PARTITIONS; part++)
        p->at[part] += counts[part];
    batch_limit_committed(&p->limit, items);
    return items;
}

static void test_refused_in_changing_order_each_found(void **state CV_UNUSED)
{
    struct random random = random_start("test_batch_limit");
    for (int round = 0; round < 50; round++) {
        struct partitions p = {0};
        size_t committed = 0, steps = 0;
        batch_limit_init(&p.limit, BATCH_LIMIT_NONE);
        for (size_t part = 0; part < PARTITIONS; part++)
            p.bad[part] = random_below(&random, RECORDS / PARTITIONS);
        while (committed < RECORDS) {
            committed += send_mixed_batch(&p, &random);
            assert_true(++steps < RECORDS / 4); /* far from one record a batch */
        }
        for (size_t part = 0; part < PARTITIONS; part++)
            assert_true(p.parked[part]);
    }
}

static void test_refused_growth_resumes_after_the_search(void **state CV_UNUSED)
{
    struct batch_limit limit;
    batch_limit_init(&limit, BATCH_LIMIT_NONE);
    assert_false(batch_limit_refused(&limit, 1000));
    assert_int_equal(limit.items, 500);
    batch_limit_committed(&limit, 500);
    assert_int_equal(limit.items, 500); /* what is left has the bad record: no growth before it is found */
    for (size_t items = 500; items > 1; items /= 2)
        assert_false(batch_limit_refused(&limit, items));
    assert_int_equal(limit.items, 1);
    assert_true(batch_limit_refused(&limit, 1));
    assert_int_equal(limit.items, 1); /* it is parked in a batch of its own */
    int commits = 0;
    for (size_t items = 1; limit.items != BATCH_LIMIT_NONE; items *= 2, commits++) {
        assert_int_equal(limit.items, items);
        batch_limit_committed(&limit, smaller(limit.items, FULL));
    }
    assert_true(commits <= 21);
}

/* The records come in another order after the refusal, and the bad one not for a while. */
static void test_refused_search_given_up_after_twice_the_records(void **state CV_UNUSED)
{
    struct batch_limit limit;
    batch_limit_init(&limit, BATCH_LIMIT_NONE);
    assert_false(batch_limit_refused(&limit, 1000));
    for (size_t done = 0; done < 1500; done += 500) {
        batch_limit_committed(&limit, 500);
        assert_int_equal(limit.items, 500);
    }
    batch_limit_committed(&limit, 500);
    assert_int_equal(limit.items, 1000);
    batch_limit_committed(&limit, 1); /* no search any more: every commit lets batches grow */
    assert_int_equal(limit.items, 2000);
    assert_false(batch_limit_refused(&limit, 600)); /* a new search, of its own length */
    batch_limit_committed(&limit, 300);
    batch_limit_committed(&limit, 300);
    assert_int_equal(limit.items, 300);
    batch_limit_committed(&limit, 600);
    assert_int_equal(limit.items, 600);
}

static void test_refused_without_search_of_one_item(void **state CV_UNUSED)
{
    struct batch_limit limit;
    batch_limit_init(&limit, BATCH_LIMIT_NONE);
    assert_true(batch_limit_refused(&limit, 1));
    assert_int_equal(limit.items, 1);
    batch_limit_committed(&limit, 1);
    assert_int_equal(limit.items, 2);
}

static void test_conflict_shrinks_to_one(void **state CV_UNUSED)
{
    static const size_t sizes[] = {1000, 250, 62, 15, 3, 1, 1};
    struct batch_limit limit;
    batch_limit_init(&limit, BATCH_LIMIT_NONE);
    for (size_t i = 0; i + 1 < ARRAY_LEN(sizes); i++) {
        batch_limit_conflict(&limit, sizes[i]);
        assert_int_equal(limit.items, sizes[i + 1]);
    }
    batch_limit_committed(&limit, 1);
    assert_int_equal(limit.items, 2);
    batch_limit_committed(&limit, 2);
    assert_int_equal(limit.items, 4);
    batch_limit_conflict(&limit, 100); /* a batch from before is no reason to allow more */
    assert_int_equal(limit.items, 4);
}

static void test_conflict_during_a_search_does_not_widen_it(void **state CV_UNUSED)
{
    struct batch_limit limit;
    batch_limit_init(&limit, BATCH_LIMIT_NONE);
    for (size_t items = 64; items > 1; items /= 2)
        assert_false(batch_limit_refused(&limit, items));
    batch_limit_conflict(&limit, 1);
    assert_int_equal(limit.items, 1);
    assert_true(batch_limit_refused(&limit, 1));
}

static void test_committed_nothing_changes_nothing(void **state CV_UNUSED)
{
    struct batch_limit limit;
    batch_limit_init(&limit, BATCH_LIMIT_NONE);
    assert_false(batch_limit_refused(&limit, 100));
    for (int i = 0; i < 1000; i++)
        batch_limit_committed(&limit, 0);
    assert_int_equal(limit.items, 50);
}

static void test_committed_never_above_most(void **state CV_UNUSED)
{
    struct batch_limit limit;
    batch_limit_init(&limit, 10);
    assert_int_equal(limit.items, 10);
    batch_limit_committed(&limit, 10);
    assert_int_equal(limit.items, 10);
    assert_false(batch_limit_refused(&limit, 10));
    assert_int_equal(limit.items, 5);
    for (int i = 0; i < 100; i++)
        batch_limit_committed(&limit, 5);
    assert_int_equal(limit.items, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_one_bad_record_found),
        cmocka_unit_test(test_refused_several_bad_records_each_found),
        cmocka_unit_test(test_refused_neighbours_each_found),
        cmocka_unit_test(test_refused_in_changing_order_each_found),
        cmocka_unit_test(test_refused_growth_resumes_after_the_search),
        cmocka_unit_test(test_refused_search_given_up_after_twice_the_records),
        cmocka_unit_test(test_refused_without_search_of_one_item),
        cmocka_unit_test(test_conflict_shrinks_to_one),
        cmocka_unit_test(test_conflict_during_a_search_does_not_widen_it),
        cmocka_unit_test(test_committed_nothing_changes_nothing),
        cmocka_unit_test(test_committed_never_above_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
