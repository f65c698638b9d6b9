/*
 * A batch: what it collects, the rows that it is closed into, and what it gives back (entities: test_batch_entities.c).
 */
#include "workers/sink/batch.h"

#include "caseview/clock.h"
#include "tests/unit/sink/sink_fixture.h"

static struct sink sink;

static int set_up(void **unused CV_UNUSED)
{
    sink_open(&sink);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    sink_close(&sink);
    return 0;
}

static void fold(unsigned number, enum case_event_type type, int64_t sequence, unsigned variant)
{
    struct fold_result result = sink_fold_case(&sink, number, type, sequence, variant);
    assert_int_equal(result.reason, PARK_NONE);
    assert_int_equal(result.outcome, FOLD_APPLIED);
}

static const struct case_row *row_of(const struct batch *batch, unsigned number)
{
    struct uuid case_id = sample_uuid(number);
    for (size_t i = 0; i < batch->case_count; i++)
        if (uuid_eq(&batch->case_rows[i].case_id, &case_id))
            return &batch->case_rows[i];
    return NULL;
}

/* ---- cases ---- */

static void test_close_cases_rows_in_key_order(void **unused CV_UNUSED)
{
    enum { CASES = 300 };
    for (unsigned i = 0; i < CASES; i++)
        fold(7919 * i % 100000, CASE_QUEUED, 1, i % 2);
    assert_int_equal(sink.open->changed_cases, CASES);
    const struct batch *batch = sink_submit(&sink);
    assert_true(batch->closed);
    assert_int_equal(batch->case_count, CASES);
    assert_int_equal(batch->changed_cases, 0);
    for (size_t i = 0; i < CASES; i++) {
        const struct case_row *row = &batch->case_rows[i];
        if (i > 0)
            assert_true(uuid_cmp(&batch->case_rows[i - 1].case_id, &row->case_id) < 0);
        assert_int_equal(row->rev, 1);
        assert_int_equal(row->part, CASE_PART);
        assert_false(row->was_listed);
        assert_str_equal(row->state, state_blob(row->entry));
        assert_int_equal(row->entry->rev, 1);
        assert_int_equal(row->entry->entry.pins, 1);
        assert_false(row->entry->dirty);
    }
}

/* They are inserted by a statement of their own. */
static void test_close_cases_without_a_row_before_the_others(void **unused CV_UNUSED)
{
    enum { CASES = 100 };
    size_t new_cases = 0;
    for (unsigned i = 0; i < CASES; i++) {
        struct state *state = sink_case(&sink, 7919 * i % 100000);
        state->has_row = i % 3 > 0;
        state->rev = i % 3 == 1 ? 4 : 0; /* a damaged row may have revision 0 */
        new_cases += !state->has_row;
        fold(7919 * i % 100000, CASE_QUEUED, 1, 1);
    }
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->case_count, CASES);
    for (size_t i = 0; i < CASES; i++) {
        const struct case_row *row = &batch->case_rows[i];
        assert_int_equal(row->is_new, i < new_cases);
        assert_true(row->entry->has_row);
        if (i > 0 && i != new_cases)
            assert_true(uuid_cmp(&row[-1].case_id, &row->case_id) < 0);
    }
}

static void test_close_case_folded_often_one_row(void **unused CV_UNUSED)
{
    fold(2, CASE_QUEUED, 1, 0);
    fold(2, CASE_POSITION_CHANGED, 2, 1);
    fold(2, CASE_UPDATED, 3, 1);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->case_count, 1);
    assert_int_equal(batch->case_rows[0].rev, 1);
    assert_str_equal(batch->case_rows[0].state, state_blob(sink_case(&sink, 2)));
}

static void test_close_case_revisions_and_was_listed(void **unused CV_UNUSED)
{
    static const struct {
        enum case_event_type type;
        unsigned variant;
        int16_t flags;
        bool was_listed;
    } steps[] = {
        {CASE_POSITION_CHANGED, 0, CASE_INCOMPLETE, false},
        {CASE_QUEUED, 0, CASE_LISTED, false}, /* variant 0 is Active and locked */
        {CASE_POSITION_CHANGED, 1, CASE_LISTED, true},
        {CASE_RETURNED_TO_QUEUE, 1, 0, true},
        {CASE_POSITION_CHANGED, 2, 0, false},
        {CASE_SERVICE_STARTED, 0, CASE_LISTED, false},
        {CASE_CLOSED, 0, CASE_OVER, true},
    };
    sink_case(&sink, 2)->rev = 10; /* its row says so */
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        fold(2, steps[i].type, (int64_t)i + 1, steps[i].variant);
        const struct batch *batch = sink_submit(&sink);
        assert_int_equal(batch->case_count, 1);
        assert_int_equal(batch->case_rows[0].rev, 11 + i);
        assert_int_equal(batch->case_rows[0].flags, steps[i].flags);
        assert_int_equal(batch->case_rows[0].was_listed, steps[i].was_listed);
        sink_commit(&sink);
    }
}

