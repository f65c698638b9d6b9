/* What the end of a batch does to the partitions, to the next batches and to the metrics. */
#include "workers/batch_outcome.h"

#include "tests/unit/sink/fake_writer.h"
#include "tests/unit/worker/partitions_fixture.h"
#include "workers/open_batch.h"

static struct folder *folder;
static struct writer *writer;
static struct pipeline *pipeline;
static struct metrics *metrics;
static struct worker_metrics m;
static struct claims claims;
static struct operator_control control;
static struct directory_names names;
static struct batch_outcome outcome;
static struct partition *first, *second;

static struct partition *add_live(enum topic topic, int32_t part)
{
    struct partition *partition = partitions_add(&partitions, topic, part);
    partition->state = PARTITION_LIVE;
    partition->position = partition->cursor.next_offset = 100;
    return partition;
}

static int set_up(void **state)
{
    memset(&fake_writer, 0, sizeof fake_writer);
    open_partitions(state);
    metrics = metrics_new();
    worker_metrics_init(&m, metrics, topic_names, 1, 1u << 20);
    folder = folder_new(1u << 20);
    writer = writer_new("host=127.0.0.1", 1, 1000);
    pipeline = pipeline_new(folder, writer, 64u << 20);
    claims_init(&claims, 1, "host:1", &partitions, pipeline);
    claims.writer = writer;
    claims.m = &m;
    control = (struct operator_control){.claims = &claims};
    directory_names_init(&names, 1);
    names.partitions = &partitions;
    names.pipeline = pipeline;
    names.folder = folder;
    names.writer = writer;
    batch_outcome_init(&outcome, 1);
    outcome.claims = &claims;
    outcome.control = &control;
    outcome.names = &names;
    first = add_live(TOPIC_CASES, 0);
    second = add_live(TOPIC_AGENTS, 1);
    return 0;
}

static int tear_down(void **state)
{
    fake_writer.busy = false;
    pipeline_free(pipeline);
    writer_free(writer);
    folder_free(folder);
    claims_done(&claims);
    directory_names_done(&names);
    close_partitions(state);
    metrics_free(metrics);
    return 0;
}

/* Records from the partition's position on become part of the open batch; the last ones may be parked. */
static void take(struct partition *partition, int64_t records, int64_t parked)
{
    struct batch *open = pipeline_open(pipeline);
    struct batch_cursor *cursor = open_batch_cursor(pipeline, partition);
    for (int64_t i = 0; i < records; i++) {
        const struct record record = {.topic = partition->topic,
                                      .partition = partition->part,
                                      .offset = partition->position,
                                      .timestamp_ms = clock_wall_us() / 1000};
        if (records - i <= parked) {
            batch_park(open, &record, partition->topic_name, STR_NULL, NULL, PARK_BAD_RANK, "");
            if (cursor->parked++ == 0)
                cursor->first_parked = record.offset;
        }
        batch_count_record(open, &record);
        cursor->records++;
        cursor->has_last = true;
        cursor->last_offset = record.offset;
        cursor->last_at = record.timestamp_ms;
        cursor->last_crc = record.offset * 7;
        cursor->new_offset = partition->position = record.offset + 1;
    }
}

static enum cv_status settle(enum writer_outcome next, const char *text, struct err *err)
{
    *err = (struct err)ERR_INIT;
    fake_writer.next = next;
    fake_writer.text = text;
    return batch_outcome_settle(&outcome, err);
}

static void commit(void)
{
    struct err err;
    pipeline_submit(pipeline);
    assert_int_equal(settle(WRITER_COMMITTED, NULL, &err), CV_OK);
    assert_true(batch_is_empty(pipeline_written(pipeline)));
}

/* Sends the open batch, which is refused, and starts from the cursors again, as the worker does. */
static enum cv_status refuse(enum writer_outcome next, struct err *err)
{
    pipeline_submit(pipeline);
    enum cv_status status = settle(next, "what the server said", err);
    pipeline_drop(pipeline);
    for (size_t i = 0; i < partitions.count; i++)
        partitions.all[i]->position = partitions.all[i]->cursor.next_offset;
    return status;
}

/* ---- committed ---- */

static void test_nothing_in_flight_is_fine(void **state CV_UNUSED)
{
    struct err err;
    assert_int_equal(settle(WRITER_LOST, NULL, &err), CV_OK);
}

