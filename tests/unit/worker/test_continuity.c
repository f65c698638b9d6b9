/* Whether a log is still the one that was read, as far as no broker has to answer. */
#include "workers/continuity.h"

#include "tests/unit/worker/partitions_fixture.h"
#include "workers/sink/batch.h"

#define LAST 41 /* offset of the last record folded; the cursor is at 44: two offsets of transactions' ends follow */

static struct metrics *metrics;
static struct worker_metrics m;
static struct partition *partition;

static const struct record last_record = {.topic = TOPIC_CASES,
                                          .partition = 2,
                                          .offset = LAST,
                                          .timestamp_ms = 1712834018008,
                                          .key = {"key", 3},
                                          .value = {"value", 5}};

static int set_up(void **state)
{
    open_partitions(state);
    metrics = metrics_new();
    worker_metrics_init(&m, metrics, topic_names, 1, 1u << 20);
    partition = partitions_add(&partitions, TOPIC_CASES, 2);
    partition->state = PARTITION_PROVING;
    partition->position = 44;
    partition->cursor = (struct cursor){.next_offset = 44,
                                        .has_last = true,
                                        .last_offset = LAST,
                                        .last_at = last_record.timestamp_ms,
                                        .last_crc = batch_record_crc(&last_record)};
    return 0;
}

static int tear_down(void **state)
{
    close_partitions(state);
    metrics_free(metrics);
    return 0;
}

static void expect_halting(enum halt_reason reason)
{
    assert_int_equal(partition->state, PARTITION_HALTING);
    assert_int_equal(partition->halt_reason, reason);
    assert_int_equal(partition->halt_back_to, -1); /* the cursor stays where it is */
}

static void expect_postponed(void)
{
    assert_int_equal(partition->state, PARTITION_UNCLAIMED);
    assert_true(partition->try_at_ms > clock_mono_ms());
}

/* ---- the last record ---- */

static void test_check_record_the_same_goes_live(void **state CV_UNUSED)
{
    retry_failed(&partition->retry);
    continuity_check_record(&partitions, partition, &last_record, &m);
    assert_int_equal(partition->state, PARTITION_LIVE);
    assert_int_equal(partition->retry.attempts, 0);
    assert_true(metric_value(m.unproven) == 0);
}

static void test_check_record_another_one_halts(void **state CV_UNUSED)
{
    struct record others[] = {last_record, last_record, last_record, last_record};
    others[0].value = STR("other");
    others[1].key = STR("other");
    others[2].timestamp_ms++;
    others[3].value = STR_NULL;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        partition->state = PARTITION_PROVING;
        continuity_check_record(&partitions, partition, &others[i], &m);
        expect_halting(HALT_RECREATED);
    }
}

static void test_check_record_fetched_before_the_position_ignored(void **state CV_UNUSED)
{
    struct record earlier = last_record;
    earlier.offset = LAST - 1;
    earlier.value = STR("other");
    continuity_check_record(&partitions, partition, &earlier, &m);
    assert_int_equal(partition->state, PARTITION_PROVING);
}

/* Whether compaction or retention removed it only a broker can say. */
static void test_check_record_absent_without_a_broker_tried_again(void **state CV_UNUSED)
{
    struct record later = last_record;
    later.offset = LAST + 1;
    continuity_check_record(&partitions, partition, &later, &m);
    expect_postponed();
}

/* ---- the end of the log ---- */

static void test_check_old_record_already_folded(void **state CV_UNUSED)
{
    partition->state = PARTITION_LIVE;
    struct record old = last_record;
    for (int64_t offset = 0; offset <= LAST; offset++) {
        old.offset = offset;
        continuity_check_old_record(&partitions, partition, &old);
        assert_int_equal(partition->state, PARTITION_LIVE);
    }
    partition->cursor.has_last = false; /* nothing to compare */
    old.offset = LAST + 1;
    continuity_check_old_record(&partitions, partition, &old);
    assert_int_equal(partition->state, PARTITION_LIVE);
}

/* A record where only the ends of transactions were: the log was cut and written on. */
static void test_check_old_record_behind_the_last_one_means_a_shorter_log(void **state CV_UNUSED)
{
    struct record new = last_record;
    new.offset = LAST + 1;
    partition->state = PARTITION_LIVE;
    continuity_check_old_record(&partitions, partition, &new);
    expect_postponed();
    assert_true(partition->beyond_end_ms > 0);
}

static void test_check_end_before_the_cursor_halts_only_if_it_stays_so(void **state CV_UNUSED)
{
    static const enum partition_state states[] = {PARTITION_PROVING, PARTITION_LIVE};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        partition->state = states[i];
        partition->beyond_end_ms = 0;
        continuity_check_end(&partitions, partition, 43, &m);
        expect_postponed();
        int64_t since = partition->beyond_end_ms;
        assert_in_range(since, clock_mono_ms() - 1000, clock_mono_ms());

        partition->state = states[i]; /* claimed again, and still so */
        continuity_check_end(&partitions, partition, 43, &m);
        expect_postponed();
        assert_int_equal(partition->beyond_end_ms, since);

        partition->state = states[i];
        partition->beyond_end_ms = clock_mono_ms() - 10001;
        continuity_check_end(&partitions, partition, 43, &m);
        expect_halting(HALT_BEYOND_END);
    }
}

static void test_check_end_at_or_after_the_cursor_is_fine(void **state CV_UNUSED)
{
    partition->state = PARTITION_LIVE;
    for (int64_t end = 44; end < 47; end++) {
        continuity_check_end(&partitions, partition, end, &m);
        assert_int_equal(partition->state, PARTITION_LIVE);
    }
    assert_int_equal(partition->beyond_end_ms, 0);
}

static void test_check_end_while_proving_asks_for_the_record(void **state CV_UNUSED)
{
    continuity_check_end(&partitions, partition, 44, &m);
    expect_postponed();
    assert_int_equal(partition->beyond_end_ms, 0);
}

static void test_checks_of_other_states_change_nothing(void **state CV_UNUSED)
{
    static const enum partition_state states[] = {PARTITION_UNCLAIMED, PARTITION_HELD, PARTITION_HALTING,
                                                  PARTITION_HALTED};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        partition->state = states[i];
        continuity_check_end(&partitions, partition, 3, &m);
        continuity_out_of_range(&partitions, partition, &m);
        assert_int_equal(partition->state, states[i]);
        assert_int_equal(partition->beyond_end_ms, 0);
    }
}

static void test_out_of_range_without_a_broker_tried_again(void **state CV_UNUSED)
{
    partition->state = PARTITION_LIVE;
    continuity_out_of_range(&partitions, partition, &m);
    expect_postponed();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_check_record_the_same_goes_live),
        TEST(test_check_record_another_one_halts),
        TEST(test_check_record_fetched_before_the_position_ignored),
        TEST(test_check_record_absent_without_a_broker_tried_again),
        TEST(test_check_old_record_already_folded),
        TEST(test_check_old_record_behind_the_last_one_means_a_shorter_log),
        TEST(test_check_end_before_the_cursor_halts_only_if_it_stays_so),
        TEST(test_check_end_at_or_after_the_cursor_is_fine),
        TEST(test_check_end_while_proving_asks_for_the_record),
        TEST(test_checks_of_other_states_change_nothing),
        TEST(test_out_of_range_without_a_broker_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
