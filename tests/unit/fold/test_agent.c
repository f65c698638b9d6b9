/* The fold of an agent: gates, sets per unit, and random histories against the naive fold. */
#include "workers/fold/agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/naive_fold.h"
#include "tests/support/random_history.h"
#include "tests/support/sample_case.h"

#define HISTORIES 20000

static struct arena *arena;

static int set_up(void **unused)
{
    (void)unused;
    arena = arena_new(64 << 10, 64 << 20);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    arena_free(arena);
    return 0;
}

static struct agent_event event_of(enum agent_event_type type, int64_t sequence, unsigned unit)
{
    return (struct agent_event){.type = type,
                                .organization_id = sample_uuid(1),
                                .user_id = sample_uuid(3),
                                .sequence = sequence,
                                .unit_id = sample_uuid(300 + unit)};
}

static void apply(struct agent_state *state, const struct agent_event *event, enum fold_outcome expected)
{
    assert_int_equal(agent_apply(state, event), expected);
}

static void select_unit(struct agent_state *state, int64_t sequence, unsigned unit)
{
    struct agent_event event = event_of(AGENT_CURRENT_UNIT_SELECTED, sequence, unit);
    apply(state, &event, FOLD_APPLIED);
}

static void select_workspaces(struct agent_state *state, int64_t sequence, unsigned unit, const unsigned *ids, size_t n)
{
    struct uuid workspaces[8];
    assert_true(n <= ARRAY_LEN(workspaces));
    for (size_t i = 0; i < n; i++)
        workspaces[i] = sample_uuid(ids[i]);
    struct agent_event event = event_of(AGENT_WORKSPACES_SELECTED, sequence, unit);
    event.workspace_ids = workspaces;
    event.workspace_count = n;
    apply(state, &event, FOLD_APPLIED);
    memset(workspaces, 0, sizeof workspaces); /* the state must have its own copy */
}

static void revoke(struct agent_state *state, int64_t sequence, unsigned unit)
{
    struct agent_event event = event_of(AGENT_UNIT_ACCESS_REVOKED, sequence, unit);
    apply(state, &event, FOLD_APPLIED);
}

static void clear(struct agent_state *state, int64_t sequence)
{
    struct agent_event event = event_of(AGENT_CURRENT_UNIT_CLEARED, sequence, 7);
    apply(state, &event, FOLD_APPLIED);
}

static bool nothing_removed(void *context, enum entity_kind kind, const struct uuid *id)
{
    (void)context;
    (void)kind;
    (void)id;
    return false;
}

struct removed_list {
    enum entity_kind kind;
    struct uuid ids[4];
    size_t count;
};

static bool in_list(void *context, enum entity_kind kind, const struct uuid *id)
{
    const struct removed_list *list = context;
    for (size_t i = 0; i < list->count; i++) {
        if (kind == list->kind && uuid_eq(id, &list->ids[i]))
            return true;
    }
    return false;
}

/* unit 0: none */
static void assert_gates(const struct agent_state *state, unsigned unit, bool workspaces)
{
    struct agent_gates gates = agent_evaluate(state, nothing_removed, NULL);
    struct uuid expected = sample_uuid(300 + unit);
    assert_int_equal(gates.has_unit, unit != 0);
    assert_int_equal(gates.has_workspaces, workspaces);
    if (unit)
        assert_true(uuid_eq(&gates.current_unit_id, &expected));
}

