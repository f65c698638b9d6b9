#include "workers/source/consumer_partitions.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const topics[TOPIC_COUNT] = {"cases", "agents", "directory"};

static void test_add_makes_it_owned_without_a_position(void **state CV_UNUSED)
{
    struct consumer_partitions partitions;

    consumer_partitions_init(&partitions, topics);
    assert_int_equal(consumer_partitions_topic(&partitions, "agents"), TOPIC_AGENTS);
    assert_int_equal(consumer_partitions_topic(&partitions, "agent"), TOPIC_COUNT);
    assert_null(consumer_partitions_find(&partitions, TOPIC_AGENTS, 0));
    assert_true(consumer_partitions_add(&partitions, TOPIC_AGENTS, 7));
    const struct consumer_partition *p = consumer_partitions_find(&partitions, TOPIC_AGENTS, 7);
    assert_true(p->owned && !p->wanted && !p->running && p->end_offset == -1 && p->commit_next == -1);
    assert_false(consumer_partitions_find(&partitions, TOPIC_AGENTS, 6)->owned);
    assert_null(consumer_partitions_find(&partitions, TOPIC_AGENTS, 8));
    assert_null(consumer_partitions_find(&partitions, TOPIC_COUNT, 0));
    assert_null(consumer_partitions_find(&partitions, TOPIC_CASES, -1));
    consumer_partitions_done(&partitions);
}

/* Assignments come from another member: invalid ones must not break this one. */
static void test_add_what_cannot_be_is_refused(void **state CV_UNUSED)
{
    struct consumer_partitions partitions;

    consumer_partitions_init(&partitions, topics);
    assert_true(consumer_partitions_add(&partitions, TOPIC_CASES, 1));
    assert_false(consumer_partitions_add(&partitions, TOPIC_CASES, 1));
    assert_false(consumer_partitions_add(&partitions, TOPIC_COUNT, 1));
    assert_false(consumer_partitions_add(&partitions, TOPIC_CASES, -1));
    assert_false(consumer_partitions_add(&partitions, TOPIC_CASES, INT32_MAX));
    consumer_partitions_remove(&partitions, TOPIC_CASES, 99);
    consumer_partitions_remove(&partitions, TOPIC_CASES, 0);
    assert_int_equal(partitions.owned_count, 1);
    consumer_partitions_done(&partitions);
}

static void test_owned_names_exactly_what_was_added_and_not_removed(void **state CV_UNUSED)
{
    enum { PARTITIONS = 50, STEPS = 5000 };
    struct consumer_partitions partitions;
    bool owned[TOPIC_COUNT][PARTITIONS] = {{false}};
    size_t count = 0;
    unsigned seed = 77;

    print_message("seed %u\n", seed);
    srand(seed);
    consumer_partitions_init(&partitions, topics);
    for (int step = 0; step < STEPS; step++) {
        enum topic t = (enum topic)(rand() % TOPIC_COUNT);
        int32_t number = rand() % PARTITIONS;
        if (rand() % 2) {
            assert_int_equal(consumer_partitions_add(&partitions, t, number), !owned[t][number]);
            count += !owned[t][number];
            owned[t][number] = true;
        } else {
            consumer_partitions_remove(&partitions, t, number);
            count -= owned[t][number];
            owned[t][number] = false;
        }
        assert_int_equal(partitions.owned_count, count);
        for (size_t i = 0; i < count; i++) {
            struct consumer_partition_id id;
            const struct consumer_partition *p = consumer_partitions_owned(&partitions, i, &id);
            assert_true(p->owned && p->owned_index == i && owned[id.topic][id.partition]);
        }
    }
    consumer_partitions_done(&partitions);
}

/* librdkafka keeps a partition paused over its assignments, so its next start has to resume it. */
static void test_remove_keeps_only_the_pause(void **state CV_UNUSED)
{
    struct consumer_partitions partitions;

    consumer_partitions_init(&partitions, topics);
    assert_true(consumer_partitions_add(&partitions, TOPIC_CASES, 0));
    struct consumer_partition *p = consumer_partitions_find(&partitions, TOPIC_CASES, 0);
    p->paused = p->wanted = p->assigned = p->announced = true;
    p->next = 5;
    consumer_partitions_remove(&partitions, TOPIC_CASES, 0);
    assert_true(p->paused && !p->owned && !p->wanted && !p->assigned && !p->announced && p->next == 0);
    assert_true(consumer_partitions_add(&partitions, TOPIC_CASES, 0));
    assert_true(consumer_partitions_find(&partitions, TOPIC_CASES, 0)->paused);
    consumer_partitions_done(&partitions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_makes_it_owned_without_a_position),
        cmocka_unit_test(test_add_what_cannot_be_is_refused),
        cmocka_unit_test(test_owned_names_exactly_what_was_added_and_not_removed),
        cmocka_unit_test(test_remove_keeps_only_the_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
