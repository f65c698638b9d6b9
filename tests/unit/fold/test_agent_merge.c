/*
 * Two states of an agent are merged: the result is the fold of all events that either of them has folded, byte for
 * byte.
 */
#include "workers/fold/agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

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

static bool same(const struct agent_state *a, const struct agent_state *b)
{
    return same_stored(stored_agent(a), stored_agent(b));
}

/* By its stored form, so that the copy shares nothing with the state. */
static struct agent_state copy_of(const struct agent_state *state)
{
    struct agent_state copy;
    struct buf blob = stored_agent(state);
    assert_true(agent_load((struct str){blob.data, blob.len}, arena, &copy));
    buf_done(&blob);
    assert_true(same(&copy, state));
    return copy;
}

/* Merges in both directions, which must not differ, and again, which must change nothing. */
static struct agent_state merge(const struct agent_state *a, const struct agent_state *b)
{
    struct agent_state merged = copy_of(a);
    struct agent_state other = copy_of(b);
    bool changed = agent_merge(&merged, b);
    assert_int_equal(changed, !same(&merged, a));
    (void)agent_merge(&other, a);
    assert_true(same(&merged, &other));
    assert_false(agent_merge(&merged, a));
    assert_false(agent_merge(&merged, b));
    assert_false(agent_merge(&merged, &other));
    return copy_of(&merged);
}

struct step {
    enum agent_event_type type;
    int64_t number; /* 0 ends a list */
    unsigned unit;
    unsigned workspaces;
};

#define STEPS 6

static void apply(struct agent_state *state, const struct step *step)
{
    struct uuid workspaces[4];
    for (unsigned i = 0; i < step->workspaces; i++)
        workspaces[i] = sample_uuid(900 + i);
    struct agent_event event = {.type = step->type,
                                .organization_id = sample_uuid(1),
                                .user_id = sample_uuid(3),
                                .sequence = step->number,
                                .unit_id = sample_uuid(300 + step->unit),
                                .workspace_ids = workspaces,
                                .workspace_count = step->workspaces};
    (void)agent_apply(state, &event);
}

static struct agent_state folded(const struct step *steps)
{
    struct agent_state state;
    agent_init(&state, arena);
    for (unsigned i = 0; i < STEPS && steps[i].number; i++)
        apply(&state, &steps[i]);
    return state;
}

#define SELECT(number, unit)                         \
    {                                                \
        AGENT_CURRENT_UNIT_SELECTED, number, unit, 0 \
    }
#define CLEAR(number)                            \
    {                                            \
        AGENT_CURRENT_UNIT_CLEARED, number, 0, 0 \
    }
#define SET(number, unit, count)                       \
    {                                                  \
        AGENT_WORKSPACES_SELECTED, number, unit, count \
    }
#define REVOKE(number, unit)                       \
    {                                              \
        AGENT_UNIT_ACCESS_REVOKED, number, unit, 0 \
    }

static void test_agent_merge_table_same_as_fold_of_both(void **unused)
{
    (void)unused;
    static const struct {
        struct step a[STEPS], b[STEPS];
    } rows[] = {
        {{{0}}, {{0}}},
        {{{0}}, {SELECT(1, 1), SET(2, 1, 3)}},
        {{SELECT(1, 1), SET(2, 1, 3)}, {SET(3, 2, 1), SELECT(4, 2)}}, /* prefix and suffix */
        {{SELECT(1, 1), SELECT(3, 2)}, {CLEAR(2), CLEAR(4)}},         /* the current unit is one group */
        {{SELECT(4, 1)}, {CLEAR(2), SELECT(3, 2)}},
        {{SET(1, 1, 3), SET(2, 1, 2)}, {SET(3, 1, 0)}}, /* an empty set replaces a set */
        {{SET(4, 1, 3)}, {SET(3, 1, 0)}},
        {{SELECT(1, 1), SET(2, 1, 2)}, {REVOKE(3, 1)}},               /* drops the set and the current unit */
        {{SELECT(1, 1), SET(4, 1, 2)}, {REVOKE(3, 1)}},               /* drops the current unit alone */
        {{SELECT(4, 1), SET(2, 1, 2)}, {REVOKE(3, 1)}},               /* drops the set alone */
        {{REVOKE(2, 1), SET(5, 1, 1)}, {REVOKE(4, 1), SET(3, 1, 2)}}, /* the last of each, from either side */
        {{SET(1, 2, 1), SET(2, 4, 1), SET(3, 6, 1)},
         {SET(4, 1, 1), SET(5, 5, 2), SET(6, 7, 1)}}, /* units between units */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct agent_state a = folded(rows[i].a);
        struct agent_state b = folded(rows[i].b);
        struct agent_state all = folded(rows[i].a);
        for (unsigned k = 0; k < STEPS && rows[i].b[k].number; k++)
            apply(&all, &rows[i].b[k]);
        struct agent_state merged = merge(&a, &b);
        assert_true(same(&merged, &all));
    }
}

