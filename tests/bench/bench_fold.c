/*
 * CPU a case event costs in the fold, on one core, as the worker runs it when nothing is cached: load the state, apply,
 * store. Many cases, visited in turn, so that states are not in the first cache.
 */
#include <stdio.h>

#include "caseview/clock.h"
#include "tests/support/sample_case.h"
#include "workers/fold/case.h"

#define CASES  20000
#define ROUNDS 40

static const enum case_event_type types[] = {
    CASE_SERVICE_STARTED, CASE_TICKET_PRINTED, CASE_UPDATED,           CASE_USER_ASSIGNED,
    CASE_MOVED,           CASE_RESOLVED,       CASE_RETURNED_TO_QUEUE, CASE_POSITION_CHANGED,
};

struct kept {
    char *data;
    size_t len;
};

static void keep(struct kept *kept, const struct buf *blob)
{
    if (blob->len > kept->len)
        kept->data = cv_realloc(kept->data, blob->len);
    memcpy(kept->data, blob->data, blob->len);
    kept->len = blob->len;
}

static struct case_event next_event(int64_t sequence)
{
    struct case_event event = sample_event(types[(size_t)sequence % ARRAY_LEN(types)], sequence, 0);
    event.given = GROUP_BIT(GROUP_PHONE);
    return event;
}

int main(void)
{
    struct kept *cases = cv_zalloc(CASES * sizeof *cases);
    struct buf blob;
    struct case_state state;
    size_t stored_bytes = 0;
    buf_init(&blob, 1 << 20);

    struct case_event queued = sample_event(CASE_QUEUED, 1, 0);
    queued.fields = sample_page_fields();
    for (size_t i = 0; i < CASES; i++) {
        case_init(&state, &queued.organization_id);
        if (case_apply(&state, &queued) != FOLD_APPLIED)
            return 1;
        buf_reset(&blob);
        case_store(&state, &blob);
        keep(&cases[i], &blob);
    }
    int64_t start = clock_cpu_us();
    for (int64_t round = 0; round < ROUNDS; round++) {
        struct case_event event = next_event(round + 2);
        for (size_t i = 0; i < CASES; i++) {
            if (!case_load((struct str){cases[i].data, cases[i].len}, &state) ||
                case_apply(&state, &event) != FOLD_APPLIED)
                return 1;
            buf_reset(&blob);
            case_store(&state, &blob);
            keep(&cases[i], &blob);
            stored_bytes += blob.len;
        }
    }
    int64_t full_us = clock_cpu_us() - start;

    if (!case_load((struct str){cases[0].data, cases[0].len}, &state))
        return 1;
    struct case_event events[ARRAY_LEN(types)];
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        events[i] = next_event((int64_t)i);
    start = clock_cpu_us();
    for (int64_t i = 0; i < CASES * ROUNDS; i++) {
        struct case_event *event = &events[(size_t)i % ARRAY_LEN(types)];
        event->sequence = state.sequence.highest + 1;
        if (case_apply(&state, event) != FOLD_APPLIED)
            return 1;
    }
    int64_t apply_us = clock_cpu_us() - start;

    double events_done = (double)CASES * ROUNDS;
    printf(
        "bench_fold: load+apply+store %.0f ns CPU an event (%.2f M events/s a core), apply alone %.0f ns, state %.0f "
        "bytes\n",
        (double)full_us * 1e3 / events_done, events_done / (double)full_us, (double)apply_us * 1e3 / events_done,
        (double)stored_bytes / events_done);
    for (size_t i = 0; i < CASES; i++)
        free(cases[i].data);
    free(cases);
    buf_done(&blob);
    return 0;
}
