/*
 * Two states of a case are merged: the result is the fold of all events that either of them has folded, byte for byte.
 */
#include "workers/fold/case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/random_history.h"
#include "tests/support/sample_case.h"

#define HISTORIES 20000

static bool same(const struct case_state *a, const struct case_state *b)
{
    return same_stored(stored_case(a), stored_case(b));
}

static void assert_stored_form_is_readable(const struct case_state *state)
{
    struct case_state loaded;
    struct buf blob = stored_case(state);
    assert_true(case_load((struct str){blob.data, blob.len}, &loaded));
    assert_true(same(&loaded, state));
    buf_done(&blob);
}

/* Merges in both directions, which must not differ, and again, which must change nothing. */
static struct case_state merge(const struct case_state *a, const struct case_state *b)
{
    struct case_state merged = *a;
    struct case_state other = *b;
    bool changed = case_merge(&merged, b);
    assert_int_equal(changed, !same(&merged, a));
    (void)case_merge(&other, a);
    assert_true(same(&merged, &other));
    assert_false(case_merge(&merged, a));
    assert_false(case_merge(&merged, b));
    assert_false(case_merge(&merged, &other));
    assert_true(same(&merged, &other));
    assert_stored_form_is_readable(&merged);
    return merged;
}

static struct case_state fresh(unsigned organization)
{
    struct uuid organization_id = sample_uuid(organization);
    struct case_state state;
    case_init(&state, &organization_id);
    return state;
}

struct step {
    enum case_event_type type; /* CASE_UNKNOWN_TYPE with number 0 ends a list */
    int64_t number;
};

#define STEPS 6

static struct case_state folded(const struct step *steps)
{
    struct case_state state = fresh(1);
    for (unsigned i = 0; i < STEPS && steps[i].number; i++) {
        struct case_event event = sample_event(steps[i].type, steps[i].number, (unsigned)steps[i].number % 4);
        (void)case_apply(&state, &event);
    }
    return state;
}

