/*
 * Random histories of batches over cached cases: events are folded while the batch before is written, batches are
 * committed or everything is dropped, states are evicted and read again. A model keeps the events of each case and what
 * a table would hold. Every row must follow the one that the table has, equal a fold from scratch of the events that it
 * covers, and stay as it is until its batch is committed.
 */
#include "tests/support/naive_fold.h"
#include "tests/support/random.h"
#include "tests/unit/sink/sink_fixture.h"
#include "workers/sink/folder.h"

#define CASES      12
#define EVENTS_MAX 60
#define HISTORIES  400
#define STEPS      400

/* A row of case_state, and whether active_case has one. */
struct stored {
    int32_t rev; /* 0: none */
    int16_t flags;
    bool listed;
    struct buf state;
};

struct model_case {
    struct case_event events[EVENTS_MAX]; /* folded, committed or not, in order of arrival */
    size_t count, closed, committed;      /* how many of them are in the table, a closed batch included */
    bool changed;                         /* part of the open batch */
    struct stored table;
    struct stored written; /* its row in the batch being written; rev 0: none */
};

struct model {
    struct model_case cases[CASES];
    bool writing;
};

static struct sink sink;
static struct model model;
static char long_text[150000];

static unsigned number_of(size_t i)
{
    return 1000 + (unsigned)(i * 7919);
}

/* Reads a state as folder_load() would: what is written counts as in the table, since its state is pinned. */
static struct state *load(size_t i)
{
    struct uuid case_id = sample_uuid(number_of(i));
    struct state *state = states_get(sink.caches.cases, &case_id);
    const struct stored *table = &model.cases[i].table;
    if (state->loaded)
        return state;
    assert_int_equal(model.cases[i].written.rev, 0);
    assert_false(model.cases[i].changed);
    state->loaded = true;
    state->rev = table->rev;
    state->part = CASE_PART;
    state->flags = table->flags;
    state->listed = (table->flags & CASE_LISTED) != 0;
    if (table->rev > 0)
        states_set(sink.caches.cases, state, (struct str){table->state.data, table->state.len});
    return state;
}

static struct case_event random_event(struct random *random, size_t i)
{
    struct case_event event = sample_event((enum case_event_type)random_below(random, CASE_EVENT_TYPE_COUNT),
                                           1 + random_below(random, 40), random_below(random, 4));
    event.case_id = sample_uuid(number_of(i));
    if (random_chance(random, 5))
        event.organization_id = sample_uuid(10);
    if (event.type == CASE_UPDATED) {
        event.given = random_chance(random, 50) ? GROUP_BIT(GROUP_EMAIL) : GROUP_BIT(GROUP_CHANNEL);
        if (random_chance(random, 30)) /* two of these together are above the ceiling */
            event.fields.contact_email = event.fields.channel = (struct str){long_text, sizeof long_text};
    }
    /* An end of the case ends the test of it: rare. */
    if ((event.type == CASE_CLOSED || event.type == CASE_APPOINTMENT_CANCELLED || event.type == CASE_QUEUE_ABANDONED) &&
        random_chance(random, 90))
        event.type = CASE_MOVED;
    return event;
}

static void fold_random_event(struct random *random)
{
    size_t i = random_below(random, CASES);
    struct model_case *known = &model.cases[i];
    struct case_event event = random_event(random, i);
    if (known->count == EVENTS_MAX)
        return;
    struct fold_result result = case_fold(sink.caches.cases, load(i), CASE_PART, &event, &sink.scratch, sink.open);
    if (result.reason != PARK_NONE) {
        assert_true(result.reason == PARK_KEY_MISMATCH || result.reason == PARK_TOO_LARGE);
        return;
    }
    if (result.outcome != FOLD_APPLIED && result.outcome != FOLD_UNKNOWN_TYPE)
        return;
    known->events[known->count++] = event;
    known->changed = true;
}

/* A row that is made again since the directory changed. */
static void rerender_random_case(struct random *random)
{
    size_t i = random_below(random, CASES);
    struct state *state = load(i);
    if (state->blob == NULL || (state->flags & CASE_LISTED) == 0)
        return;
    batch_add_case(sink.open, state, true);
    model.cases[i].changed = true;
}

/* The naive fold stops at nothing: what it says is listed has to be what the row says. */
static void expect_naive(const struct model_case *known, const struct case_row *row)
{
    struct naive_case naive = naive_case_fold(&known->events[0].organization_id, known->events, known->count);
    assert_int_equal((row->flags & CASE_LISTED) != 0, naive.listed);
    assert_int_equal((row->flags & CASE_OVER) != 0, naive.over);
}

