/* The assigned partitions: found, added, removed, and what may happen to one of them. */
#include "workers/partitions.h"

#include "tests/support/random.h"
#include "tests/unit/worker/partitions_fixture.h"

#define PARTS 300

static void test_find_nothing_assigned(void **state CV_UNUSED)
{
    static const int32_t parts[] = {INT32_MIN, -1, 0, 15, 16, INT32_MAX};
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            assert_null(partitions_find(&partitions, (enum topic)topic, parts[i]));
}

static void test_add_found_by_topic_and_number(void **state CV_UNUSED)
{
    struct partition *added = partitions_add(&partitions, TOPIC_AGENTS, 5);
    assert_non_null(added);
    assert_ptr_equal(partitions_find(&partitions, TOPIC_AGENTS, 5), added);
    assert_null(partitions_find(&partitions, TOPIC_CASES, 5));
    assert_null(partitions_find(&partitions, TOPIC_AGENTS, 4));
    assert_int_equal(added->state, PARTITION_UNCLAIMED);
    assert_true(str_eq(added->topic_name, STR("agent-events")));
    assert_true(partitions.changed);
    partitions.changed = false;
    assert_null(partitions_add(&partitions, TOPIC_AGENTS, 5)); /* it is there already */
    assert_false(partitions.changed);
    assert_int_equal(partitions.count, 1);
}

static void test_add_pointers_stay_valid_while_it_grows(void **state CV_UNUSED)
{
    static struct partition *added[PARTS];
    for (int32_t i = 0; i < PARTS; i++)
        added[i] = partitions_add(&partitions, TOPIC_CASES, (7919 * i) % PARTS);
    assert_int_equal(partitions.count, PARTS);
    for (int32_t i = 0; i < PARTS; i++) {
        assert_int_equal(added[i]->part, (7919 * i) % PARTS);
        assert_ptr_equal(partitions_find(&partitions, TOPIC_CASES, added[i]->part), added[i]);
    }
    assert_null(partitions_find(&partitions, TOPIC_CASES, PARTS));
}

static void test_remove_forgotten_and_added_again(void **state CV_UNUSED)
{
    for (int32_t i = 0; i < 10; i++)
        (void)partitions_add(&partitions, TOPIC_CASES, i);
    partitions.changed = false;
    partitions_remove(&partitions, partitions_find(&partitions, TOPIC_CASES, 0));
    partitions_remove(&partitions, partitions_find(&partitions, TOPIC_CASES, 9));
    assert_true(partitions.changed);
    assert_int_equal(partitions.count, 8);
    for (int32_t i = 0; i < 10; i++)
        assert_int_equal(partitions_find(&partitions, TOPIC_CASES, i) != NULL, i != 0 && i != 9);
    assert_non_null(partitions_add(&partitions, TOPIC_CASES, 9));
    assert_int_equal(partitions.count, 9);
}

static void test_random_assignments_found(void **state CV_UNUSED)
{
    struct random random = random_start("test_partitions");
    bool assigned[TOPIC_COUNT][64] = {{false}};
    size_t count = 0;
    for (int step = 0; step < 20000; step++) {
        enum topic topic = (enum topic)random_below(&random, TOPIC_COUNT);
        int32_t part = (int32_t)random_below(&random, 64);
        struct partition *found = partitions_find(&partitions, topic, part);
        assert_int_equal(found != NULL, assigned[topic][part]);
        if (found != NULL) {
            assert_int_equal(found->topic, topic);
            assert_int_equal(found->part, part);
            partitions_remove(&partitions, found);
            count--;
        } else {
            assert_non_null(partitions_add(&partitions, topic, part));
            count++;
        }
        assigned[topic][part] = found == NULL;
        assert_int_equal(partitions.count, count);
    }
}

static void test_of_topic_numbers(void **state CV_UNUSED)
{
    int32_t parts[8];
    (void)partitions_add(&partitions, TOPIC_CASES, 4);
    (void)partitions_add(&partitions, TOPIC_AGENTS, 2);
    (void)partitions_add(&partitions, TOPIC_CASES, 1);
    assert_int_equal(partitions_of_topic(&partitions, TOPIC_CASES, parts), 2);
    assert_int_equal(parts[0] + parts[1], 5);
    assert_int_equal(partitions_of_topic(&partitions, TOPIC_AGENTS, parts), 1);
    assert_int_equal(parts[0], 2);
    assert_int_equal(partitions_of_topic(&partitions, TOPIC_DIRECTORY, parts), 0);
}

