/* The open batch and the one being written: what each outcome of the writer does to them. */
#include "workers/sink/pipeline.h"

#include "tests/unit/sink/fake_writer.h"
#include "tests/unit/sink/sink_fixture.h"

#define BATCH_BYTES (1u << 20)

static struct folder *folder;
static struct writer *writer;
static struct pipeline *pipeline;
static struct fold_scratch scratch;

static int set_up(void **unused CV_UNUSED)
{
    memset(&fake_writer, 0, sizeof fake_writer);
    folder = folder_new(1u << 20);
    writer = writer_new("host=127.0.0.1", 1, 1000);
    pipeline = pipeline_new(folder, writer, BATCH_BYTES);
    fold_scratch_init(&scratch);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    fake_writer.busy = false;
    pipeline_free(pipeline);
    writer_free(writer);
    folder_free(folder);
    fold_scratch_done(&scratch);
    return 0;
}

static struct state *case_state(void)
{
    struct uuid case_id = sample_uuid(2);
    struct state *state = states_get(folder_caches(folder)->cases, &case_id);
    state->loaded = true;
    return state;
}

/* Folds into the open batch, as one record. */
static void fold(enum case_event_type type, int64_t sequence)
{
    const struct record record = {.offset = sequence, .timestamp_ms = 1};
    struct case_event event = sample_event(type, sequence, 0);
    struct batch *open = pipeline_open(pipeline);
    struct fold_result result = case_fold(folder_caches(folder)->cases, case_state(), CASE_PART, &event, &scratch,
                                          open);
    assert_int_equal(result.outcome, FOLD_APPLIED);
    batch_count_record(open, &record);
    if (sink_find_cursor(open, TOPIC_CASES, CASE_PART) == NULL)
        batch_add_cursor(open, &(struct batch_cursor){.topic = TOPIC_CASES, .part = CASE_PART, .old_offset = sequence});
}

static enum writer_outcome poll_with(enum writer_outcome outcome)
{
    struct err err = ERR_INIT;
    fake_writer.next = outcome;
    return pipeline_poll(pipeline, &err);
}

static void test_submit_closes_and_opens_the_next(void **unused CV_UNUSED)
{
    struct batch *first = pipeline_open(pipeline);
    fold(CASE_QUEUED, 1);
    pipeline_submit(pipeline);
    assert_ptr_equal(pipeline_written(pipeline), first);
    assert_ptr_equal(fake_writer.sent, first);
    assert_true(first->closed);
    assert_ptr_not_equal(pipeline_open(pipeline), first);
    assert_true(batch_is_empty(pipeline_open(pipeline)));
    assert_true(pipeline_is_busy(pipeline));
    assert_int_equal(pipeline_closed(pipeline), 1);
    assert_int_equal(pipeline_committed(pipeline), 0);
    assert_true(pipeline_sent_at_us(pipeline) > 0);
    assert_int_equal(poll_with(WRITER_BUSY), WRITER_BUSY);
}

static void test_poll_nothing_in_flight(void **unused CV_UNUSED)
{
    assert_int_equal(poll_with(WRITER_COMMITTED), WRITER_IDLE);
}

static void test_committed_batch_stays_until_release(void **unused CV_UNUSED)
{
    fold(CASE_QUEUED, 1);
    pipeline_submit(pipeline);
    fold(CASE_UPDATED, 2); /* on top of what is being written */
    assert_int_equal(poll_with(WRITER_COMMITTED), WRITER_COMMITTED);
    assert_int_equal(pipeline_written(pipeline)->case_count, 1);
    assert_int_equal(pipeline_committed(pipeline), 0);
    pipeline_release(pipeline);
    assert_int_equal(pipeline_committed(pipeline), 1);
    assert_true(batch_is_empty(pipeline_written(pipeline)));
    assert_int_equal(pipeline_open(pipeline)->changed_cases, 1);
    pipeline_submit(pipeline);
    assert_int_equal(pipeline_written(pipeline)->case_rows[0].rev, 2);
}

/* Refused batches say nothing: their fences may have waited for a lock. */
static void test_committed_slow_fences_make_a_gap(void **unused CV_UNUSED)
{
    fake_writer.fence_us = 3000;
    for (int i = 1; i <= PACE_FENCES; i++) {
        assert_int_equal(pipeline_gap_us(pipeline), 0);
        fold(i == 1 ? CASE_QUEUED : CASE_UPDATED, i);
        pipeline_submit(pipeline);
        assert_int_equal(poll_with(WRITER_BUSY), WRITER_BUSY);
        assert_int_equal(poll_with(WRITER_AGAIN), WRITER_AGAIN);
        assert_int_equal(poll_with(WRITER_COMMITTED), WRITER_COMMITTED);
        pipeline_release(pipeline);
    }
    assert_int_equal(pipeline_gap_us(pipeline), 30000);
}