static void test_case_merge_table(void **unused)
{
    (void)unused;
    static const struct {
        struct step a[STEPS], b[STEPS], all[STEPS];
        bool incomplete, degraded;
    } rows[] = {
        {{{0}}, {{0}}, {{0}}, true, false},
        {{{0}}, {{CASE_QUEUED, 1}}, {{CASE_QUEUED, 1}}, false, false},
        /* the snapshot is lost in one, the end in the other */
        {{{CASE_POSITION_CHANGED, 3}, {CASE_RESOLVED, 4}},
         {{CASE_QUEUED, 1}, {CASE_SERVICE_STARTED, 2}, {CASE_POSITION_CHANGED, 3}},
         {{CASE_QUEUED, 1}, {CASE_SERVICE_STARTED, 2}, {CASE_POSITION_CHANGED, 3}, {CASE_RESOLVED, 4}},
         false,
         false},
        /* numbers are missing between the two */
        {{{CASE_QUEUED, 1}}, {{CASE_MOVED, 5}}, {{CASE_QUEUED, 1}, {CASE_MOVED, 5}}, false, true},
        {{{CASE_MOVED, 2}}, {{CASE_MOVED, 5}}, {{CASE_MOVED, 2}, {CASE_MOVED, 5}}, true, false},
        /* a group set to null later, the same group set before */
        {{{CASE_QUEUED, 1}, {CASE_SERVICE_STARTED, 2}, {CASE_USER_ASSIGNED, 4}},
         {{CASE_RETURNED_TO_QUEUE, 3}, {CASE_USER_UNASSIGNED, 5}},
         {{CASE_QUEUED, 1},
          {CASE_SERVICE_STARTED, 2},
          {CASE_RETURNED_TO_QUEUE, 3},
          {CASE_USER_ASSIGNED, 4},
          {CASE_USER_UNASSIGNED, 5}},
         false,
         false},
        /* two snapshots: events between them count for no group */
        {{{CASE_QUEUED, 1}, {CASE_MOVED, 2}},
         {{CASE_QUEUED, 4}},
         {{CASE_QUEUED, 4}, {CASE_MOVED, 2}, {CASE_QUEUED, 1}},
         false,
         false},
        /* an unknown type only counts as seen */
        {{{CASE_QUEUED, 1}, {CASE_MOVED, 3}},
         {{CASE_UNKNOWN_TYPE, 2}},
         {{CASE_QUEUED, 1}, {CASE_UNKNOWN_TYPE, 2}, {CASE_MOVED, 3}},
         false,
         false},
        /* an event that only one of them understood */
        {{{CASE_QUEUED, 1}, {CASE_UNKNOWN_TYPE, 2}},
         {{CASE_QUEUED, 1}, {CASE_MOVED, 2}},
         {{CASE_QUEUED, 1}, {CASE_MOVED, 2}},
         false,
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct case_state a = folded(rows[i].a);
        struct case_state b = folded(rows[i].b);
        struct case_state all = folded(rows[i].all);
        struct case_state merged = merge(&a, &b);
        assert_true(same(&merged, &all));
        assert_int_equal(case_is_incomplete(&merged), rows[i].incomplete);
        assert_int_equal(case_is_degraded(&merged), rows[i].degraded);
    }
}

static void test_case_merge_over_stays_over(void **unused)
{
    (void)unused;
    struct case_state open = folded((struct step[STEPS]){{CASE_QUEUED, 1}, {CASE_MOVED, 9}});
    struct case_state over = folded((struct step[STEPS]){{CASE_CLOSED, 2}});
    struct case_state into = open;
    assert_true(case_merge(&into, &over));
    assert_true(into.over);
    assert_true(same(&into, &over));
    assert_false(case_merge(&into, &open));
    assert_false(case_merge(&into, &over));
    assert_true(same(&into, &over));
    struct case_event late = sample_event(CASE_QUEUED, 10, 0);
    assert_int_equal(case_apply(&into, &late), FOLD_OVER);
}

static void test_case_merge_another_organization_is_replaced_by_from(void **unused)
{
    (void)unused;
    for (unsigned over = 0; over < 4; over++) {
        struct case_state from = folded(
            (struct step[STEPS]){{CASE_QUEUED, 1}, {over & 1 ? CASE_CLOSED : CASE_MOVED, 2}});
        struct case_state into = fresh(77);
        struct case_event event = sample_event(over & 2 ? CASE_CLOSED : CASE_QUEUED, 8, 3);
        event.organization_id = sample_uuid(77);
        assert_int_equal(case_apply(&into, &event), FOLD_APPLIED);
        assert_true(case_merge(&into, &from));
        assert_true(same(&into, &from));
        assert_int_equal(case_apply(&into, &event), FOLD_KEY_MISMATCH);
        assert_false(case_merge(&into, &from));
    }
}

/* Above the limit of gaps too, only the gaps depend on the order: everything that a user sees is that of all events. */
static void test_case_merge_beyond_the_limit_of_gaps_same_fields(void **unused)
{
    (void)unused;
    struct case_state states[2] = {fresh(1), fresh(1)};
    struct case_state all = fresh(1);
    for (int64_t number = 1; number <= 4 * (SEQUENCE_MAX_GAPS + 2); number += 2) {
        struct case_event event = sample_event(number == 1 ? CASE_QUEUED : CASE_MOVED, number, (unsigned)number % 4);
        (void)case_apply(&states[number % 4 / 2], &event);
        (void)case_apply(&all, &event);
    }
    assert_true(states[0].sequence.many_up_to > 0);
    struct case_state merged = merge(&states[0], &states[1]);
    assert_true(case_is_degraded(&merged));
    merged.sequence = all.sequence;
    assert_true(same(&merged, &all));
}

/* Every second time as a worker does it: the state is read from its stored form. Returns the blob, to be freed. */
static char *reload(struct random *random, struct case_state *state)
{
    if (random_chance(random, 50))
        return NULL;
    struct buf buf = stored_case(state);
    char *blob = malloc(buf.len); /* of exactly its size, so that a sanitizer detects any read outside it */
    assert_non_null(blob);
    memcpy(blob, buf.data, buf.len);
    assert_true(case_load((struct str){blob, buf.len}, state));
    buf_done(&buf);
    return blob;
}

static void one_history(struct random *random, struct case_history *history)
{
    struct case_state states[SPLIT_STATES] = {fresh(1), fresh(1), fresh(1)};
    struct case_state all = fresh(1);
    char *blobs[SPLIT_STATES];
    enum split split = (enum split)random_below(random, SPLIT_COUNT);
    random_case_history(random, history);
    if (random_chance(random, 50))
        spread_case_numbers(random, history);
    int64_t border = history->count ? history->events[random_below(random, history->count)].sequence : 0;
    if (random_chance(random, 50))
        shuffle_case_history(random, history);
    for (unsigned i = 0; i < history->count; i++) {
        const struct case_event *event = &history->events[i];
        unsigned chosen = random_states(random, split, event->sequence < border);
        for (unsigned k = 0; k < SPLIT_STATES; k++) {
            if (chosen & (1u << k))
                (void)case_apply(&states[k], event);
        }
        (void)case_apply(&all, event);
    }
    for (unsigned k = 0; k < SPLIT_STATES; k++)
        blobs[k] = reload(random, &states[k]);
    struct case_state left = merge(&states[0], &states[1]);
    left = merge(&left, &states[2]);
    struct case_state right = merge(&states[1], &states[2]);
    right = merge(&states[0], &right);
    assert_true(same(&left, &all));
    assert_true(same(&right, &all));
    for (unsigned k = 0; k < SPLIT_STATES; k++)
        free(blobs[k]);
}

static void test_case_merge_random_histories_same_as_fold_of_all(void **unused)
{
    (void)unused;
    struct random random = random_start("merged cases");
    struct case_history *history = malloc(sizeof *history);
    assert_non_null(history);
    for (unsigned i = 0; i < HISTORIES; i++)
        one_history(&random, history);
    free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_merge_table),
        cmocka_unit_test(test_case_merge_over_stays_over),
        cmocka_unit_test(test_case_merge_another_organization_is_replaced_by_from),
        cmocka_unit_test(test_case_merge_beyond_the_limit_of_gaps_same_fields),
        cmocka_unit_test(test_case_merge_random_histories_same_as_fold_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