static void test_agent_apply_in_order_opens_and_closes_the_gates(void **unused)
{
    (void)unused;
    struct agent_state state;
    agent_init(&state, arena);
    assert_gates(&state, 0, false);
    select_unit(&state, 1, 1);
    assert_gates(&state, 1, false);
    select_workspaces(&state, 2, 1, (unsigned[]){10, 11}, 2);
    assert_gates(&state, 1, true);
    select_unit(&state, 3, 2);
    assert_gates(&state, 2, false);
    select_unit(&state, 4, 1); /* coming back restores the set */
    assert_gates(&state, 1, true);
    select_workspaces(&state, 5, 1, NULL, 0);
    assert_gates(&state, 1, false);
    select_workspaces(&state, 6, 1, (unsigned[]){12}, 1);
    assert_gates(&state, 1, true);
    clear(&state, 7);
    assert_gates(&state, 0, false);
    select_unit(&state, 8, 1);
    assert_gates(&state, 1, true);
    revoke(&state, 9, 1);
    assert_gates(&state, 0, false);
    select_unit(&state, 10, 1); /* selected again: the unit is current, the set was dropped */
    assert_gates(&state, 1, false);
    assert_false(agent_is_degraded(&state));
}

static void test_agent_apply_revoke_counts_by_number_not_by_arrival(void **unused)
{
    (void)unused;
    struct agent_state state;
    agent_init(&state, arena);
    select_unit(&state, 3, 1);
    select_workspaces(&state, 5, 1, (unsigned[]){10}, 1);
    revoke(&state, 2, 1); /* before the selection */
    assert_gates(&state, 1, true);
    revoke(&state, 4, 1); /* after the selection, before the set */
    assert_gates(&state, 0, false);
    select_unit(&state, 6, 1);
    assert_gates(&state, 1, true);
    revoke(&state, 7, 2); /* another unit */
    assert_gates(&state, 1, true);
}

static void test_agent_apply_duplicate_and_unknown_type_without_effect(void **unused)
{
    (void)unused;
    struct agent_state state;
    agent_init(&state, arena);
    select_unit(&state, 1, 1);
    struct agent_event other = event_of(AGENT_CURRENT_UNIT_SELECTED, 1, 2);
    apply(&state, &other, FOLD_DUPLICATE);
    struct agent_event workspaces = event_of(AGENT_WORKSPACES_SELECTED, 1, 2);
    apply(&state, &workspaces, FOLD_DUPLICATE);
    assert_int_equal(state.unit_count, 0);
    assert_gates(&state, 1, false);
    struct agent_event unknown = event_of(AGENT_UNKNOWN_TYPE, 2, 2);
    apply(&state, &unknown, FOLD_UNKNOWN_TYPE);
    apply(&state, &unknown, FOLD_DUPLICATE);
    assert_gates(&state, 1, false);
    assert_false(agent_is_degraded(&state));
}

static void test_agent_is_degraded_number_one_counts_too(void **unused)
{
    (void)unused;
    struct agent_state state;
    agent_init(&state, arena);
    assert_false(agent_is_degraded(&state));
    select_unit(&state, 2, 1);
    assert_true(agent_is_degraded(&state));
    clear(&state, 1);
    assert_false(agent_is_degraded(&state));
    assert_gates(&state, 1, false);
}

static void test_agent_current_workspaces_sorted_without_doubles(void **unused)
{
    (void)unused;
    struct agent_state state;
    size_t count = 99;
    agent_init(&state, arena);
    assert_null(agent_current_workspaces(&state, &count));
    assert_int_equal(count, 0);
    select_workspaces(&state, 1, 1, (unsigned[]){14, 11, 14, 13, 11, 12}, 6);
    select_unit(&state, 2, 1);
    const struct uuid *ids = agent_current_workspaces(&state, &count);
    assert_int_equal(count, 4);
    for (size_t i = 1; i < count; i++)
        assert_true(uuid_cmp(&ids[i - 1], &ids[i]) < 0);
}

static void test_agent_evaluate_removed_unit_closes_both_gates(void **unused)
{
    (void)unused;
    struct agent_state state;
    agent_init(&state, arena);
    select_workspaces(&state, 1, 1, (unsigned[]){10}, 1);
    select_unit(&state, 2, 1);
    struct removed_list removed = {ENTITY_UNIT, {sample_uuid(301)}, 1};
    struct agent_gates gates = agent_evaluate(&state, in_list, &removed);
    assert_false(gates.has_unit || gates.has_workspaces);
    removed.kind = ENTITY_WORKSPACE; /* a removed workspace with the same id does not affect the unit */
    gates = agent_evaluate(&state, in_list, &removed);
    assert_true(gates.has_unit && gates.has_workspaces);
    removed = (struct removed_list){ENTITY_UNIT, {sample_uuid(302)}, 1};
    gates = agent_evaluate(&state, in_list, &removed);
    assert_true(gates.has_unit && gates.has_workspaces);
}