static void test_fold_after_close_leaves_the_row_alone(void **unused CV_UNUSED)
{
    fold(2, CASE_QUEUED, 1, 0);
    const struct batch *written = sink_submit(&sink);
    char before[8192];
    struct str state = written->case_rows[0].state;
    assert_true(state.len <= sizeof before);
    memcpy(before, state.ptr, state.len);

    fold(2, CASE_UPDATED, 2, 1);
    fold(2, CASE_CLOSED, 3, 1);
    assert_int_equal(sink.open->changed_cases, 1);
    assert_int_equal(written->case_rows[0].flags, CASE_LISTED);
    assert_ptr_equal(written->case_rows[0].state.ptr, state.ptr);
    assert_int_equal(written->case_rows[0].state.len, state.len);
    assert_memory_equal(written->case_rows[0].state.ptr, before, state.len);

    sink_commit(&sink);
    const struct case_row *next = &sink_submit(&sink)->case_rows[0];
    assert_int_equal(next->rev, 2);
    assert_true(next->was_listed);
    assert_int_equal(next->flags, CASE_OVER);
}

static void test_reset_states_of_two_batches_pinned_until_both_are_gone(void **unused CV_UNUSED)
{
    fold(2, CASE_QUEUED, 1, 0);
    (void)sink_submit(&sink);
    fold(2, CASE_UPDATED, 2, 1);
    fold(3, CASE_QUEUED, 1, 0);
    assert_int_equal(sink_case(&sink, 2)->entry.pins, 2);
    states_set_max(sink.caches.cases, 0);
    states_trim(sink.caches.cases);
    assert_int_equal(states_count(sink.caches.cases), 2);

    size_t with_detached = states_bytes(sink.caches.cases);
    sink_commit(&sink);
    states_set_max(sink.caches.cases, 0); /* gives back what is kept for the next states */
    assert_true(states_bytes(sink.caches.cases) < with_detached);
    assert_int_equal(sink_case(&sink, 2)->entry.pins, 1);
    (void)sink_submit(&sink);
    sink_commit(&sink);
    assert_int_equal(sink_case(&sink, 2)->entry.pins, 0);
    states_trim(sink.caches.cases);
    states_trim(sink.caches.cases);
    assert_int_equal(states_count(sink.caches.cases), 0);
    assert_int_equal(states_bytes(sink.caches.cases), 0);
}

static void test_reset_open_batch_unpins_and_unmarks(void **unused CV_UNUSED)
{
    fold(2, CASE_QUEUED, 1, 0);
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 1).outcome, FOLD_APPLIED);
    batch_reset(sink.open, &sink.caches);
    assert_int_equal(sink.open->changed_cases, 0);
    assert_int_equal(sink.open->changed_agents, 0);
    assert_int_equal(sink_case(&sink, 2)->entry.pins, 0);
    assert_false(sink_case(&sink, 2)->dirty);
    assert_int_equal(sink_agent(&sink, 1, 3)->entry.pins, 0);
    assert_false(sink_agent(&sink, 1, 3)->dirty);
}

/* Rows outlive the states that they came from, when everything is dropped in any order. */
static void test_reset_after_clear_of_detached_rows(void **unused CV_UNUSED)
{
    fold(2, CASE_QUEUED, 1, 0);
    fold(3, CASE_QUEUED, 1, 0);
    (void)sink_submit(&sink);
    fold(2, CASE_UPDATED, 2, 1);
    batch_reset(sink.written, &sink.caches);
    batch_reset(sink.open, &sink.caches);
    states_clear(sink.caches.cases);
    assert_int_equal(states_bytes(sink.caches.cases), 0);
    assert_int_equal(states_count(sink.caches.cases), 0);
}

