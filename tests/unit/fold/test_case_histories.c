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
#include "tests/support/random.h"
#include "tests/support/sample_case.h"
#include "workers/fold/render.h"

#define HISTORIES  20000
#define NUMBERS    30 /* at most SEQUENCE_MAX_GAPS, so that "many" cannot occur */
#define EVENTS_MAX (3 * NUMBERS)

struct history {
    struct case_event events[EVENTS_MAX];
    unsigned count;
    unsigned foreign;
    unsigned distinct; /* distinct numbers of the case's organization */
};

static struct case_event random_event(struct random *random, int64_t sequence)
{
    static const enum case_event_type ends[] = {CASE_CLOSED, CASE_QUEUE_ABANDONED, CASE_APPOINTMENT_CANCELLED};
    static const struct {
        enum case_event_type first, last;
    } middle[] = {{CASE_APPOINTMENT_CHECKED_IN, CASE_APPOINTMENT_CHECKED_IN},
                  {CASE_STATUS_CHANGED, CASE_RESOLVED},
                  {CASE_REOPENED, CASE_REOPENED},
                  {CASE_POSITION_CHANGED, CASE_ONLINE_MEETING_SET},
                  {CASE_SERVICE_STARTED, CASE_SERVICE_STARTED}};
    unsigned kind = random_below(random, ARRAY_LEN(middle));
    unsigned span = (unsigned)middle[kind].last - (unsigned)middle[kind].first + 1;
    enum case_event_type type = (enum case_event_type)((unsigned)middle[kind].first + random_below(random, span));
    if (random_chance(random, sequence == 1 ? 70 : 6))
        type = random_chance(random, 50) ? CASE_QUEUED : CASE_APPOINTMENT_BOOKED;
    if (random_chance(random, 1))
        type = ends[random_below(random, ARRAY_LEN(ends))];
    if (random_chance(random, 5))
        type = CASE_UNKNOWN_TYPE;

    struct case_event event = sample_event(type, sequence, random_below(random, 4));
    struct case_fields other = sample_fields(random_below(random, 4));
    event.given = (uint32_t)random_next(random) & GROUP_ALL;
    event.fields.status = random_chance(random, 50) ? STR("Active") : other.status;
    event.fields.case_timestamp += sequence; /* so that every event has a different effect */
    event.fields.rank = (float)random_below(random, 1000) / 8;
    event.fields.locked_by.present = type == CASE_SERVICE_STARTED || random_chance(random, 70);
    event.fields.workstation.present = random_chance(random, 50);
    event.fields.assigned_to.present = type == CASE_USER_ASSIGNED || random_chance(random, 50);
    event.fields.customer.present = random_chance(random, 70);
    event.fields.has_date_closed = random_chance(random, 30);
    if (!event.fields.has_date_closed)
        event.fields.date_closed = 0;
    event.fields.printed_ticket = random_chance(random, 50);
    return event;
}

static void shuffle(struct random *random, struct history *history)
{
    for (unsigned i = history->count; i > 1; i--) {
        unsigned k = random_below(random, i);
        struct case_event swap = history->events[i - 1];
        history->events[i - 1] = history->events[k];
        history->events[k] = swap;
    }
}

static void make_history(struct random *random, struct history *history)
{
    unsigned numbers = 1 + random_below(random, NUMBERS);
    unsigned gap_percent = random_chance(random, 50) ? 0 : random_below(random, 30);
    history->count = 0;
    history->foreign = 0;
    history->distinct = 0;
    for (unsigned number = 1; number <= numbers; number++) {
        if (random_chance(random, gap_percent))
            continue;
        struct case_event event = random_event(random, number);
        history->events[history->count++] = event;
        history->distinct++;
        if (random_chance(random, 20))
            history->events[history->count++] = event;
        if (random_chance(random, 5)) {
            event = random_event(random, number);
            event.organization_id = sample_uuid(99);
            history->events[history->count++] = event;
            history->foreign++;
        }
    }
}

/* Returns the blob in a block of exactly its size, so that a sanitizer detects any read outside it. */
static char *store(const struct case_state *state, size_t *out_len)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    case_store(state, &buf);
    assert_false(buf.overflow);
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
static char *fold(struct random *random, const struct history *history, size_t *out_len, struct outcomes *out)
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

static void one_history(struct random *random, struct history *history)
{
    make_history(random, history);
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
            shuffle(random, history);
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
    struct history *history = malloc(sizeof *history);
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