static void test_agent_evaluate_needs_one_workspace_that_is_not_removed(void **unused)
{
    (void)unused;
    struct agent_state state;
    agent_init(&state, arena);
    select_workspaces(&state, 1, 1, (unsigned[]){10, 11, 12}, 3);
    select_unit(&state, 2, 1);
    struct removed_list removed = {ENTITY_WORKSPACE, {sample_uuid(10), sample_uuid(12), sample_uuid(11)}, 2};
    struct agent_gates gates = agent_evaluate(&state, in_list, &removed);
    assert_true(gates.has_unit && gates.has_workspaces);
    removed.count = 3;
    gates = agent_evaluate(&state, in_list, &removed);
    assert_true(gates.has_unit);
    assert_false(gates.has_workspaces);
}

static struct str store(const struct agent_state *state)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    agent_store(state, &buf);
    assert_false(buf.overflow);
    char *blob = malloc(buf.len);
    assert_non_null(blob);
    memcpy(blob, buf.data, buf.len);
    struct str str = {blob, buf.len};
    buf_done(&buf);
    return str;
}

static void free_blob(struct str blob)
{
    free((void *)(uintptr_t)blob.ptr);
}

static void test_agent_apply_full_arena_leaves_the_state(void **unused)
{
    (void)unused;
    struct arena *small = arena_new(4096, 4096);
    struct agent_state state;
    agent_init(&state, small);
    select_unit(&state, 1, 1);
    struct uuid *ids = calloc(1000, sizeof *ids);
    assert_non_null(ids);
    struct agent_event event = event_of(AGENT_WORKSPACES_SELECTED, 2, 1);
    event.workspace_ids = ids;
    event.workspace_count = 1000;
    struct str before = store(&state);
    (void)agent_apply(&state, &event);
    assert_true(arena_full(small));
    struct str after = store(&state);
    assert_true(str_eq(before, after));
    free_blob(before);
    free_blob(after);
    free(ids);
    arena_free(small);
}

/* Two events with one number, among numbers that are not tracked: no set, in either order, and the blob is readable. */
static void test_agent_apply_number_used_twice_untracked_leaves_no_set(void **unused)
{
    (void)unused;
    for (unsigned order = 0; order < 2; order++) {
        struct agent_state state, loaded;
        agent_init(&state, arena);
        for (int64_t i = 1; i <= SEQUENCE_MAX_GAPS + 1; i++)
            select_unit(&state, 2 * i, 1);
        assert_true(state.sequence.many_up_to > 5);
        if (order == 0)
            revoke(&state, 5, 1);
        select_workspaces(&state, 5, 1, (unsigned[]){10}, 1);
        if (order == 1)
            revoke(&state, 5, 1);
        struct str blob = store(&state);
        assert_true(agent_load(blob, arena, &loaded));
        assert_gates(&loaded, 1, false);
        free_blob(blob);
    }
}

static void assert_as_naive(const struct agent_state *state, const struct naive_agent *naive)
{
    struct uuid unit_id;
    size_t count;
    assert_int_equal(agent_is_degraded(state), naive->degraded);
    assert_int_equal(agent_current_unit(state, &unit_id), naive->has_unit);
    const struct uuid *ids = agent_current_workspaces(state, &count);
    assert_int_equal(count, naive->workspace_count);
    if (naive->has_unit)
        assert_true(uuid_eq(&unit_id, &naive->unit_id));
    for (size_t i = 0; i < naive->workspace_count; i++) {
        bool found = false;
        for (size_t k = 0; k < count; k++)
            found = found || uuid_eq(&ids[k], &naive->workspaces[i]);
        assert_true(found);
    }
    struct agent_gates gates = agent_evaluate(state, nothing_removed, NULL);
    assert_int_equal(gates.has_unit, naive->has_unit);
    assert_int_equal(gates.has_workspaces, naive->workspace_count > 0);
}