static void test_add_case_counts_listed_rows_twice(void **unused CV_UNUSED)
{
    fold(2, CASE_QUEUED, 1, 1); /* Waiting */
    size_t one = sink.open->bytes;
    assert_true(one >= sink_case(&sink, 2)->entry.bytes);
    fold(2, CASE_POSITION_CHANGED, 2, 1);
    assert_int_equal(sink.open->bytes, one); /* counted once */
    fold(3, CASE_QUEUED, 1, 0);              /* listed: its body is rendered, too */
    assert_true(sink.open->bytes >= one + sink_case(&sink, 3)->entry.bytes + sink_case(&sink, 3)->blob->len);
}

/* The open batch may wait long for the written one: what its states grow to counts. */
static void test_add_case_growing_state_counts_what_it_takes(void **unused CV_UNUSED)
{
    static char text[200000];
    memset(text, 'x', sizeof text);
    fold(2, CASE_POSITION_CHANGED, 1, 1);
    assert_true(sink.open->bytes < 10000);
    struct case_event event = sample_event(CASE_UPDATED, 2, 1);
    event.given = GROUP_BIT(GROUP_EMAIL);
    event.fields.contact_email = (struct str){text, sizeof text};
    struct state *state = sink_case(&sink, 2);
    assert_int_equal(case_fold(sink.caches.cases, state, CASE_PART, &event, &sink.scratch, sink.open).outcome,
                     FOLD_APPLIED);
    assert_true(sink.open->bytes >= sizeof text);
    fold(2, CASE_QUEUED, 3, 0); /* listed, with short texts again */
    assert_in_range(sink.open->bytes, state->entry.bytes + state->blob->len, 10000);
    fold(2, CASE_MOVED, 4, 0);
    (void)sink_submit(&sink);
    assert_int_equal(sink.open->bytes, 0);
    sink_commit(&sink);
    fold(2, CASE_POSITION_CHANGED, 5, 0);
    assert_in_range(sink.open->bytes, state->entry.bytes, 10000); /* counted from the start again */
}

static void test_add_agent_and_entity_growing_counts_what_they_take(void **unused CV_UNUSED)
{
    static struct uuid workspaces[1000];
    for (unsigned i = 0; i < ARRAY_LEN(workspaces); i++)
        workspaces[i] = sample_uuid(i);
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 1).outcome, FOLD_APPLIED);
    const struct agent_event event = {.type = AGENT_WORKSPACES_SELECTED,
                                      .organization_id = sample_uuid(1),
                                      .user_id = sample_uuid(3),
                                      .sequence = 2,
                                      .unit_id = sample_uuid(300),
                                      .workspace_ids = workspaces,
                                      .workspace_count = ARRAY_LEN(workspaces)};
    assert_int_equal(
        agent_fold(sink.caches.agents, sink_agent(&sink, 1, 3), AGENT_PART, &event, &sink.scratch, sink.open).outcome,
        FOLD_APPLIED);
    assert_true(sink.open->bytes >= sizeof workspaces);
    batch_reset(sink.open, &sink.caches);

    static char text[100000];
    memset(text, 'x', sizeof text);
    struct directory_event small = sink_directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 1), large = small;
    large.version = 2;
    large.fields.name = (struct str){text, sizeof text};
    assert_int_equal(sink_fold_entity(&sink, &small).outcome, FOLD_APPLIED);
    assert_int_equal(sink_fold_entity(&sink, &large).outcome, FOLD_APPLIED);
    assert_true(sink.open->bytes >= sizeof text);
}

static void test_add_foreign_kept_until_reset(void **unused CV_UNUSED)
{
    struct uuid organization = sample_uuid(1), case_id = sample_uuid(2);
    for (int i = 0; i < 100; i++)
        batch_add_foreign(sink.open, &organization, &case_id);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->foreign_count, 100);
    assert_true(uuid_eq(&batch->foreign[99].organization_id, &organization));
    assert_true(uuid_eq(&batch->foreign[99].case_id, &case_id));
    sink_commit(&sink);
    assert_int_equal(batch->foreign_count, 0);
}

/* ---- agents ---- */

static void test_close_agents_rows_in_key_order(void **unused CV_UNUSED)
{
    enum { AGENTS = 100 };
    for (unsigned i = 0; i < AGENTS; i++)
        assert_int_equal(sink_fold_agent(&sink, 7919 * i % 100000, AGENT_WORKSPACES_SELECTED, 1).outcome, FOLD_APPLIED);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->agent_count, AGENTS);
    struct uuid organization = sample_uuid(1);
    for (size_t i = 0; i < AGENTS; i++) {
        const struct agent_row *row = &batch->agent_rows[i];
        if (i > 0)
            assert_true(uuid_cmp(&batch->agent_rows[i - 1].user_id, &row->user_id) < 0);
        assert_true(uuid_eq(&row->organization_id, &organization));
        assert_int_equal(row->rev, 1);
        assert_int_equal(row->part, AGENT_PART);
        assert_str_equal(row->state, state_blob(row->entry));
    }
    assert_int_equal(sink_fold_agent(&sink, 0, AGENT_CURRENT_UNIT_SELECTED, 2).outcome, FOLD_APPLIED);
    sink_commit(&sink);
    batch = sink_submit(&sink);
    assert_int_equal(batch->agent_count, 1);
    assert_int_equal(batch->agent_rows[0].rev, 2);
}

