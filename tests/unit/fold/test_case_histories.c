/*
 * Random histories of a case: shuffled, with duplicates, gaps, unknown types and events of other organizations, split
 * into batches at random. In any order, the case must equal the naive fold of the set.
 */
#include "workers/fold/case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/naive_fold.h"
#include "tests/support/random_history.h"
#include "tests/support/sample_case.h"
#include "workers/fold/render.h"

#define HISTORIES 20000

/* Returns the blob in a block of exactly its size, so that a sanitizer detects any read outside it. */
static char *store(const struct case_state *state, size_t *out_len)
{
    struct buf buf = stored_case(state);
    char *blob = malloc(buf.len);
    assert_non_null(blob);
    memcpy(blob, buf.data, buf.len);
    *out_len = buf.len;
    buf_done(&buf);
    return blob;
}

struct outcomes {
    unsigned count[FOLD_KEY_MISMATCH + 1];
};

/* Folds the whole history, storing and loading between any two events. Returns the last blob. */
static char *fold(struct random *random, const struct case_history *history, size_t *out_len, struct outcomes *out)
{
    struct uuid organization_id = sample_uuid(1);
    struct case_state state;
    char *blob = NULL;
    unsigned cut_percent = random_below(random, 101);
    case_init(&state, &organization_id);
    *out = (struct outcomes){{0}};
    for (unsigned i = 0; i < history->count; i++) {
        out->count[case_apply(&state, &history->events[i])]++;
        if (random_chance(random, cut_percent)) {
            size_t len;
            char *next = store(&state, &len);
            free(blob);
            blob = next;
            assert_true(case_load((struct str){blob, len}, &state));
        }
    }
    char *last = store(&state, out_len);
    free(blob);
    return last;
}

static struct buf render(const struct case_state *state)
{
    const struct entity_names *const names[NAME_SLOT_COUNT] = {NULL};
    struct uuid id = sample_uuid(2);
    struct buf out;
    buf_init(&out, 1 << 20);
    render_case(&id, state, names, &out);
    assert_false(out.overflow);
    return out;
}

static void assert_as_naive(const struct case_state *state, const struct naive_case *naive)
{
    assert_int_equal(state->over, naive->over);
    assert_int_equal(case_is_incomplete(state), !naive->over && !naive->has_snapshot);
    assert_int_equal(case_is_degraded(state), naive->degraded);
    assert_int_equal(case_is_listed(state), naive->listed);
    if (naive->over || !naive->has_snapshot)
        return;
    struct case_state expected;
    case_init(&expected, &state->organization_id);
    expected.fields = naive->fields;
    struct buf left = render(state);
    struct buf right = render(&expected);
    if (left.len != right.len || memcmp(left.data, right.data, left.len) != 0)
        fail_msg("\nfold:  %s\nnaive: %s", left.data, right.data);
    buf_done(&left);
    buf_done(&right);
}

static void one_history(struct random *random, struct case_history *history)
{
    random_case_history(random, history);
    struct uuid organization_id = sample_uuid(1);
    struct naive_case naive = naive_case_fold(&organization_id, history->events, history->count);
    char *first = NULL;
    size_t first_len = 0;
    for (unsigned order = 0; order < 2; order++) {
        struct outcomes outcomes;
        size_t len;
        char *blob = fold(random, history, &len, &outcomes);
        struct case_state state;
        assert_true(case_load((struct str){blob, len}, &state));
        assert_as_naive(&state, &naive);
        assert_int_equal(outcomes.count[FOLD_KEY_MISMATCH], history->foreign);
        if (!naive.over) {
            assert_int_equal(outcomes.count[FOLD_APPLIED] + outcomes.count[FOLD_UNKNOWN_TYPE], history->distinct);
            assert_int_equal(outcomes.count[FOLD_OVER], 0);
        }
        if (order == 0) {
            first = blob;
            first_len = len;
            shuffle_case_history(random, history);
            continue;
        }
        assert_int_equal(len, first_len);
        assert_memory_equal(blob, first, len);
        free(blob);
    }
    free(first);
}

static void test_case_apply_random_histories_same_as_naive_fold(void **unused)
{
    (void)unused;
    struct random random = random_start("case histories");
    struct case_history *history = malloc(sizeof *history);
    assert_non_null(history);
    for (unsigned i = 0; i < HISTORIES; i++)
        one_history(&random, history);
    free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_apply_random_histories_same_as_naive_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