/* A broken producer: either may count, but the stored form must be readable. merge() reads it. */
static void test_agent_merge_number_used_twice_leaves_no_set(void **unused)
{
    (void)unused;
    struct agent_state set = folded((struct step[STEPS]){SELECT(1, 1), SET(2, 1, 3), SET(3, 2, 1)});
    struct agent_state revoked = folded((struct step[STEPS]){SELECT(1, 1), REVOKE(2, 1)});
    struct agent_state expected = folded((struct step[STEPS]){SELECT(1, 1), REVOKE(2, 1), SET(3, 2, 1)});
    struct agent_state merged = merge(&set, &revoked);
    assert_true(same(&merged, &expected));
}

static void test_agent_merge_copies_the_ids(void **unused)
{
    (void)unused;
    struct arena *other = arena_new(4096, 1 << 20);
    struct agent_state from, into;
    agent_init(&from, other);
    agent_init(&into, arena);
    apply(&from, &(struct step)SET(1, 1, 3));
    apply(&from, &(struct step)SELECT(2, 1));
    struct agent_state expected = copy_of(&from);
    assert_true(agent_merge(&into, &from));
    arena_free(other);
    assert_true(same(&into, &expected));
}

/* A new generation that has folded a state's later events only: nothing differs if the merge comes first or last. */
static void test_agent_merge_events_afterwards_are_folded(void **unused)
{
    (void)unused;
    struct agent_state live = folded((struct step[STEPS]){SELECT(1, 1), SET(2, 1, 2)});
    struct agent_state into = folded((struct step[STEPS]){SELECT(3, 2)});
    struct agent_state late = folded((struct step[STEPS]){SELECT(3, 2), REVOKE(4, 1), SET(5, 2, 1)});
    assert_true(agent_merge(&into, &live));
    apply(&into, &(struct step)REVOKE(4, 1));
    apply(&into, &(struct step)SET(5, 2, 1));
    assert_true(agent_merge(&late, &live));
    assert_true(same(&into, &late));
    assert_false(agent_is_degraded(&into));
}

static void test_agent_merge_full_arena_leaves_the_state(void **unused)
{
    (void)unused;
    static const size_t counts[] = {1, 100,
                                    300}; /* workspaces of a unit: no room for the units, a set, the first set */
    struct uuid ids[300];
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = sample_uuid(900 + i);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct arena *small = arena_new(4096, 4096);
        struct agent_state into, from;
        agent_init(&into, small);
        agent_init(&from, arena);
        apply(&into, &(struct step)SET(1, 1, 1));
        for (unsigned unit = 0; unit < ARRAY_LEN(ids) / counts[i]; unit++) {
            struct agent_event event = {.type = AGENT_WORKSPACES_SELECTED,
                                        .sequence = 2 + unit,
                                        .unit_id = sample_uuid(300 + unit),
                                        .workspace_ids = ids,
                                        .workspace_count = counts[i]};
            assert_int_equal(agent_apply(&from, &event), FOLD_APPLIED);
        }
        struct agent_state before = copy_of(&into);
        (void)agent_merge(&into, &from);
        assert_true(arena_full(small));
        assert_true(same(&into, &before));
        arena_free(small);
    }
}

static void one_history(struct random *random, struct agent_history *history)
{
    struct agent_state states[SPLIT_STATES];
    struct agent_state all;
    enum split split = (enum split)random_below(random, SPLIT_COUNT);
    agent_init(&all, arena);
    for (unsigned k = 0; k < SPLIT_STATES; k++)
        agent_init(&states[k], arena);
    random_agent_history(random, history);
    if (random_chance(random, 50))
        spread_agent_numbers(random, history);
    int64_t border = history->count ? history->events[random_below(random, history->count)].sequence : 0;
    if (random_chance(random, 50))
        shuffle_agent_history(random, history);
    for (unsigned i = 0; i < history->count; i++) {
        const struct agent_event *event = &history->events[i];
        unsigned chosen = random_states(random, split, event->sequence < border);
        for (unsigned k = 0; k < SPLIT_STATES; k++) {
            if (chosen & (1u << k))
                (void)agent_apply(&states[k], event);
        }
        (void)agent_apply(&all, event);
    }
    struct agent_state left = merge(&states[0], &states[1]);
    left = merge(&left, &states[2]);
    struct agent_state right = merge(&states[1], &states[2]);
    right = merge(&states[0], &right);
    assert_true(same(&left, &all));
    assert_true(same(&right, &all));
    assert_false(arena_full(arena));
    arena_reset(arena);
}

static void test_agent_merge_random_histories_same_as_fold_of_all(void **unused)
{
    (void)unused;
    struct random random = random_start("merged agents");
    struct agent_history *history = malloc(sizeof *history);
    assert_non_null(history);
    for (unsigned i = 0; i < HISTORIES; i++)
        one_history(&random, history);
    free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_merge_table_same_as_fold_of_both),
        cmocka_unit_test(test_agent_merge_number_used_twice_leaves_no_set),
        cmocka_unit_test(test_agent_merge_copies_the_ids),
        cmocka_unit_test(test_agent_merge_events_afterwards_are_folded),
        cmocka_unit_test(test_agent_merge_full_arena_leaves_the_state),
        cmocka_unit_test(test_agent_merge_random_histories_same_as_fold_of_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