/* ---- parked records and cursors ---- */

static void test_park_record_copied(void **unused CV_UNUSED)
{
    char key[] = "key", value[] = "value", headers[] = "[]", text[] = "why";
    struct uuid organization = sample_uuid(1);
    struct record record = {.topic = TOPIC_AGENTS,
                            .partition = 4,
                            .offset = 99,
                            .timestamp_ms = 1712834018008,
                            .key = str_of(key),
                            .value = str_of(value)};
    batch_park(sink.open, &record, STR("agent-events"), str_of(headers), &organization, PARK_BAD_RANK, text);
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    memset(headers, 'x', 2);
    memset(text, 'x', 3);
    const struct batch_parked *row = &sink.open->parked[0];
    assert_int_equal(sink.open->parked_count, 1);
    assert_int_equal(row->topic, TOPIC_AGENTS);
    assert_str_equal(row->topic_name, STR("agent-events"));
    assert_int_equal(row->part, 4);
    assert_int_equal(row->offset, 99);
    assert_str_equal(row->key, STR("key"));
    assert_str_equal(row->value, STR("value"));
    assert_str_equal(row->headers, STR("[]"));
    assert_str_equal(row->text, STR("why"));
    assert_str_equal(row->reason_name, STR("bad-rank"));
    assert_int_equal(row->reason, PARK_BAD_RANK);
    assert_true(row->has_organization);
    assert_true(uuid_eq(&row->organization_id, &organization));
    assert_int_equal(row->record_us, INT64_C(1712834018008000));
    assert_true(sink.open->bytes >= 3 + 5 + 2);
}

static void test_park_nulls_stay_null(void **unused CV_UNUSED)
{
    const struct record record = {.timestamp_ms = -1};
    batch_park(sink.open, &record, STR("t"), STR_NULL, NULL, PARK_MISSING_KEY, "no key");
    const struct batch_parked *row = &sink.open->parked[0];
    assert_null(row->key.ptr);
    assert_null(row->value.ptr);
    assert_null(row->headers.ptr);
    assert_false(row->has_organization);
    assert_int_equal(row->record_us, INT64_MIN);
}

static void test_park_time_beyond_the_calendar_not_kept(void **unused CV_UNUSED)
{
    static const struct {
        int64_t ms, us;
    } times[] = {
        {INT64_MIN, INT64_MIN},
        {-1, INT64_MIN},
        {0, 0},
        {CLOCK_MAX_US / 1000, CLOCK_MAX_US / 1000 * 1000},
        {CLOCK_MAX_US / 1000 + 1, INT64_MIN},
        {INT64_MAX, INT64_MIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        const struct record record = {.timestamp_ms = times[i].ms};
        batch_park(sink.open, &record, STR("t"), STR_NULL, NULL, PARK_NOT_AVRO, "");
        assert_int_equal(sink.open->parked[i].record_us, times[i].us);
    }
}

static void test_cursors_found_and_sorted_by_the_closing(void **unused CV_UNUSED)
{
    static const enum topic topics[] = {TOPIC_DIRECTORY, TOPIC_CASES, TOPIC_AGENTS};
    assert_true(batch_is_empty(sink.open));
    for (int32_t i = 0; i < 300; i++) {
        const struct batch_cursor cursor = {.topic = topics[i % 3], .part = 7919 * i % 1000, .old_offset = i};
        assert_null(sink_find_cursor(sink.open, cursor.topic, cursor.part));
        assert_int_equal(batch_add_cursor(sink.open, &cursor), i);
    }
    assert_false(batch_is_empty(sink.open));
    assert_true(sink.open->opened_at_us > 0);
    for (int32_t i = 0; i < 300; i++) {
        const struct batch_cursor *cursor = sink_find_cursor(sink.open, topics[i % 3], 7919 * i % 1000);
        assert_non_null(cursor);
        assert_int_equal(cursor->old_offset, i);
    }
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->cursor_count, 300);
    for (size_t i = 1; i < 300; i++) {
        const struct batch_cursor *a = &batch->cursors[i - 1], *b = &batch->cursors[i];
        assert_true(a->topic < b->topic || (a->topic == b->topic && a->part < b->part));
    }
    sink_commit(&sink);
    assert_true(batch_is_empty(batch));
}

