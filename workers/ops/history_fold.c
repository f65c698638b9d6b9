#include "workers/ops/history_fold.h"

#include "workers/ops/history_compare.h"
#include "workers/ops/history_text.h"

#define EFFECT_MAX (64u << 10)

static const char *no_effect_text(enum fold_outcome outcome)
{
    switch (outcome) {
    case FOLD_DUPLICATE:
        return "duplicate: that sequence was folded before, no effect";
    case FOLD_UNKNOWN_TYPE:
        return "unknown type: its sequence counts as seen, no effect";
    case FOLD_OVER:
        return "the case was over before: no effect";
    case FOLD_KEY_MISMATCH:
        return "the case belongs to another organization: no effect";
    case FOLD_APPLIED:
        break;
    }
    return "";
}

/* ---- cases ---- */

/* The groups that the event sets in an empty state. */
static uint32_t would_set(const struct case_event *event)
{
    struct case_state empty;
    uint32_t groups = 0;
    case_init(&empty, &event->organization_id);
    (void)case_apply(&empty, event);
    for (enum case_group group = 0; group < GROUP_COUNT; group++)
        groups |= empty.group_sequence[group] ? GROUP_BIT(group) : 0;
    return groups;
}

static void put_groups(const struct case_state *before, const struct case_state *after, const struct case_event *event,
                       struct buf *out)
{
    uint32_t set = 0, lost = 0, wanted = would_set(event);
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (after->group_sequence[group] != before->group_sequence[group])
            set |= GROUP_BIT(group);
        else if (wanted & GROUP_BIT(group))
            lost |= GROUP_BIT(group);
    }
    if (set) {
        buf_puts(out, "set ");
        if (set == GROUP_ALL)
            buf_puts(out, "all");
        else
            groups_put(set, out);
    }
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (!(lost & GROUP_BIT(group)))
            continue;
        buf_printf(out, "%s%s (#%" PRId64 ")",
                   (lost & (GROUP_BIT(group) - 1)) ? ", "
                   : set                           ? "; older than what set "
                                                   : "older than what set ",
                   group_name(group), after->group_sequence[group]);
    }
}

static void put_case(struct case_state *state, const struct case_event *event, struct buf *out)
{
    struct case_state before = *state;
    enum fold_outcome outcome = case_apply(state, event);
    if (outcome != FOLD_APPLIED)
        buf_puts(out, no_effect_text(outcome));
    else if (state->over)
        buf_puts(out, "the case is over");
    else
        put_groups(&before, state, event, out);
}

/* ---- agents ---- */

static int64_t set_sequence_of(const struct agent_state *state, const struct uuid *unit_id)
{
    for (size_t i = 0; i < state->unit_count; i++)
        if (uuid_eq(&state->units[i].unit_id, unit_id))
            return state->units[i].set_sequence;
    return 0;
}

static void put_applied(const struct agent_state *state, const struct agent_event *event, struct buf *out)
{
    char unit[UUID_TEXT_LEN + 1];
    uuid_format(&event->unit_id, unit);
    bool of_unit = event->type == AGENT_WORKSPACES_SELECTED || event->type == AGENT_UNIT_ACCESS_REVOKED;
    int64_t winner = of_unit ? set_sequence_of(state, &event->unit_id) : state->unit_sequence;
    bool won = winner == event->sequence;
    switch (event->type) {
    case AGENT_CURRENT_UNIT_SELECTED:
        buf_printf(out, won ? "set the current unit: %s" : "older than what set the current unit: %s", unit);
        break;
    case AGENT_CURRENT_UNIT_CLEARED:
        buf_puts(out, won ? "set the current unit: none" : "older than what set the current unit");
        break;
    case AGENT_WORKSPACES_SELECTED:
        buf_printf(
            out, won ? "set the %zu workspaces of unit %s" : "older than what set the workspaces (%zu here) of unit %s",
            event->workspace_count, unit);
        break;
    case AGENT_UNIT_ACCESS_REVOKED:
        buf_printf(out, won ? "dropped the workspaces of unit %s" : "older than what set the workspaces of unit %s",
                   unit);
        break;
    case AGENT_UNKNOWN_TYPE:
    case AGENT_EVENT_TYPE_COUNT:
        break;
    }
    if (!won)
        buf_printf(out, " (#%" PRId64 ")", winner);
}

static void put_agent(struct agent_state *state, const struct agent_event *event, struct buf *out)
{
    enum fold_outcome outcome = agent_apply(state, event);
    assert(outcome != FOLD_OVER &&
           outcome != FOLD_KEY_MISMATCH); /* an agent is never over, and its key names the organization */
    if (outcome == FOLD_APPLIED)
        put_applied(state, event, out);
    else
        buf_puts(out, no_effect_text(outcome));
}

/* ---- one key ---- */

/* Why an entry does not count for the state. */
static void put_left_out(const struct history_entry *entry, struct buf *out)
{
    const struct history_left_out *row = entry->left_out;
    if (row != NULL) {
        buf_printf(out, row->skipped ? "skipped by an operator; it was parked: %s" : "parked: %s", row->reason);
        if (!entry->usable)
            buf_printf(out, " (%.*s)", (int)entry->text.len, entry->text.ptr);
        else if (!row->skipped && strcmp(row->reason, park_reason_name(PARK_KEY_MISMATCH)) != 0)
            buf_puts(out, "; it can be decoded now: `caseview parked retry`");
    } else if (!entry->folded) {
        buf_puts(out, "not folded yet");
        if (!entry->usable)
            buf_printf(out, "; will be parked: %s (%.*s)", park_reason_name(entry->reason), (int)entry->text.len,
                       entry->text.ptr);
    } else {
        buf_printf(out, "cannot be decoded here: %s (%.*s), but it is not parked: are these the workers' schemas?",
                   park_reason_name(entry->reason), (int)entry->text.len, entry->text.ptr);
    }
}

static void fold_entry(const struct history_key *key, struct history_fold *fold, const struct history_entry *entry,
                       struct buf *out)
{
    if (!entry->foreign)
        fold->parts |= part_bit(entry->part);
    if (!history_entry_counts(entry)) {
        fold->not_yet += entry->left_out == NULL && !entry->folded;
        put_left_out(entry, out);
        return;
    }
    if (!fold->known && key->topic == TOPIC_CASES)
        case_init(&fold->c, &entry->event.c.organization_id);
    fold->known = true;
    if (key->topic == TOPIC_CASES)
        put_case(&fold->c, &entry->event.c, out);
    else
        put_agent(&fold->a, &entry->event.a, out);
}

enum cv_status history_fold_key(const struct history_key *key, struct history_fold *out_fold, struct err *err)
{
    struct buf text CV_CLEANUP(buf_done);
    struct history_fold fold = {.effects = arena_zalloc(key->arena, (key->count + 1) * sizeof *fold.effects)};
    buf_init(&text, EFFECT_MAX);
    agent_init(&fold.a, key->arena);
    for (size_t i = 0; i < key->count && fold.effects != NULL; i++) {
        buf_reset(&text);
        fold_entry(key, &fold, &key->entries[i], &text);
        fold.effects[i] = arena_str(key->arena, (struct str){text.len ? text.data : "", text.len});
    }
    if (arena_full(key->arena)) {
        err_set(err, "folding the %zu events of this key needs too much memory", key->count);
        return CV_FATAL;
    }
    *out_fold = fold;
    return CV_OK;
}
