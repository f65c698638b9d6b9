/* One case event into a cached state: what changes, what is refused, and that a refusal changes nothing. */
#include "workers/sink/folds.h"

#include "tests/unit/sink/sink_fixture.h"
#include "workers/sink/folder.h"

static struct sink sink;
static char long_text[CASE_STATE_MAX];

static int set_up(void **unused CV_UNUSED)
{
    sink_open(&sink);
    memset(long_text, 'x', sizeof long_text);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    sink_close(&sink);
    return 0;
}

static struct fold_result fold(const struct case_event *event)
{
    struct state *state = states_get(sink.caches.cases, &event->case_id);
    state->loaded = true;
    return case_fold(sink.caches.cases, state, CASE_PART, event, &sink.scratch, sink.open);
}

/* What a fold from scratch would store. */
static void expect_stored(const struct state *state, const struct case_event *events, size_t count)
{
    struct case_state expected;
    struct buf stored;
    buf_init(&stored, CASE_STATE_MAX * 2);
    case_init(&expected, &events[0].organization_id);
    for (size_t i = 0; i < count; i++)
        (void)case_apply(&expected, &events[i]);
    case_store(&expected, &stored);
    assert_str_equal(state_blob(state), ((struct str){stored.data, stored.len}));
    buf_done(&stored);
}

static void test_fold_first_event_makes_the_state(void **unused CV_UNUSED)
{
    struct case_event event = sample_event(CASE_QUEUED, 1, 0);
    struct fold_result result = fold(&event);
    struct state *state = sink_case(&sink, 2);
    assert_int_equal(result.reason, PARK_NONE);
    assert_int_equal(result.outcome, FOLD_APPLIED);
    assert_true(state->dirty);
    assert_int_equal(state->flags, CASE_LISTED);
    assert_int_equal(state->part, CASE_PART);
    assert_int_equal(state->rev, 0); /* the closing makes it 1 */
    assert_int_equal(sink.open->changed_cases, 1);
    expect_stored(state, &event, 1);
}

static void test_fold_flags_follow_the_state(void **unused CV_UNUSED)
{
    static const struct {
        enum case_event_type type;
        int64_t sequence;
        int16_t flags;
    } steps[] = {
        {CASE_POSITION_CHANGED, 3, CASE_INCOMPLETE},
        {CASE_QUEUED, 1, CASE_LISTED | CASE_DEGRADED}, /* 2 is missing */
        {CASE_POSITION_CHANGED, 2, CASE_LISTED},
        {CASE_RESOLVED, 4, 0},
        {CASE_CLOSED, 9, CASE_OVER},
    };
    struct case_event events[ARRAY_LEN(steps)];
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        events[i] = sample_event(steps[i].type, steps[i].sequence, 0);
        assert_int_equal(fold(&events[i]).outcome, FOLD_APPLIED);
        assert_int_equal(sink_case(&sink, 2)->flags, steps[i].flags);
        expect_stored(sink_case(&sink, 2), events, i + 1);
    }
}

static void test_fold_duplicate_is_not_part_of_the_batch(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_case(&sink, 2, CASE_QUEUED, 1, 0).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    const struct blob *blob = sink_case(&sink, 2)->blob;
    struct fold_result result = sink_fold_case(&sink, 2, CASE_QUEUED, 1, 0);
    assert_int_equal(result.reason, PARK_NONE);
    assert_int_equal(result.outcome, FOLD_DUPLICATE);
    assert_int_equal(sink.open->changed_cases, 0);
    assert_ptr_equal(sink_case(&sink, 2)->blob, blob);
}

static void test_fold_over_is_not_part_of_the_batch(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_case(&sink, 2, CASE_CLOSED, 5, 0).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    assert_int_equal(sink_fold_case(&sink, 2, CASE_QUEUED, 6, 0).outcome, FOLD_OVER);
    assert_int_equal(sink.open->changed_cases, 0);
    assert_int_equal(sink_case(&sink, 2)->flags, CASE_OVER);
}

static void test_fold_unknown_type_counts_as_seen(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_case(&sink, 2, CASE_UNKNOWN_TYPE, 1, 0).outcome, FOLD_UNKNOWN_TYPE);
    assert_int_equal(sink.open->changed_cases, 1);
    assert_int_equal(sink_fold_case(&sink, 2, CASE_UNKNOWN_TYPE, 1, 0).outcome, FOLD_DUPLICATE);
}

/* Nothing that a row or a later fold sees may differ after a refusal. */
static void expect_refused(const struct case_event *event, enum park_reason reason, size_t changed)
{
    struct state *state = states_get(sink.caches.cases, &event->case_id);
    const struct state before = *state;
    struct fold_result result = fold(event);
    assert_int_equal(result.reason, reason);
    assert_non_null(result.text);
    assert_ptr_equal(state->blob, before.blob);
    assert_int_equal(state->flags, before.flags);
    assert_int_equal(state->part, before.part);
    assert_int_equal(state->dirty, before.dirty);
    assert_int_equal(sink.open->changed_cases, changed);
}

static void test_fold_another_organization_key_mismatch(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_case(&sink, 2, CASE_QUEUED, 1, 0).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    struct case_event event = sample_event(CASE_CLOSED, 2, 0);
    event.organization_id = sample_uuid(10);
    expect_refused(&event, PARK_KEY_MISMATCH, 0);
    assert_int_equal(sink_fold_case(&sink, 2, CASE_CLOSED, 2, 0).outcome, FOLD_APPLIED);
    event.sequence = 3; /* the organization of a case that is over is still known */
    expect_refused(&event, PARK_KEY_MISMATCH, 1);
}

