#include "workers/ops/history_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/sample_case.h"

/* Returns the fields that a comparison reported, separated by blanks. */
static char reported[1000];

static void report(void *context, const char *field, struct str row, struct str log)
{
    assert_null(context);
    assert_non_null(row.ptr);
    assert_non_null(log.ptr);
    size_t used = strlen(reported);
    snprintf(reported + used, sizeof reported - used, "%s%s", used ? ", " : "", field);
}

static const struct difference_sink sink = {report, NULL};
static struct buf blob;

static struct case_state case_of(const int64_t *sequences, size_t count, unsigned variant)
{
    struct uuid organization_id = sample_uuid(1);
    struct case_state state;
    case_init(&state, &organization_id);
    for (size_t i = 0; i < count; i++) {
        struct case_event event = sample_event(i == 0 ? CASE_QUEUED : CASE_POSITION_CHANGED, sequences[i], variant);
        assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    }
    return state;
}

static struct stored_case row_of(const struct case_state *state)
{
    buf_reset(&blob);
    case_store(state, &blob);
    return (struct stored_case){
        .rev = 3,
        .part = 2,
        .flags = case_row_flags(state),
        .has_degraded_at = case_is_degraded(state),
        .has_over_at = state->over,
        .state = {blob.data, blob.len},
    };
}

static const int64_t two[] = {1, 2}, gap[] = {1, 3}, three[] = {1, 2, 3};

static void test_compare_case_equal_reports_nothing(void **state CV_UNUSED)
{
    struct case_state history = case_of(gap, 2, 0);
    struct stored_case row = row_of(&history);
    const struct history_knowledge knowledge = {part_bit(2), false};
    reported[0] = '\0';
    assert_false(compare_case(&row, &history, &knowledge, &sink));
    compare_case_columns(&row, &history, &sink);
    assert_string_equal(reported, "");
}

static void test_compare_case_row_behind_and_row_ahead(void **state CV_UNUSED)
{
    struct case_state older = case_of(two, 2, 0), newer = case_of(three, 3, 0);
    const struct history_knowledge whole = {part_bit(2), false}, part = {part_bit(2), true};
    static const char groups[] = "case_state.state rank, case_state.state caseTimestamp";
    struct stored_case row = row_of(&older);
    reported[0] = '\0';
    assert_false(compare_case(&row, &newer, &whole, &sink));
    assert_string_equal(reported, groups);
    /* A row without an event of the retained log is wrong in any case. */
    reported[0] = '\0';
    assert_false(compare_case(&row, &newer, &part, &sink));
    assert_string_equal(reported, groups);
    row = row_of(&newer);
    reported[0] = '\0';
    assert_false(compare_case(&row, &older, &whole, &sink));
    assert_string_equal(reported, groups);
    /* If the history cannot tell, the outcome is unknown and not a difference. */
    reported[0] = '\0';
    assert_true(compare_case(&row, &older, &part, &sink));
    assert_string_equal(reported, "");
}

static void test_compare_case_sequence_and_other_values(void **state CV_UNUSED)
{
    struct case_state with_gap = case_of(gap, 2, 0), whole = case_of(three, 3, 0), other = case_of(gap, 2, 1);
    const struct history_knowledge knowledge = {part_bit(2), false};
    struct stored_case row = row_of(&with_gap);
    reported[0] = '\0';
    assert_false(compare_case(&row, &whole, &knowledge, &sink));
    assert_string_equal(reported, "case_state.state sequence");
    reported[0] = '\0';
    assert_false(compare_case(&row, &other, &knowledge, &sink));
    assert_non_null(strstr(reported, "case_state.state status, "));
    assert_non_null(strstr(reported, "case_state.state rest"));
}

static void test_compare_case_over(void **state CV_UNUSED)
{
    struct case_state open = case_of(two, 2, 0), over = open;
    struct case_event closed = sample_event(CASE_CLOSED, 3, 0);
    const struct history_knowledge whole = {part_bit(2), false}, part = {part_bit(2), true};
    assert_int_equal(case_apply(&over, &closed), FOLD_APPLIED);
    struct stored_case row = row_of(&over);
    reported[0] = '\0';
    assert_false(compare_case(&row, &open, &whole, &sink));
    assert_string_equal(reported, "case_state.state over");
    reported[0] = '\0';
    assert_true(compare_case(&row, &open, &part, &sink));
    row = row_of(&open);
    assert_string_equal(reported, "");
    assert_false(compare_case(&row, &over, &part, &sink));
    assert_string_equal(reported, "case_state.state over");
}

