/* One agent event into a cached state. */
#include "workers/sink/folds.h"

#include "tests/unit/sink/sink_fixture.h"
#include "workers/fold/agent.h"
#include "workers/sink/folder.h"

static struct sink sink;
static struct arena *arena;

static int set_up(void **unused CV_UNUSED)
{
    sink_open(&sink);
    arena = arena_new(64u << 10, 64u << 20);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    sink_close(&sink);
    arena_free(arena);
    return 0;
}

static struct agent_state stored_state(unsigned user)
{
    struct agent_state agent;
    assert_true(agent_load(state_blob(sink_agent(&sink, 1, user)), arena, &agent));
    return agent;
}

static void test_fold_first_event_makes_the_state(void **unused CV_UNUSED)
{
    struct fold_result result = sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 1);
    assert_int_equal(result.reason, PARK_NONE);
    assert_int_equal(result.outcome, FOLD_APPLIED);
    struct agent_state agent = stored_state(3);
    struct uuid unit, expected = sample_uuid(300);
    assert_true(agent_current_unit(&agent, &unit));
    assert_true(uuid_eq(&unit, &expected));
    assert_int_equal(sink_agent(&sink, 1, 3)->part, AGENT_PART);
    assert_int_equal(sink.open->changed_agents, 1);
}

static void test_fold_on_top_of_what_is_stored(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_WORKSPACES_SELECTED, 1).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 2).outcome, FOLD_APPLIED);
    struct agent_state agent = stored_state(3);
    size_t workspaces;
    (void)agent_current_workspaces(&agent, &workspaces);
    assert_int_equal(workspaces, 2);
    assert_false(agent_is_degraded(&agent));
}

static void test_fold_duplicate_is_not_part_of_the_batch(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 1).outcome, FOLD_APPLIED);
    (void)sink_submit(&sink);
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_CLEARED, 1).outcome, FOLD_DUPLICATE);
    assert_int_equal(sink.open->changed_agents, 0);
}

static void test_fold_unknown_type_counts_as_seen(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_UNKNOWN_TYPE, 1).outcome, FOLD_UNKNOWN_TYPE);
    assert_int_equal(sink.open->changed_agents, 1);
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_UNKNOWN_TYPE, 1).outcome, FOLD_DUPLICATE);
}

static void test_fold_same_user_of_two_organizations_two_states(void **unused CV_UNUSED)
{
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 1).outcome, FOLD_APPLIED);
    assert_null(sink_agent(&sink, 10, 3)->blob);
}

static void test_fold_too_large_state_refused(void **unused CV_UNUSED)
{
    static struct uuid workspaces[1000];
    struct agent_event event = {.type = AGENT_WORKSPACES_SELECTED,
                                .organization_id = sample_uuid(1),
                                .user_id = sample_uuid(3),
                                .workspace_ids = workspaces,
                                .workspace_count = ARRAY_LEN(workspaces)};
    struct state *state = sink_agent(&sink, 1, 3);
    struct fold_result result;
    for (unsigned i = 0; i < ARRAY_LEN(workspaces); i++)
        workspaces[i] = sample_uuid(i);
    do { /* a set for one unit after the other */
        assert_true(++event.sequence < 100);
        event.unit_id = sample_uuid((unsigned)event.sequence);
        result = agent_fold(sink.caches.agents, state, AGENT_PART, &event, &sink.scratch, sink.open);
    } while (result.reason == PARK_NONE);
    assert_int_equal(result.reason, PARK_TOO_LARGE);
    assert_non_null(result.text);
    assert_in_range(state->blob->len, AGENT_STATE_MAX - 17 * ARRAY_LEN(workspaces), AGENT_STATE_MAX);
    struct agent_state agent = stored_state(3);
    assert_int_equal(agent.sequence.highest, event.sequence - 1);
    /* The agent goes on without it. */
    event.workspace_count = 0;
    assert_int_equal(agent_fold(sink.caches.agents, state, AGENT_PART, &event, &sink.scratch, sink.open).outcome,
                     FOLD_APPLIED);
}

static void test_fold_stored_state_of_another_version_refused(void **unused CV_UNUSED)
{
    struct state *state = sink_agent(&sink, 1, 3);
    states_set(sink.caches.agents, state, STR("\xff what a newer version wrote"));
    assert_int_equal(sink_fold_agent(&sink, 3, AGENT_CURRENT_UNIT_SELECTED, 1).reason, PARK_REFUSED_BY_DATABASE);
    assert_str_equal(state_blob(state), STR("\xff what a newer version wrote"));
    assert_int_equal(sink.open->changed_agents, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fold_first_event_makes_the_state),
        TEST(test_fold_on_top_of_what_is_stored),
        TEST(test_fold_duplicate_is_not_part_of_the_batch),
        TEST(test_fold_unknown_type_counts_as_seen),
        TEST(test_fold_same_user_of_two_organizations_two_states),
        TEST(test_fold_too_large_state_refused),
        TEST(test_fold_stored_state_of_another_version_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
