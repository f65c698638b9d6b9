#include "workers/ops/history_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/sample_case.h"

static struct buf out;

static const char *text_of(const struct case_state *state, enum case_group group)
{
    buf_reset(&out);
    group_put(state, group, &out);
    buf_byte(&out, '\0');
    return out.data;
}

static struct case_state state_of(struct case_fields fields)
{
    struct uuid organization_id = sample_uuid(1);
    struct case_event event = sample_event(CASE_QUEUED, 1, 0);
    struct case_state state;
    event.fields = fields;
    case_init(&state, &organization_id);
    assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    return state;
}

/* A double of 3.7090777e37f reads 3.7090776896246546e+37. */
static void test_group_put_rank_reads_as_in_the_view(void **state CV_UNUSED)
{
    static const struct {
        float rank;
        const char *text;
    } cases[] = {
        {3.7090777e37f, "{\"rank\":3.7090777E+37}"},
        {2.7504616e37f, "{\"rank\":2.7504616E+37}"},
        {0.1f, "{\"rank\":0.1}"},
        {5, "{\"rank\":5}"},
        {-0.0f, "{\"rank\":-0}"},
        {16777216, "{\"rank\":16777216}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct case_fields fields = sample_page_fields();
        fields.rank = cases[i].rank;
        struct case_state with_rank = state_of(fields);
        assert_string_equal(text_of(&with_rank, GROUP_RANK), cases[i].text);
    }
}

static void test_group_put_members_stand_as_in_the_view(void **state CV_UNUSED)
{
    struct case_fields fields = sample_page_fields();
    fields.online_meeting = STR("{ \"url\": 1.50 }");
    struct case_state meeting = state_of(fields);
    assert_string_equal(text_of(&meeting, GROUP_MEETING), "{\"onlineMeeting\":{ \"url\": 1.50 }}");
    assert_string_equal(text_of(&meeting, GROUP_TICKET),
                        "{\"ticket\":{\"prefix\":\"A\",\"suffix\":null,\"number\":119}}");
    assert_string_equal(text_of(&meeting, GROUP_TIMESTAMP), "{\"caseTimestamp\":\"2024-04-11T11:13:53.404068Z\"}");
    fields.online_meeting = STR_NULL;
    struct case_state none = state_of(fields);
    assert_string_equal(text_of(&none, GROUP_MEETING), "{\"onlineMeeting\":null}");
}

static void test_group_put_a_group_that_was_never_set_is_empty(void **state CV_UNUSED)
{
    struct uuid organization_id = sample_uuid(1);
    struct case_state empty;
    case_init(&empty, &organization_id);
    for (enum case_group group = 0; group < GROUP_COUNT; group++)
        assert_string_equal(text_of(&empty, group), "{}");
}

static void test_sequence_put_text_gaps_as_ranges(void **state CV_UNUSED)
{
    static const int64_t seen[] = {3, 4, 6, 10};
    struct sequence sequence;
    sequence_init(&sequence);
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_true(sequence_add(&sequence, seen[i], seen[i] == 3));
    buf_reset(&out);
    sequence_put_text(&sequence, &out);
    buf_byte(&out, '\0');
    assert_string_equal(out.data, "highest 10, snapshot 3, missing 5 7-9");

    sequence_init(&sequence);
    (void)sequence_add(&sequence, 1, true);
    for (int64_t number = 3; number < 200; number += 2) /* more gaps than are kept */
        (void)sequence_add(&sequence, number, false);
    buf_reset(&out);
    sequence_put_text(&sequence, &out);
    buf_byte(&out, '\0');
    assert_non_null(strstr(out.data, "highest 199, snapshot 1, many missing up to "));
}

static void test_agent_unit_put_set_and_workspaces(void **state CV_UNUSED)
{
    const struct uuid workspaces[] = {{{0}}, {{1}}};
    const struct agent_unit unit = {
        .set_sequence = 7, .revoked_sequence = 2, .workspace_ids = workspaces, .workspace_count = 2};
    buf_reset(&out);
    agent_unit_put(&unit, &out);
    buf_byte(&out, '\0');
    assert_string_equal(out.data, "{\"set\":7,\"revoked\":2,\"workspaceIds\":[\"00000000-0000-0000-0000-000000000000\","
                                  "\"01000000-0000-0000-0000-000000000000\"]}");
}

static void test_groups_put_names_of_the_bits(void **state CV_UNUSED)
{
    static const struct {
        uint32_t groups;
        const char *text;
    } cases[] = {
        {0, ""},
        {GROUP_BIT(GROUP_LOCK), "lockedBy"},
        {GROUP_BIT(GROUP_STATUS) | GROUP_BIT(GROUP_RANK) | GROUP_BIT(GROUP_REST), "status, rank, rest"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&out);
        groups_put(cases[i].groups, &out);
        buf_byte(&out, '\0');
        assert_string_equal(out.data, cases[i].text);
    }
}

/* Every type and every group has a name of its own. */
static void test_names_none_is_missing(void **state CV_UNUSED)
{
    struct event event = {.topic = TOPIC_CASES};
    for (int type = 0; type < CASE_EVENT_TYPE_COUNT; type++) {
        event.c.type = (enum case_event_type)type;
        event.c.sequence = type;
        assert_int_equal(strcmp(event_type_name(&event), "unknown") == 0, type == CASE_UNKNOWN_TYPE);
        assert_int_equal(event_sequence(&event), type);
    }
    event.c.type = CASE_ONLINE_MEETING_SET;
    assert_string_equal(event_type_name(&event), "CaseOnlineMeetingSet");
    event = (struct event){.topic = TOPIC_AGENTS};
    for (int type = 0; type < AGENT_EVENT_TYPE_COUNT; type++) {
        event.a.type = (enum agent_event_type)type;
        event.a.sequence = type;
        assert_int_equal(strcmp(event_type_name(&event), "unknown") == 0, type == AGENT_UNKNOWN_TYPE);
        assert_int_equal(event_sequence(&event), type);
    }
    for (int group = 0; group < GROUP_COUNT; group++) {
        assert_true(strlen(group_name((enum case_group)group)) > 0);
        for (int other = 0; other < group; other++)
            assert_string_not_equal(group_name((enum case_group)group), group_name((enum case_group)other));
    }
}

int main(void)
{
    buf_init(&out, 1u << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_put_rank_reads_as_in_the_view),
        cmocka_unit_test(test_group_put_members_stand_as_in_the_view),
        cmocka_unit_test(test_group_put_a_group_that_was_never_set_is_empty),
        cmocka_unit_test(test_sequence_put_text_gaps_as_ranges),
        cmocka_unit_test(test_agent_unit_put_set_and_workspaces),
        cmocka_unit_test(test_groups_put_names_of_the_bits),
        cmocka_unit_test(test_names_none_is_missing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return failed;
}