static void test_compare_case_part_and_unreadable_state(void **state CV_UNUSED)
{
    struct case_state history = case_of(two, 2, 0);
    struct stored_case row = row_of(&history);
    const struct history_knowledge elsewhere = {part_bit(1), false}, part = {part_bit(1), true};
    reported[0] = '\0';
    assert_false(compare_case(&row, &history, &elsewhere, &sink));
    assert_string_equal(reported, "case_state.part");
    reported[0] = '\0';
    assert_false(compare_case(&row, &history, &part, &sink));
    assert_string_equal(reported, "");
    row.state = STR("x");
    assert_false(compare_case(&row, &history, &elsewhere, &sink));
    assert_string_equal(reported, "case_state.state");
}

static void test_part_bit_high_partitions_share_one(void **state CV_UNUSED)
{
    assert_int_equal(part_bit(0), 1);
    assert_int_equal(part_bit(62), UINT64_C(1) << 62);
    assert_int_equal(part_bit(63), part_bit(1000));
}

static void test_compare_case_columns_each(void **state CV_UNUSED)
{
    struct case_state history = case_of(gap, 2, 0);
    struct stored_case row = row_of(&history);
    row.rev = 0;
    row.flags ^= CASE_OVER;
    row.has_degraded_at = false;
    row.has_over_at = true;
    reported[0] = '\0';
    compare_case_columns(&row, &history, &sink);
    assert_string_equal(reported, "case_state.flags, case_state.degraded_at, case_state.over_at, case_state.rev");
}

static void test_compare_listed_each_column_and_the_body_only_when_asked(void **state CV_UNUSED)
{
    struct case_state history = case_of(two, 2, 0);
    const struct case_fields *fields = &history.fields;
    struct listed_row expected;
    listed_row_init(&expected);
    buf_puts(&expected.refs, "12345678");
    buf_puts(&expected.body, "{}");
    expected.customer_ref = 7;
    const struct stored_listed right = {
        .organization_id = history.organization_id,
        .user_id = fields->locked_by.id,
        .unit_id = fields->unit.id,
        .status_date = fields->status_date,
        .case_timestamp = fields->case_timestamp,
        .part = 2,
        .customer_ref = 7,
        .refs = STR("12345678"),
        .body = STR("{}"),
    };
    reported[0] = '\0';
    compare_listed(&right, &history, &expected, 2, true, &sink);
    assert_string_equal(reported, "");
    struct stored_listed wrong = {.organization_id = sample_uuid(9),
                                  .user_id = sample_uuid(9),
                                  .unit_id = sample_uuid(9),
                                  .status_date = INT64_MAX,
                                  .case_timestamp = 1,
                                  .degraded = true,
                                  .part = 3,
                                  .refs = STR("1234567x"),
                                  .body = STR("{ }")};
    compare_listed(&wrong, &history, &expected, 2, false, &sink);
    assert_string_equal(reported, "active_case.organization_id, active_case.user_id, active_case.unit_id, "
                                  "active_case.status_date, active_case.case_timestamp, active_case.degraded, "
                                  "active_case.part, active_case.customer_ref, active_case.refs");
    reported[0] = '\0';
    wrong = right;
    wrong.body = STR("{ }");
    compare_listed(&wrong, &history, &expected, 2, true, &sink);
    assert_string_equal(reported, "active_case.body");
    listed_row_done(&expected);
}

/* ---- agents ---- */

static struct agent_state agent_of(struct arena *arena, const int64_t *sequences, size_t count, unsigned unit)
{
    struct uuid workspace = sample_uuid(50);
    struct agent_state state;
    agent_init(&state, arena);
    for (size_t i = 0; i < count; i++) {
        struct agent_event event = {
            .type = i % 2 ? AGENT_WORKSPACES_SELECTED : AGENT_CURRENT_UNIT_SELECTED,
            .sequence = sequences[i],
            .unit_id = sample_uuid(unit),
            .workspace_ids = &workspace,
            .workspace_count = i % 2,
        };
        assert_int_equal(agent_apply(&state, &event), FOLD_APPLIED);
    }
    return state;
}