static struct str fold(struct random *random, const struct agent_history *history, const struct naive_agent *naive)
{
    struct agent_state state;
    unsigned cut_percent = random_below(random, 101);
    unsigned applied = 0;
    agent_init(&state, arena);
    for (unsigned i = 0; i < history->count; i++) {
        applied += agent_apply(&state, &history->events[i]) != FOLD_DUPLICATE;
        if (random_chance(random, cut_percent)) {
            struct str blob = store(&state);
            assert_true(agent_load(blob, arena, &state));
            free_blob(blob);
        }
    }
    assert_int_equal(applied, history->distinct);
    assert_as_naive(&state, naive);
    assert_false(arena_full(arena));
    return store(&state);
}

static void test_agent_apply_random_histories_same_as_naive_fold(void **unused)
{
    (void)unused;
    struct random random = random_start("agent histories");
    struct agent_history *history = malloc(sizeof *history);
    assert_non_null(history);
    for (unsigned i = 0; i < HISTORIES; i++) {
        random_agent_history(&random, history);
        struct naive_agent naive = naive_agent_fold(history->events, history->count);
        struct str first = fold(&random, history, &naive);
        shuffle_agent_history(&random, history);
        struct str second = fold(&random, history, &naive);
        assert_true(str_eq(first, second));
        free_blob(first);
        free_blob(second);
        arena_reset(arena);
    }
    free(history);
}

static void test_agent_load_damaged_blob_refused_or_canonical(void **unused)
{
    (void)unused;
    struct random random = random_start("damaged agents");
    struct agent_history *history = malloc(sizeof *history);
    assert_non_null(history);
    for (unsigned i = 0; i < 3000; i++) {
        struct agent_state state;
        agent_init(&state, arena);
        random_agent_history(&random, history);
        shuffle_agent_history(&random, history);
        for (unsigned k = 0; k < history->count; k++)
            (void)agent_apply(&state, &history->events[k]);
        struct str blob = store(&state);
        for (size_t len = 0; len < blob.len; len++)
            assert_false(agent_load((struct str){blob.ptr, len}, arena, &state));
        char *damaged = malloc(blob.len + 1);
        assert_non_null(damaged);
        memcpy(damaged, blob.ptr, blob.len);
        damaged[blob.len] = 0;
        assert_false(agent_load((struct str){damaged, blob.len + 1}, arena, &state));
        damaged[random_below(&random, (unsigned)blob.len)] ^= (char)(1 << random_below(&random, 8));
        if (agent_load((struct str){damaged, blob.len}, arena, &state)) {
            struct str again = store(&state);
            assert_true(str_eq(again, (struct str){damaged, blob.len}));
            free_blob(again);
        }
        free(damaged);
        free_blob(blob);
        arena_reset(arena);
    }
    free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_apply_in_order_opens_and_closes_the_gates),
        cmocka_unit_test(test_agent_apply_revoke_counts_by_number_not_by_arrival),
        cmocka_unit_test(test_agent_apply_duplicate_and_unknown_type_without_effect),
        cmocka_unit_test(test_agent_is_degraded_number_one_counts_too),
        cmocka_unit_test(test_agent_current_workspaces_sorted_without_doubles),
        cmocka_unit_test(test_agent_evaluate_removed_unit_closes_both_gates),
        cmocka_unit_test(test_agent_evaluate_needs_one_workspace_that_is_not_removed),
        cmocka_unit_test(test_agent_apply_full_arena_leaves_the_state),
        cmocka_unit_test(test_agent_apply_number_used_twice_untracked_leaves_no_set),
        cmocka_unit_test(test_agent_apply_random_histories_same_as_naive_fold),
        cmocka_unit_test(test_agent_load_damaged_blob_refused_or_canonical),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