static struct partition *add_in(enum partition_state state)
{
    struct partition *partition = partitions_add(&partitions, TOPIC_CASES, (int32_t)partitions.count);
    partition->state = state;
    partitions.changed = false;
    return partition;
}

static void test_release_claim_given_up_and_tried_at_once(void **state CV_UNUSED)
{
    for (int from = 0; from < PARTITION_STATE_COUNT; from++) {
        struct partition *partition = add_in((enum partition_state)from);
        partition->at_end = partition->complete_pending = true;
        partition->halt_back_to = 17;
        partition->try_at_ms = INT64_MAX;
        partition->beyond_end_ms = 77;
        partitions_release(&partitions, partition);
        assert_int_equal(partition->state, PARTITION_UNCLAIMED);
        assert_int_equal(partitions.changed, from != PARTITION_UNCLAIMED);
        assert_false(partition->at_end || partition->complete_pending);
        assert_int_equal(partition->halt_back_to, -1);
        assert_int_equal(partition->try_at_ms, 0);
        assert_int_equal(partition->beyond_end_ms, 77); /* what stays so counts, over claims, too */
    }
}

static void test_release_all_what_was_put_off_stays_so(void **state CV_UNUSED)
{
    struct partition *put_off = add_in(PARTITION_UNCLAIMED), *held = add_in(PARTITION_HELD);
    struct partition *live = add_in(PARTITION_LIVE);
    put_off->try_at_ms = held->try_at_ms = 12345;
    partitions_release_all(&partitions);
    assert_int_equal(put_off->try_at_ms, 12345);
    assert_int_equal(held->try_at_ms, 0);
    assert_int_equal(live->try_at_ms, 0);
    for (size_t i = 0; i < partitions.count; i++)
        assert_int_equal(partitions.all[i]->state, PARTITION_UNCLAIMED);
    assert_true(partitions.changed);
}

static void test_postpone_waits_longer_each_time(void **state CV_UNUSED)
{
    struct partition *partition = add_in(PARTITION_LIVE);
    struct err err = ERR_INIT;
    err_set(&err, "no broker answered");
    int64_t now = clock_mono_ms();
    partitions_postpone(&partitions, partition, &err);
    assert_int_equal(partition->state, PARTITION_UNCLAIMED);
    assert_in_range(partition->try_at_ms, now + 100, now + 2000);
    for (int i = 0; i < 20; i++)
        partitions_postpone(&partitions, partition, &err);
    now = clock_mono_ms();
    assert_in_range(partition->try_at_ms, now + 2400, now + 5000);
    assert_int_equal(partition->retry.attempts, 21);
}

static void test_hold_keeps_claim_and_position(void **state CV_UNUSED)
{
    struct partition *partition = add_in(PARTITION_LIVE);
    struct err err = ERR_INIT;
    err_set(&err, "the registry does not answer");
    partition->position = 42;
    int64_t now = clock_mono_ms();
    const struct record record = {.offset = 42};
    partitions_hold(&partitions, partition, &record, &err);
    assert_int_equal(partition->state, PARTITION_HELD);
    assert_int_equal(partition->position, 42);
    assert_in_range(partition->try_at_ms, now + 100, now + 2000);
    assert_false(partitions.changed);
}

static void test_halt_keeps_the_reason(void **state CV_UNUSED)
{
    static const enum partition_state from[] = {PARTITION_UNCLAIMED, PARTITION_PROVING, PARTITION_LIVE, PARTITION_HELD};
    for (size_t i = 0; i < ARRAY_LEN(from); i++) {
        struct partition *partition = add_in(from[i]);
        partition->halt_back_to = 17;
        partitions_halt(&partitions, partition, HALT_POISON_FLOOD, i == 0 ? NULL : "too many");
        assert_int_equal(partition->state, PARTITION_HALTING);
        assert_int_equal(partition->halt_reason, HALT_POISON_FLOOD);
        assert_int_equal(partition->halt_back_to, 17);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_partitions, close_partitions)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find_nothing_assigned),
        TEST(test_add_found_by_topic_and_number),
        TEST(test_add_pointers_stay_valid_while_it_grows),
        TEST(test_remove_forgotten_and_added_again),
        TEST(test_random_assignments_found),
        TEST(test_of_topic_numbers),
        TEST(test_release_claim_given_up_and_tried_at_once),
        TEST(test_release_all_what_was_put_off_stays_so),
        TEST(test_postpone_waits_longer_each_time),
        TEST(test_hold_keeps_claim_and_position),
        TEST(test_halt_keeps_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