static void test_compare_agent_units_sequence_and_what_is_unknown(void **unused CV_UNUSED)
{
    struct arena *arena = arena_new(1u << 14, 1u << 20);
    struct agent_state two_events = agent_of(arena, two, 2, 10), with_gap = agent_of(arena, gap, 2, 10);
    struct agent_state three_events = agent_of(arena, three, 3, 10), elsewhere = agent_of(arena, two, 2, 11);
    const struct history_knowledge whole = {part_bit(0), false}, part = {part_bit(0), true};
    const struct {
        const struct agent_state *row, *history;
        const struct history_knowledge *knowledge;
        bool unknown;
        const char *fields; /* the start of what is reported */
    } cases[] = {
        {&two_events, &two_events, &whole, false, ""},
        {&two_events, &three_events, &whole, false, "agent.state current unit"},
        {&three_events, &two_events, &whole, false, "agent.state current unit"},
        {&three_events, &two_events, &part, true, ""},
        {&two_events, &three_events, &part, false, "agent.state current unit"},
        {&two_events, &with_gap, &whole, false, "agent.state workspaces of unit "},
        {&two_events, &elsewhere, &whole, false, "agent.state current unit, agent.state workspaces of unit "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&blob);
        agent_store(cases[i].row, &blob);
        const struct stored_agent row = {.rev = 1, .part = 0, .state = {blob.data, blob.len}};
        reported[0] = '\0';
        assert_int_equal(compare_agent(&row, cases[i].history, cases[i].knowledge, &sink), cases[i].unknown);
        if (cases[i].fields[0] == '\0')
            assert_string_equal(reported, "");
        assert_memory_equal(reported, cases[i].fields, strlen(cases[i].fields));
    }
    arena_free(arena);
}

static void test_compare_agent_columns_each(void **state CV_UNUSED)
{
    struct gate_row expected;
    gate_row_init(&expected);
    expected.gates = (struct agent_gates){.has_unit = true, .current_unit_id = sample_uuid(1), .has_workspaces = true};
    const struct stored_agent right = {
        .rev = 1, .has_unit = true, .current_unit_id = sample_uuid(1), .has_workspaces = true, .refs = STR("")};
    reported[0] = '\0';
    compare_agent_columns(&right, &expected, false, &sink);
    assert_string_equal(reported, "");
    struct stored_agent wrong = right;
    wrong.current_unit_id = sample_uuid(2);
    compare_agent_columns(&wrong, &expected, false, &sink);
    assert_string_equal(reported, "agent.current_unit_id");
    reported[0] = '\0';
    wrong = (struct stored_agent){.refs = STR("12345678")};
    compare_agent_columns(&wrong, &expected, true, &sink);
    assert_string_equal(reported, "agent.current_unit_id is there, agent.has_workspaces, agent.degraded, "
                                  "agent.degraded_at, agent.refs, agent.rev");
    gate_row_done(&expected);
}

static void test_difference_counter_counts_and_passes_on(void **state CV_UNUSED)
{
    struct difference_counter silent = {NULL, 0}, open = {&sink, 0};
    const struct difference_sink a = difference_counter_sink(&silent), b = difference_counter_sink(&open);
    reported[0] = '\0';
    a.report(a.context, "x", STR("1"), STR("2"));
    a.report(a.context, "y", STR("1"), STR("2"));
    assert_int_equal(silent.count, 2);
    assert_string_equal(reported, "");
    b.report(b.context, "z", STR("1"), STR("2"));
    assert_int_equal(open.count, 1);
    assert_string_equal(reported, "z");
}

int main(void)
{
    buf_init(&blob, 1u << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_case_equal_reports_nothing),
        cmocka_unit_test(test_compare_case_row_behind_and_row_ahead),
        cmocka_unit_test(test_compare_case_sequence_and_other_values),
        cmocka_unit_test(test_compare_case_over),
        cmocka_unit_test(test_compare_case_part_and_unreadable_state),
        cmocka_unit_test(test_part_bit_high_partitions_share_one),
        cmocka_unit_test(test_compare_case_columns_each),
        cmocka_unit_test(test_compare_listed_each_column_and_the_body_only_when_asked),
        cmocka_unit_test(test_compare_agent_units_sequence_and_what_is_unknown),
        cmocka_unit_test(test_compare_agent_columns_each),
        cmocka_unit_test(test_difference_counter_counts_and_passes_on),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&blob);
    return failed;
}