static void test_again_sends_the_same_batch_unchanged(void **unused CV_UNUSED)
{
    fold(CASE_QUEUED, 1);
    pipeline_submit(pipeline);
    const struct batch *batch = fake_writer.sent;
    struct str state = batch->case_rows[0].state;
    char before[8192];
    assert_true(state.len <= sizeof before);
    memcpy(before, state.ptr, state.len);
    for (int i = 2; i < 5; i++) {
        fold(CASE_UPDATED, i);
        assert_int_equal(poll_with(WRITER_AGAIN), WRITER_AGAIN);
        assert_ptr_equal(fake_writer.sent, batch);
        assert_int_equal(fake_writer.sends, i);
        assert_true(pipeline_is_busy(pipeline));
    }
    assert_int_equal(batch->case_rows[0].rev, 1);
    assert_str_equal(batch->case_rows[0].state, ((struct str){before, state.len}));
    assert_int_equal(pipeline_closed(pipeline), 1);
    assert_int_equal(pipeline_limit(pipeline)->items, BATCH_LIMIT_NONE);
}

static void test_refused_batch_readable_until_drop(void **unused CV_UNUSED)
{
    static const enum writer_outcome outcomes[] = {WRITER_CONFLICT, WRITER_FENCED, WRITER_REFUSED, WRITER_LOST};
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        uint64_t closed = pipeline_closed(pipeline);
        fold(CASE_QUEUED, 1);
        pipeline_submit(pipeline);
        fold(CASE_UPDATED, 2);
        assert_int_equal(poll_with(outcomes[i]), outcomes[i]);
        assert_int_equal(pipeline_written(pipeline)->record_count, 1);
        assert_int_equal(pipeline_written(pipeline)->case_count, 1);
        pipeline_drop(pipeline);
        assert_int_equal(fake_writer.disconnects, 0); /* nothing is in flight: the connection is kept */
        assert_true(batch_is_empty(pipeline_open(pipeline)));
        assert_true(batch_is_empty(pipeline_written(pipeline)));
        assert_int_equal(states_count(folder_caches(folder)->cases), 0);
        assert_int_equal(folder_bytes(folder), 0);
        assert_true(pipeline_closed(pipeline) > closed + 1); /* no number of before is the open batch's */
        assert_int_equal(pipeline_committed(pipeline), pipeline_closed(pipeline));
    }
}

static void test_drop_in_flight_disconnects(void **unused CV_UNUSED)
{
    fold(CASE_QUEUED, 1);
    pipeline_submit(pipeline);
    fold(CASE_CLOSED, 2);
    pipeline_drop(pipeline);
    assert_int_equal(fake_writer.disconnects, 1);
    assert_false(pipeline_is_busy(pipeline));
    fold(CASE_QUEUED, 1); /* from the cursor again */
    pipeline_submit(pipeline);
    assert_int_equal(pipeline_written(pipeline)->case_rows[0].rev, 1);
    assert_int_equal(pipeline_written(pipeline)->case_rows[0].flags, CASE_LISTED);
}

static void test_full_by_bytes_or_by_items(void **unused CV_UNUSED)
{
    fold(CASE_QUEUED, 1);
    assert_false(pipeline_is_full(pipeline));
    pipeline_open(pipeline)->bytes = BATCH_BYTES;
    assert_true(pipeline_is_full(pipeline));
    pipeline_open(pipeline)->bytes = 0;
    assert_false(batch_limit_refused(pipeline_limit(pipeline), 6));
    assert_int_equal(pipeline_room(pipeline), 2);
    pipeline_open(pipeline)->counts.rerendered = 2; /* rows without an event count as records do */
    assert_int_equal(pipeline_room(pipeline), 0);
    assert_true(pipeline_is_full(pipeline));
}

static void test_committed_items_let_batches_grow_again(void **unused CV_UNUSED)
{
    assert_true(batch_limit_refused(pipeline_limit(pipeline), 1));
    for (int64_t i = 1, items = 1; i <= 5; i++, items *= 2) {
        assert_int_equal(pipeline_limit(pipeline)->items, items);
        fold(i == 1 ? CASE_QUEUED : CASE_UPDATED, i);
        pipeline_submit(pipeline);
        assert_int_equal(poll_with(WRITER_COMMITTED), WRITER_COMMITTED);
        pipeline_release(pipeline);
    }
    size_t limit = pipeline_limit(pipeline)->items;
    batch_add_cursor(pipeline_open(pipeline), &(struct batch_cursor){.complete = true});
    pipeline_submit(pipeline);
    assert_int_equal(poll_with(WRITER_COMMITTED), WRITER_COMMITTED);
    pipeline_release(pipeline);
    assert_int_equal(pipeline_limit(pipeline)->items, limit); /* a cursor alone proves nothing */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_submit_closes_and_opens_the_next),
        TEST(test_poll_nothing_in_flight),
        TEST(test_committed_batch_stays_until_release),
        TEST(test_committed_slow_fences_make_a_gap),
        TEST(test_again_sends_the_same_batch_unchanged),
        TEST(test_refused_batch_readable_until_drop),
        TEST(test_drop_in_flight_disconnects),
        TEST(test_full_by_bytes_or_by_items),
        TEST(test_committed_items_let_batches_grow_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
