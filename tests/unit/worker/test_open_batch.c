/* A partition's entry in the batch that is being filled. */
#include "workers/open_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define PARTITIONS 200

static struct folder *folder;
static struct writer *writer;
static struct pipeline *pipeline;

/* Nothing is sent: the writer never connects. */
static int set_up(void **unused CV_UNUSED)
{
    folder = folder_new(1u << 20);
    writer = writer_new("host=127.0.0.1", 1, 1000);
    pipeline = pipeline_new(folder, writer, 1u << 20);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    pipeline_free(pipeline);
    writer_free(writer);
    folder_free(folder);
    return 0;
}

static struct partition claimed(int32_t part, int64_t position)
{
    struct partition partition;
    partition_init(&partition, TOPIC_AGENTS, part, STR("agent-events"));
    partition.position = position;
    memset(partition.cursor.claim.b, part, sizeof partition.cursor.claim.b);
    return partition;
}

static void test_has_new_partition_has_no_entry(void **unused CV_UNUSED)
{
    struct partition partition = claimed(1, 0);
    assert_false(open_batch_has(pipeline, &partition));
    assert_true(batch_is_empty(pipeline_open(pipeline)));
}

static void test_cursor_begins_at_the_position(void **unused CV_UNUSED)
{
    struct partition partition = claimed(1, 42);
    const struct batch_cursor *cursor = open_batch_cursor(pipeline, &partition);
    assert_true(open_batch_has(pipeline, &partition));
    assert_int_equal(cursor->topic, TOPIC_AGENTS);
    assert_int_equal(cursor->part, 1);
    assert_true(str_eq(cursor->topic_name, STR("agent-events")));
    assert_true(uuid_eq(&cursor->claim, &partition.cursor.claim));
    assert_int_equal(cursor->old_offset, 42);
    assert_int_equal(cursor->new_offset, 42); /* it moves nothing yet */
    assert_false(cursor->has_last);
    assert_false(cursor->complete);
    assert_int_equal(cursor->records + cursor->parked + cursor->dir_no, 0);
}

static void test_cursor_same_entry_until_the_batch_is_closed(void **unused CV_UNUSED)
{
    static struct partition partitions[PARTITIONS];
    for (int32_t i = 0; i < PARTITIONS; i++) {
        partitions[i] = claimed(i, 1000 + i);
        open_batch_cursor(pipeline, &partitions[i])->new_offset = 2000 + i;
    }
    for (int32_t i = 0; i < PARTITIONS; i++) {
        partitions[i].position = 2000 + i; /* as after taking records */
        const struct batch_cursor *cursor = open_batch_cursor(pipeline, &partitions[i]);
        assert_int_equal(cursor->part, i);
        assert_int_equal(cursor->old_offset, 1000 + i);
        assert_int_equal(cursor->new_offset, 2000 + i);
        assert_ptr_equal(cursor, &pipeline_open(pipeline)->cursors[i]);
    }
    assert_int_equal(pipeline_open(pipeline)->cursor_count, PARTITIONS);
}

/* After a drop nothing that was written down before may be taken for an entry of the batch that is open now. */
static void test_cursor_after_drop_is_a_new_entry(void **unused CV_UNUSED)
{
    struct partition first = claimed(1, 10), second = claimed(2, 20);
    (void)open_batch_cursor(pipeline, &first);
    (void)open_batch_cursor(pipeline, &second);
    pipeline_drop(pipeline);
    assert_false(open_batch_has(pipeline, &first));
    assert_true(batch_is_empty(pipeline_open(pipeline)));
    second.position = 25;
    const struct batch_cursor *cursor = open_batch_cursor(pipeline, &second);
    assert_int_equal(cursor->part, 2);
    assert_int_equal(cursor->old_offset, 25);
    assert_false(open_batch_has(pipeline, &first));
    assert_int_equal(pipeline_open(pipeline)->cursor_count, 1);
}

static void test_pipeline_room_and_drop(void **unused CV_UNUSED)
{
    const struct record record = {.timestamp_ms = 1};
    assert_int_equal(pipeline_room(pipeline), BATCH_LIMIT_NONE);
    assert_false(pipeline_is_full(pipeline));
    assert_false(batch_limit_refused(pipeline_limit(pipeline), 4));
    assert_int_equal(pipeline_room(pipeline), 2);
    batch_count_record(pipeline_open(pipeline), &record);
    pipeline_open(pipeline)->counts.rerendered++;
    assert_int_equal(pipeline_room(pipeline), 0);
    assert_true(pipeline_is_full(pipeline));
    uint64_t closed = pipeline_closed(pipeline);
    pipeline_drop(pipeline);
    assert_int_equal(pipeline_room(pipeline), 2); /* the limit outlives the batch */
    assert_true(pipeline_closed(pipeline) > closed);
    assert_int_equal(pipeline_closed(pipeline), pipeline_committed(pipeline));
    pipeline_open(pipeline)->bytes = 1u << 20;
    assert_true(pipeline_is_full(pipeline));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_has_new_partition_has_no_entry),
        TEST(test_cursor_begins_at_the_position),
        TEST(test_cursor_same_entry_until_the_batch_is_closed),
        TEST(test_cursor_after_drop_is_a_new_entry),
        TEST(test_pipeline_room_and_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