static void test_committed_moves_cursors(void **state CV_UNUSED)
{
    take(first, 5, 0);
    take(second, 2, 0);
    open_batch_cursor(pipeline, second)->dir_no = 9;
    first->cursor.dir_no = second->cursor.dir_no = 7;
    commit();
    assert_int_equal(first->cursor.next_offset, 105);
    assert_true(first->cursor.has_last);
    assert_int_equal(first->cursor.last_offset, 104);
    assert_int_equal(first->cursor.last_crc, 104 * 7);
    assert_int_equal(first->cursor.dir_no, 7); /* 0 in the batch: unchanged */
    assert_int_equal(second->cursor.next_offset, 102);
    assert_int_equal(second->cursor.dir_no, 9);
    assert_true(metric_value(m.batches) == 1);
}

static void test_committed_released_partition_keeps_its_cursor(void **state CV_UNUSED)
{
    take(first, 5, 0);
    take(second, 2, 0);
    partitions_release(&partitions, first); /* claimed again later: then its cursor is read */
    partitions_remove(&partitions, second);
    commit();
    assert_int_equal(first->cursor.next_offset, 100);
    assert_false(first->cursor.has_last);
}

static void test_committed_refused_record_forgotten_once_passed(void **state CV_UNUSED)
{
    first->refused.offset = 104;
    take(first, 4, 0);
    commit();
    assert_int_equal(first->refused.offset, 104);
    take(first, 1, 1);
    commit();
    assert_int_equal(first->refused.offset, -1);
}

static void test_committed_parked_counted(void **state CV_UNUSED)
{
    take(first, 5, 3);
    commit();
    assert_true(metric_value(m.parked[PARK_BAD_RANK]) == 3);
    assert_true(metric_value(m.parked_rows) == 3);
    assert_string_equal(first->parked_reason, "bad-rank");
    assert_int_equal(first->parked_offset, 104);
    assert_int_equal(first->state, PARTITION_LIVE);
}

static void test_committed_flood_halts_from_its_first_record(void **state CV_UNUSED)
{
    take(first, 10, 0);
    commit();
    take(first, 600, 600);
    commit();
    assert_int_equal(first->state, PARTITION_LIVE);
    take(first, 600, 600);
    take(second, 600, 600);
    commit();
    assert_int_equal(first->state, PARTITION_HALTING);
    assert_int_equal(first->halt_reason, HALT_POISON_FLOOD);
    assert_int_equal(first->halt_back_to, 110);
    assert_int_equal(second->state, PARTITION_LIVE);
}

/* A connection that is lost makes the same records come again: they count when they are committed. */
static void test_flood_records_read_again_count_once(void **state CV_UNUSED)
{
    struct err err;
    for (int i = 0; i < 3; i++) {
        take(first, 600, 600);
        assert_int_equal(refuse(WRITER_LOST, &err), CV_RETRY);
    }
    take(first, 600, 600);
    commit();
    assert_int_equal(first->state, PARTITION_LIVE);
}

static void test_flood_of_a_stopped_partition_changes_nothing(void **state CV_UNUSED)
{
    static const enum partition_state states[] = {PARTITION_UNCLAIMED, PARTITION_PROVING, PARTITION_HALTING,
                                                  PARTITION_HALTED};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        first->state = PARTITION_LIVE;
        poison_flood_reset(&first->flood);
        take(first, 1100, 1100);
        first->state = states[i]; /* an operator paused it meanwhile, say */
        commit();
        assert_int_equal(first->state, states[i]);
        assert_int_equal(first->halt_back_to, -1);
    }
}

/* ---- refused ---- */

static void test_refused_half_as_many_next_time_without_delay(void **state CV_UNUSED)
{
    struct err err;
    take(first, 8, 0);
    assert_int_equal(refuse(WRITER_REFUSED, &err), CV_RETRY);
    assert_true(outcome.expected);
    assert_int_equal(pipeline_room(pipeline), 4);
    assert_int_equal(first->refused.offset, -1);
}

static void test_refused_one_record_noted_with_the_text(void **state CV_UNUSED)
{
    struct err err;
    for (int times = 1; times <= 3; times++) {
        (void)open_batch_cursor(pipeline, second); /* a cursor without a record is not meant */
        take(first, 1, 0);
        assert_int_equal(refuse(WRITER_REFUSED, &err), CV_RETRY);
        assert_true(outcome.expected);
        assert_int_equal(first->refused.offset, 100);
        assert_int_equal(first->refused.times, times);
        assert_string_equal(first->refused.text, "what the server said");
        assert_int_equal(second->refused.offset, -1);
        assert_int_equal(pipeline_room(pipeline), 1);
    }
    first->cursor.next_offset = first->position = 101;
    take(first, 1, 0);
    assert_int_equal(refuse(WRITER_REFUSED, &err), CV_RETRY);
    assert_int_equal(first->refused.offset, 101);
    assert_int_equal(first->refused.times, 1); /* another record */
}

