#include "workers/sink/case_fold.h"

#include "workers/fold/case.h"

static struct fold_result refused(enum park_reason reason, const char *text)
{
    return (struct fold_result){.reason = reason, .text = text};
}

struct fold_result case_fold(struct states *cases, struct state *state, int32_t part, const struct case_event *event,
                             struct fold_scratch *scratch, struct batch *batch)
{
    struct case_state folded;
    if (state->blob == NULL)
        case_init(&folded, &event->organization_id);
    else if (!case_load(state_blob(state), &folded))
        return refused(PARK_REFUSED_BY_DATABASE,
                       "case_state holds a state of this case that this version cannot read: caseview repair");
    enum fold_outcome outcome = case_apply(&folded, event);
    if (outcome == FOLD_KEY_MISMATCH)
        return refused(PARK_KEY_MISMATCH, "the case belongs to another organization");
    if (outcome != FOLD_APPLIED && outcome != FOLD_UNKNOWN_TYPE)
        return (struct fold_result){.outcome = outcome};

    buf_reset(&scratch->stored);
    case_store(&folded, &scratch->stored);
    if (scratch->stored.overflow || scratch->stored.len > CASE_STATE_MAX)
        return refused(PARK_TOO_LARGE, "with it the state of its case would be larger than 256 KiB");
    state->flags = case_row_flags(&folded); /* before the old blob is freed, which owns its texts */
    states_set(cases, state, (struct str){scratch->stored.data, scratch->stored.len});
    state->part = part;
    batch_add_case(batch, state, (state->flags & CASE_LISTED) != 0);
    return (struct fold_result){.outcome = outcome};
}

void case_fold_replace(struct states *cases, struct state *state, const struct uuid *organization_id,
                       struct batch *batch)
{
    struct case_state stored;
    /* Deletes the row of active_case of another organization. Our own one may or may not exist. */
    if (state->blob != NULL && case_load(state_blob(state), &stored) &&
        !uuid_eq(&stored.organization_id, organization_id)) {
        struct uuid case_id;
        memcpy(case_id.b, state->entry.key, sizeof case_id.b);
        batch_add_foreign(batch, &stored.organization_id, &case_id);
    }
    states_forget_blob(cases, state);
    state->listed = true;
}