static void expect_row(struct model_case *known, const struct case_row *row)
{
    struct case_state folded;
    struct stored *written = &known->written;
    assert_int_equal(row->rev, known->table.rev + 1);
    assert_int_equal(row->was_listed, known->table.listed);
    assert_int_equal(row->part, CASE_PART);
    buf_reset(&written->state);
    case_init(&folded, &known->events[0].organization_id);
    for (size_t i = 0; i < known->count; i++)
        (void)case_apply(&folded, &known->events[i]);
    case_store(&folded, &written->state);
    assert_str_equal(row->state, ((struct str){written->state.data, written->state.len}));
    assert_int_equal(row->flags, case_row_flags(&folded));
    assert_true(row->state.len <= CASE_STATE_MAX);
    expect_naive(known, row);
    written->rev = row->rev;
    written->flags = row->flags;
    known->closed = known->count;
}

static void submit(void)
{
    size_t changed = 0, rows = 0;
    if (model.writing)
        return;
    const struct batch *batch = sink_submit(&sink);
    model.writing = true;
    for (size_t i = 0; i < CASES; i++) {
        struct uuid case_id = sample_uuid(number_of(i));
        changed += model.cases[i].changed;
        for (size_t j = 0; j < batch->case_count; j++) {
            if (!uuid_eq(&batch->case_rows[j].case_id, &case_id))
                continue;
            assert_true(model.cases[i].changed);
            expect_row(&model.cases[i], &batch->case_rows[j]);
            rows++;
        }
        model.cases[i].changed = false;
    }
    assert_int_equal(batch->case_count, changed);
    assert_int_equal(rows, changed);
}

/* The rows are as they were when the batch was closed. */
static void commit(void)
{
    if (!model.writing)
        return;
    for (size_t i = 0; i < CASES; i++) {
        struct model_case *known = &model.cases[i];
        struct uuid case_id = sample_uuid(number_of(i));
        if (known->written.rev == 0)
            continue;
        for (size_t j = 0; j < sink.written->case_count; j++)
            if (uuid_eq(&sink.written->case_rows[j].case_id, &case_id))
                assert_str_equal(sink.written->case_rows[j].state,
                                 ((struct str){known->written.state.data, known->written.state.len}));
        buf_reset(&known->table.state);
        buf_append(&known->table.state, known->written.state.data, known->written.state.len);
        known->table.rev = known->written.rev;
        known->table.flags = known->written.flags;
        known->table.listed = (known->written.flags & CASE_LISTED) != 0;
        known->committed = known->closed;
        known->written.rev = 0;
    }
    sink_commit(&sink);
    model.writing = false;
}

/* As pipeline_drop(): both batches, then all states. The events come again from the cursor. */
static void drop(void)
{
    batch_reset(sink.written, &sink.caches);
    batch_reset(sink.open, &sink.caches);
    states_clear(sink.caches.cases);
    assert_int_equal(states_bytes(sink.caches.cases), 0);
    model.writing = false;
    for (size_t i = 0; i < CASES; i++) {
        model.cases[i].count = model.cases[i].closed = model.cases[i].committed;
        model.cases[i].changed = false;
        model.cases[i].written.rev = 0;
    }
}

static void trim(void)
{
    states_set_max(sink.caches.cases, 0);
    states_trim(sink.caches.cases);
    states_set_max(sink.caches.cases, SIZE_MAX);
}

static void run_history(struct random *random)
{
    model.writing = false;
    for (size_t i = 0; i < CASES; i++) {
        model.cases[i] = (struct model_case){.count = 0};
        buf_init(&model.cases[i].table.state, CASE_STATE_MAX);
        buf_init(&model.cases[i].written.state, CASE_STATE_MAX);
    }
    sink_open(&sink);
    for (int step = 0; step < STEPS; step++) {
        unsigned what = random_below(random, 100);
        if (what < 70)
            fold_random_event(random);
        else if (what < 76)
            rerender_random_case(random);
        else if (what < 86)
            submit();
        else if (what < 95)
            commit();
        else if (what < 98)
            trim();
        else
            drop();
    }
    commit();
    submit();
    commit();
    for (size_t i = 0; i < CASES; i++)
        assert_int_equal(load(i)->entry.pins, 0);
    trim();
    trim();
    assert_int_equal(states_bytes(sink.caches.cases), 0);
    sink_close(&sink);
    for (size_t i = 0; i < CASES; i++) {
        buf_done(&model.cases[i].table.state);
        buf_done(&model.cases[i].written.state);
    }
}

static void test_random_histories_rows_equal_the_model(void **unused CV_UNUSED)
{
    struct random random = random_start("test_batch_random");
    memset(long_text, 'x', sizeof long_text);
    for (int i = 0; i < HISTORIES; i++)
        run_history(&random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_histories_rows_equal_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