static void test_count_record_oldest_time(void **unused CV_UNUSED)
{
    /* 1970, seconds and microseconds taken for milliseconds: none is a time */
    static const int64_t times[] = {
        1712834015000,    1712834013000,   -1,       1712834014000, 0, 1, 1293839999999, 1712834013,
        1712834013000000, 253402300800000, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        batch_count_record(sink.open, &(struct record){.timestamp_ms = times[i]});
    assert_int_equal(sink.open->record_count, 11);
    assert_int_equal(sink.open->undated_count, 7);
    assert_int_equal(sink.open->oldest_record_ms, 1712834013000);
}

static void test_reset_closed_batch_is_as_new(void **unused CV_UNUSED)
{
    const struct record record = {.timestamp_ms = 1, .value = STR("x")};
    fold(2, CASE_QUEUED, 1, 0);
    struct directory_event unit = sink_directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 1);
    assert_int_equal(sink_fold_entity(&sink, &unit).outcome, FOLD_APPLIED);
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_CLEARED, 1).outcome, FOLD_APPLIED);
    batch_park(sink.open, &record, STR("t"), STR_NULL, NULL, PARK_NOT_AVRO, "");
    batch_count_record(sink.open, &record);
    batch_add_cursor(sink.open, &(struct batch_cursor){.part = 1});
    sink.open->counts.applied = 3;
    const struct batch *batch = sink_submit(&sink);
    sink_commit(&sink);
    assert_true(batch_is_empty(batch));
    assert_false(batch->closed);
    assert_int_equal(batch->case_count + batch->agent_count + batch->entity_count + batch->version_count, 0);
    assert_int_equal(batch->parked_count + batch->record_count + batch->undated_count + batch->bytes, 0);
    assert_int_equal(batch->counts.applied, 0);
    assert_int_equal(batch->opened_at_us, 0);
    assert_int_equal(batch->oldest_record_ms, INT64_MAX);
    assert_int_equal(arena_used(batch->raw) + arena_used(batch->rows), 0);

    fold(2, CASE_UPDATED, 2, 1); /* and is filled again */
    (void)sink_submit(&sink);
    sink_commit(&sink);
    fold(2, CASE_UPDATED, 3, 2);
    assert_int_equal(row_of(sink_submit(&sink), 2)->rev, 3);
}

static void test_record_crc_tells_records_apart(void **unused CV_UNUSED)
{
    static const struct record records[] = {
        {.key = {"k", 1}, .value = {"v", 1}},  {.key = {"k", 1}, .value = {"w", 1}},
        {.key = {"j", 1}, .value = {"v", 1}},  {.key = {"k", 1}, .value = {"", 0}},
        {.key = {"k", 1}, .value = {NULL, 0}}, {.key = {"kv", 2}, .value = {"", 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        assert_int_equal(batch_record_crc(&records[i]), batch_record_crc(&records[i]));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(batch_record_crc(&records[i]), batch_record_crc(&records[j]));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_close_cases_rows_in_key_order),
        TEST(test_close_cases_without_a_row_before_the_others),
        TEST(test_close_case_folded_often_one_row),
        TEST(test_close_case_revisions_and_was_listed),
        TEST(test_fold_after_close_leaves_the_row_alone),
        TEST(test_reset_states_of_two_batches_pinned_until_both_are_gone),
        TEST(test_reset_open_batch_unpins_and_unmarks),
        TEST(test_reset_after_clear_of_detached_rows),
        TEST(test_add_case_counts_listed_rows_twice),
        TEST(test_add_case_growing_state_counts_what_it_takes),
        TEST(test_add_agent_and_entity_growing_counts_what_they_take),
        TEST(test_add_foreign_kept_until_reset),
        TEST(test_close_agents_rows_in_key_order),
        TEST(test_park_record_copied),
        TEST(test_park_nulls_stay_null),
        TEST(test_park_time_beyond_the_calendar_not_kept),
        TEST(test_cursors_found_and_sorted_by_the_closing),
        TEST(test_count_record_oldest_time),
        TEST(test_reset_closed_batch_is_as_new),
        TEST(test_record_crc_tells_records_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