static void test_refused_row_without_an_event_blames_no_record(void **state CV_UNUSED)
{
    struct err err;
    (void)open_batch_cursor(pipeline, first);
    pipeline_open(pipeline)->counts.rerendered = 1;
    assert_int_equal(refuse(WRITER_REFUSED, &err), CV_RETRY);
    assert_true(outcome.expected);
    assert_int_equal(first->refused.offset, -1);
}

/* Nothing to search for: it is a failure like others, with a delay and a log line. */
static void test_refused_cursors_alone(void **state CV_UNUSED)
{
    struct err err;
    open_batch_cursor(pipeline, first)->complete = true;
    assert_int_equal(refuse(WRITER_REFUSED, &err), CV_RETRY);
    assert_false(outcome.expected);
    assert_int_equal(pipeline_room(pipeline), BATCH_LIMIT_NONE);
}

static void test_conflict_smaller_batches_after_a_wait(void **state CV_UNUSED)
{
    struct err err;
    int64_t now = clock_mono_ms();
    take(first, 400, 0);
    assert_int_equal(refuse(WRITER_CONFLICT, &err), CV_RETRY);
    assert_true(outcome.expected);
    assert_int_equal(pipeline_room(pipeline), 100);
    assert_in_range(claims.not_before_ms, now + 10, now + 1000);
    assert_true(metric_value(m.refolds) == 1);
    take(first, 10, 0);
    commit();
    assert_int_equal(outcome.conflict.attempts, 0);
    assert_int_equal(pipeline_room(pipeline), 200);
}

/* However often it happens, a conflict blames no record. */
static void test_conflict_in_a_row_parks_nothing(void **state CV_UNUSED)
{
    struct err err;
    for (int batches = 0; batches < 100; batches++) {
        take(first, pipeline_room(pipeline) < 8 ? (int64_t)pipeline_room(pipeline) : 8, 0);
        assert_int_equal(refuse(WRITER_CONFLICT, &err), CV_RETRY);
        assert_int_equal(first->refused.offset, -1);
    }
    assert_int_equal(pipeline_room(pipeline), 1);
    assert_in_range(claims.not_before_ms, clock_mono_ms(), clock_mono_ms() + 1000);
}

static void test_fenced_says_so(void **state CV_UNUSED)
{
    struct err err;
    take(first, 4, 0);
    assert_int_equal(refuse(WRITER_FENCED, &err), CV_RETRY);
    assert_false(outcome.expected);
    assert_non_null(strstr(err.text, "another worker has claimed one of our partitions"));
    assert_true(metric_value(m.fenced) == 1);
    assert_int_equal(pipeline_room(pipeline), BATCH_LIMIT_NONE);
}

static void test_sent_again_keeps_everything(void **state CV_UNUSED)
{
    struct err err;
    take(first, 4, 0);
    pipeline_submit(pipeline);
    assert_int_equal(settle(WRITER_AGAIN, "deadlock detected", &err), CV_OK);
    assert_true(pipeline_is_busy(pipeline));
    assert_int_equal(first->cursor.next_offset, 100);
    assert_true(metric_value(m.retries) == 1);
    assert_int_equal(settle(WRITER_COMMITTED, NULL, &err), CV_OK);
    assert_int_equal(first->cursor.next_offset, 104);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_in_flight_is_fine),
        TEST(test_committed_moves_cursors),
        TEST(test_committed_released_partition_keeps_its_cursor),
        TEST(test_committed_refused_record_forgotten_once_passed),
        TEST(test_committed_parked_counted),
        TEST(test_committed_flood_halts_from_its_first_record),
        TEST(test_flood_records_read_again_count_once),
        TEST(test_flood_of_a_stopped_partition_changes_nothing),
        TEST(test_refused_half_as_many_next_time_without_delay),
        TEST(test_refused_one_record_noted_with_the_text),
        TEST(test_refused_row_without_an_event_blames_no_record),
        TEST(test_refused_cursors_alone),
        TEST(test_conflict_smaller_batches_after_a_wait),
        TEST(test_conflict_in_a_row_parks_nothing),
        TEST(test_fenced_says_so),
        TEST(test_sent_again_keeps_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