static struct case_event long_event(int64_t sequence, uint32_t given, size_t len)
{
    struct case_event event = sample_event(CASE_UPDATED, sequence, 1);
    event.given = given;
    event.fields.channel = event.fields.contact_email = event.fields.contact_phone_number = (struct str){long_text,
                                                                                                         len};
    return event;
}

static void test_fold_too_large_state_refused(void **unused CV_UNUSED)
{
    struct case_event first = long_event(1, GROUP_BIT(GROUP_CHANNEL), 150000);
    assert_int_equal(fold(&first).outcome, FOLD_APPLIED);
    struct case_event second = long_event(2, GROUP_BIT(GROUP_EMAIL), 150000);
    expect_refused(&second, PARK_TOO_LARGE, 1);
    /* The case goes on without it. */
    struct case_event third = long_event(3, GROUP_BIT(GROUP_CHANNEL), 10);
    assert_int_equal(fold(&third).outcome, FOLD_APPLIED);
    assert_int_equal(fold(&second).outcome, FOLD_APPLIED); /* now it fits */
    expect_stored(sink_case(&sink, 2), (struct case_event[]){first, third, second}, 3);
}

static void test_fold_too_large_first_event_leaves_no_state(void **unused CV_UNUSED)
{
    struct case_event event = long_event(1, GROUP_BIT(GROUP_CHANNEL) | GROUP_BIT(GROUP_EMAIL), 150000);
    expect_refused(&event, PARK_TOO_LARGE, 0);
    assert_null(sink_case(&sink, 2)->blob);
}

/* The largest state that fits is stored whole, one byte more is refused. */
static void test_fold_state_of_exactly_the_ceiling(void **unused CV_UNUSED)
{
    struct case_event event = long_event(1, GROUP_BIT(GROUP_CHANNEL), 200000);
    assert_int_equal(fold(&event).outcome, FOLD_APPLIED);
    size_t besides = sink_case(&sink, 2)->blob->len - 200000;
    event = long_event(2, GROUP_BIT(GROUP_CHANNEL), CASE_STATE_MAX - besides);
    assert_int_equal(fold(&event).outcome, FOLD_APPLIED);
    assert_int_equal(sink_case(&sink, 2)->blob->len, CASE_STATE_MAX);
    event = long_event(3, GROUP_BIT(GROUP_CHANNEL), CASE_STATE_MAX - besides + 1);
    expect_refused(&event, PARK_TOO_LARGE, 1);
}

static void test_fold_stored_state_of_another_version_refused(void **unused CV_UNUSED)
{
    struct state *state = sink_case(&sink, 2);
    states_set(sink.caches.cases, state, STR("\xff what a newer version wrote"));
    struct case_event event = sample_event(CASE_QUEUED, 1, 0);
    expect_refused(&event, PARK_REFUSED_BY_DATABASE, 0);
    assert_str_equal(state_blob(state), STR("\xff what a newer version wrote"));
}

static void test_replace_same_organization_keeps_revision(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_case(&sink, 2, CASE_QUEUED, 4, 0).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    sink_commit(&sink);
    struct state *state = sink_case(&sink, 2);
    struct uuid organization = sample_uuid(1);
    case_fold_replace(sink.caches.cases, state, &organization, sink.open);
    assert_null(state->blob);
    assert_int_equal(sink.open->foreign_count, 0);
    struct case_event event = sample_event(CASE_POSITION_CHANGED, 1, 1);
    assert_int_equal(fold(&event).outcome, FOLD_APPLIED);
    expect_stored(state, &event, 1);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->case_rows[0].rev, 2);
    assert_int_equal(batch->case_rows[0].flags, CASE_INCOMPLETE);
    assert_true(
        batch->case_rows[0].was_listed); /* its row of active_case goes, even if the flags say that there is none */
}

static void test_replace_another_organization_its_listed_row_goes(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_case(&sink, 2, CASE_QUEUED, 4, 0).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    sink_commit(&sink);
    struct uuid former = sample_uuid(1), owner = sample_uuid(10), case_id = sample_uuid(2);
    case_fold_replace(sink.caches.cases, sink_case(&sink, 2), &owner, sink.open);
    assert_int_equal(sink.open->foreign_count, 1);
    assert_true(uuid_eq(&sink.open->foreign[0].organization_id, &former));
    assert_true(uuid_eq(&sink.open->foreign[0].case_id, &case_id));
    struct case_event event = sample_event(CASE_QUEUED, 1, 0);
    event.organization_id = owner;
    assert_int_equal(fold(&event).outcome, FOLD_APPLIED);
    expect_stored(sink_case(&sink, 2), &event, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fold_first_event_makes_the_state),
        TEST(test_fold_flags_follow_the_state),
        TEST(test_fold_duplicate_is_not_part_of_the_batch),
        TEST(test_fold_over_is_not_part_of_the_batch),
        TEST(test_fold_unknown_type_counts_as_seen),
        TEST(test_fold_another_organization_key_mismatch),
        TEST(test_fold_too_large_state_refused),
        TEST(test_fold_too_large_first_event_leaves_no_state),
        TEST(test_fold_state_of_exactly_the_ceiling),
        TEST(test_fold_stored_state_of_another_version_refused),
        TEST(test_replace_same_organization_keeps_revision),
        TEST(test_replace_another_organization_its_listed_row_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
