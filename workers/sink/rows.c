#include "workers/sink/rows.h"

/* The length limits keep rows far below it. A buffer that reaches it sets its overflow flag. */
#define ROW_MAX (64u << 20)

int16_t case_row_flags(const struct case_state *state)
{
    return (int16_t)((case_is_listed(state) ? CASE_LISTED : 0) | (case_is_degraded(state) ? CASE_DEGRADED : 0) |
                     (case_is_incomplete(state) ? CASE_INCOMPLETE : 0) | (state->over ? CASE_OVER : 0));
}

void listed_row_init(struct listed_row *row)
{
    *row = (struct listed_row){0};
    buf_init(&row->refs, ROW_MAX);
    buf_init(&row->body, ROW_MAX);
}

void listed_row_done(struct listed_row *row)
{
    buf_done(&row->refs);
    buf_done(&row->body);
}

void gate_row_init(struct gate_row *row)
{
    *row = (struct gate_row){0};
    buf_init(&row->refs, ROW_MAX);
}

void gate_row_done(struct gate_row *row)
{
    buf_done(&row->refs);
}

void case_want_names(const struct case_state *state, struct names *names)
{
    struct entity_ref refs[NAME_SLOT_COUNT];
    case_names_wanted(state, refs);
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++)
        if (refs[i].present)
            names_want(names, &state->organization_id, refs[i].kind, &refs[i].id);
}

/* Customers and those who serve the case are found by indexes of active_case. */
static bool is_found_by_index(const struct entity_ref refs[NAME_SLOT_COUNT], size_t slot)
{
    const struct entity_ref *locked_by = &refs[NAME_LOCKED_BY];
    return slot == NAME_CUSTOMER || slot == NAME_LOCKED_BY ||
           (slot == NAME_ASSIGNED_TO && locked_by->present && uuid_eq(&refs[slot].id, &locked_by->id));
}

void case_mark_names(const struct case_state *state, struct names *names)
{
    struct entity_ref refs[NAME_SLOT_COUNT];
    case_names_wanted(state, refs);
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++)
        if (refs[i].present && !is_found_by_index(refs, i))
            names_mark(names, &state->organization_id, refs[i].kind, &refs[i].id);
}

void case_make_row(const struct uuid *case_id, const struct case_state *state, struct names *names,
                   struct listed_row *out_row)
{
    struct entity_ref refs[NAME_SLOT_COUNT];
    const struct entity_names *found[NAME_SLOT_COUNT] = {NULL};
    case_names_wanted(state, refs);
    out_row->customer_ref = 0;
    buf_reset(&out_row->refs);
    buf_reset(&out_row->body);
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++) {
        if (!refs[i].present)
            continue;
        found[i] = names_get(names, &state->organization_id, refs[i].kind, &refs[i].id);
        if (i == NAME_CUSTOMER)
            out_row->customer_ref = names_hash(&state->organization_id, refs[i].kind, &refs[i].id);
        else
            names_put_ref(&out_row->refs, &state->organization_id, refs[i].kind, &refs[i].id);
    }
    render_case(case_id, state, found, &out_row->body);
}

void agent_want_names(const struct uuid *organization_id, const struct agent_state *state, struct names *names)
{
    struct uuid unit_id;
    size_t count;
    if (!agent_current_unit(state, &unit_id))
        return;
    const struct uuid *workspaces = agent_current_workspaces(state, &count);
    names_want(names, organization_id, ENTITY_UNIT, &unit_id);
    for (size_t i = 0; i < count; i++)
        names_want(names, organization_id, ENTITY_WORKSPACE, &workspaces[i]);
}

void agent_mark_names(const struct uuid *organization_id, const struct agent_state *state, struct names *names)
{
    struct uuid unit_id;
    size_t count;
    if (!agent_current_unit(state, &unit_id))
        return;
    const struct uuid *workspaces = agent_current_workspaces(state, &count);
    names_mark(names, organization_id, ENTITY_UNIT, &unit_id);
    for (size_t i = 0; i < count; i++)
        names_mark(names, organization_id, ENTITY_WORKSPACE, &workspaces[i]);
}

struct gate_context {
    struct names *names;
    const struct uuid *organization_id;
};

static bool is_removed(void *context, enum entity_kind kind, const struct uuid *id)
{
    const struct gate_context *gate = context;
    return names_is_removed(gate->names, gate->organization_id, kind, id);
}

void agent_make_row(const struct uuid *organization_id, const struct agent_state *state, struct names *names,
                    struct gate_row *out_row)
{
    struct gate_context gate = {names, organization_id};
    struct uuid unit_id;
    buf_reset(&out_row->refs);
    out_row->gates = agent_evaluate(state, is_removed, &gate);
    if (!agent_current_unit(state, &unit_id))
        return;
    size_t count;
    const struct uuid *workspaces = agent_current_workspaces(state, &count);
    names_put_ref(&out_row->refs, organization_id, ENTITY_UNIT, &unit_id);
    for (size_t i = 0; i < count; i++)
        names_put_ref(&out_row->refs, organization_id, ENTITY_WORKSPACE, &workspaces[i]);
}
