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

int main(void)
{
    buf_init(&out, 1u << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_put_rank_reads_as_in_the_view),
        cmocka_unit_test(test_group_put_members_stand_as_in_the_view),
        cmocka_unit_test(test_group_put_a_group_that_was_never_set_is_empty),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return failed;
}
