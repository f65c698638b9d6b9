#include "workers/fold/agent.h"

#define STORED_VERSION 1
#define FIRST_UNITS    4

void agent_init(struct agent_state *state, struct arena *arena)
{
    state->arena = arena;
    sequence_init(&state->sequence);
    state->unit_sequence = 0;
    state->has_unit = false;
    state->unit_id = (struct uuid){{0}};
    state->units = NULL;
    state->unit_count = 0;
    state->unit_room = 0;
}

/* True when the state has the unit. out_at is its index, or the index at which to insert it. */
static bool find_unit(const struct agent_state *state, const struct uuid *unit_id, size_t *out_at)
{
    size_t low = 0;
    size_t high = state->unit_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = uuid_cmp(&state->units[middle].unit_id, unit_id);
        if (order == 0) {
            *out_at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out_at = low;
    return false;
}

static bool make_room(struct agent_state *state)
{
    if (state->unit_count < state->unit_room)
        return true;
    size_t room = state->unit_room ? 2 * state->unit_room : FIRST_UNITS;
    struct agent_unit *units = arena_alloc(state->arena, room * sizeof *units);
    if (units == NULL)
        return false;
    if (state->unit_count)
        memcpy(units, state->units, state->unit_count * sizeof *units);
    state->units = units;
    state->unit_room = room;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    return uuid_cmp(a, b);
}

/* count > 0. NULL on a full arena. */
static struct uuid *copy_ids(struct arena *arena, const struct uuid *ids, size_t count)
{
    struct uuid *copy = arena_alloc(arena, count * sizeof *copy);
    if (copy != NULL)
        memcpy(copy, ids, count * sizeof *copy);
    return copy;
}

/* Copies the event's set into the arena, in ascending order and without duplicates. */
static bool copy_set(struct arena *arena, const struct agent_event *event, const struct uuid **out_ids,
                     size_t *out_count)
{
    *out_ids = NULL;
    *out_count = 0;
    if (event->workspace_count == 0)
        return true;
    struct uuid *ids = copy_ids(arena, event->workspace_ids, event->workspace_count);
    if (ids == NULL)
        return false;
    qsort(ids, event->workspace_count, sizeof *ids, compare_ids);
    size_t count = 1;
    for (size_t i = 1; i < event->workspace_count; i++) {
        if (!uuid_eq(&ids[i], &ids[count - 1]))
            ids[count++] = ids[i];
    }
    *out_ids = ids;
    *out_count = count;
    return true;
}

static struct agent_unit *insert_unit(struct agent_state *state, size_t at, const struct uuid *unit_id)
{
    struct agent_unit *unit = &state->units[at];
    memmove(unit + 1, unit, (state->unit_count - at) * sizeof *unit);
    *unit = (struct agent_unit){.unit_id = *unit_id};
    state->unit_count++;
    return unit;
}

/*
 * A number is used for both kinds of event only by a broken producer; the sequence does not always detect it (see
 * sequence.h). Then no set remains, in either order: agent_load() accepts nothing else.
 */
static void set_revoked(struct agent_unit *unit, int64_t sequence)
{
    if (sequence <= unit->revoked_sequence)
        return;
    unit->revoked_sequence = sequence;
    if (sequence == unit->set_sequence) {
        unit->workspace_ids = NULL;
        unit->workspace_count = 0;
    }
}

/* Folds WorkspacesSelected and Revoked. Allocates first, so that a full arena leaves the state unchanged. */
static enum fold_outcome apply_to_unit(struct agent_state *state, const struct agent_event *event)
{
    size_t at;
    bool known = find_unit(state, &event->unit_id, &at);
    if (!known && !make_room(state))
        return FOLD_APPLIED;
    bool wins = !known || event->sequence > state->units[at].set_sequence;
    const struct uuid *ids = NULL;
    size_t count = 0;
    if (wins && event->type == AGENT_WORKSPACES_SELECTED && !copy_set(state->arena, event, &ids, &count))
        return FOLD_APPLIED;

    if (!sequence_add(&state->sequence, event->sequence, false))
        return FOLD_DUPLICATE;
    struct agent_unit *unit = known ? &state->units[at] : insert_unit(state, at, &event->unit_id);
    if (wins) {
        unit->set_sequence = event->sequence;
        unit->workspace_ids = ids;
        unit->workspace_count = count;
    }
    if (event->type == AGENT_UNIT_ACCESS_REVOKED)
        set_revoked(unit, event->sequence);
    return FOLD_APPLIED;
}

/* Folds CurrentUnitSelected and Cleared. */
static enum fold_outcome apply_current_unit(struct agent_state *state, const struct agent_event *event)
{
    if (!sequence_add(&state->sequence, event->sequence, false))
        return FOLD_DUPLICATE;
    if (event->sequence > state->unit_sequence) {
        state->unit_sequence = event->sequence;
        state->has_unit = event->type == AGENT_CURRENT_UNIT_SELECTED;
        state->unit_id = state->has_unit ? event->unit_id : (struct uuid){{0}};
    }
    return FOLD_APPLIED;
}

enum fold_outcome agent_apply(struct agent_state *state, const struct agent_event *event)
{
    switch (event->type) {
    case AGENT_CURRENT_UNIT_SELECTED:
    case AGENT_CURRENT_UNIT_CLEARED:
        return apply_current_unit(state, event);
    case AGENT_WORKSPACES_SELECTED:
    case AGENT_UNIT_ACCESS_REVOKED:
        return apply_to_unit(state, event);
    case AGENT_UNKNOWN_TYPE:
        return sequence_add(&state->sequence, event->sequence, false) ? FOLD_UNKNOWN_TYPE : FOLD_DUPLICATE;
    case AGENT_EVENT_TYPE_COUNT:
        break;
    }
    assert(!"an agent event of no type");
    return FOLD_UNKNOWN_TYPE;
}

/* True when from says about a unit what known, the same unit, does not say. */
static bool unit_adds(const struct agent_unit *known, const struct agent_unit *from)
{
    return from->set_sequence > known->set_sequence || from->revoked_sequence > known->revoked_sequence;
}

static bool units_add(const struct agent_state *into, const struct agent_state *from)
{
    for (size_t i = 0; i < from->unit_count; i++) {
        size_t at;
        if (!find_unit(into, &from->units[i].unit_id, &at) || unit_adds(&into->units[at], &from->units[i]))
            return true;
    }
    return false;
}

static bool merge_unit(struct arena *arena, struct agent_unit *unit, const struct agent_unit *from)
{
    if (from->set_sequence > unit->set_sequence) {
        unit->workspace_ids = NULL;
        if (from->workspace_count > 0) {
            unit->workspace_ids = copy_ids(arena, from->workspace_ids, from->workspace_count);
            if (unit->workspace_ids == NULL)
                return false;
        }
        unit->workspace_count = from->workspace_count;
        unit->set_sequence = from->set_sequence;
    }
    set_revoked(unit, from->revoked_sequence);
    return true;
}

/* Works on a copy of the array, so that a full arena leaves the state unchanged. */
static bool merge_units(struct agent_state *into, const struct agent_state *from)
{
    struct agent_state merged = *into;
    merged.unit_room = into->unit_count + from->unit_count;
    merged.units = arena_alloc(into->arena, merged.unit_room * sizeof *merged.units);
    if (merged.units == NULL)
        return false;
    if (into->unit_count > 0)
        memcpy(merged.units, into->units, into->unit_count * sizeof *merged.units);
    for (size_t i = 0; i < from->unit_count; i++) {
        size_t at;
        if (!find_unit(&merged, &from->units[i].unit_id, &at))
            (void)insert_unit(&merged, at, &from->units[i].unit_id);
        if (!merge_unit(into->arena, &merged.units[at], &from->units[i]))
            return false;
    }
    *into = merged;
    return true;
}

bool agent_merge(struct agent_state *into, const struct agent_state *from)
{
    bool changed = units_add(into, from);
    if (changed && !merge_units(into, from))
        return false;
    if (from->unit_sequence > into->unit_sequence) {
        into->unit_sequence = from->unit_sequence;
        into->has_unit = from->has_unit;
        into->unit_id = from->unit_id;
        changed = true;
    }
    return sequence_merge(&into->sequence, &from->sequence) || changed;
}

bool agent_is_degraded(const struct agent_state *state)
{
    return sequence_has_missing(&state->sequence);
}

/* Sequences are stored as in a case: 0 if never set, otherwise 1 + the distance from the highest. */
void agent_store(const struct agent_state *state, struct buf *out)
{
    size_t max = 1 + sequence_stored_max(&state->sequence) + 2 * BLOB_VARINT_MAX + 1 + 16;
    for (size_t i = 0; i < state->unit_count; i++)
        max += 16 + 3 * BLOB_VARINT_MAX + state->units[i].workspace_count * sizeof(struct uuid);
    char *start = buf_reserve(out, max);
    if (start == NULL)
        return;
    int64_t highest = state->sequence.highest;
    char *at = blob_put_byte(start, STORED_VERSION);
    at = sequence_put(&state->sequence, at);
    at = blob_put_sequence(at, highest, state->unit_sequence);
    at = blob_put_byte(at, state->has_unit);
    if (state->has_unit)
        at = blob_put_uuid(at, &state->unit_id);
    at = blob_put_varint(at, state->unit_count);
    for (size_t i = 0; i < state->unit_count; i++) {
        const struct agent_unit *unit = &state->units[i];
        at = blob_put_uuid(at, &unit->unit_id);
        at = blob_put_sequence(at, highest, unit->set_sequence);
        at = blob_put_sequence(at, highest, unit->revoked_sequence);
        at = blob_put_varint(at, unit->workspace_count);
        if (unit->workspace_count)
            at = blob_put_bytes(at, unit->workspace_ids, unit->workspace_count * sizeof(struct uuid));
    }
    *at = '\0';
    out->len += (size_t)(at - start);
}

static bool ascending(const struct uuid *ids, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (uuid_cmp(&ids[i - 1], &ids[i]) >= 0)
            return false;
    }
    return true;
}

static bool get_unit(struct blob_reader *reader, struct arena *arena, int64_t highest, struct agent_unit *unit)
{
    unit->unit_id = blob_get_uuid(reader);
    unit->set_sequence = blob_get_sequence(reader, highest);
    unit->revoked_sequence = blob_get_sequence(reader, highest);
    unit->workspace_ids = NULL;
    unit->workspace_count = (size_t)blob_get_upto(reader, (int64_t)(blob_left(reader) / sizeof(struct uuid)));
    if (unit->set_sequence == 0 || unit->revoked_sequence > unit->set_sequence ||
        (unit->revoked_sequence == unit->set_sequence && unit->workspace_count))
        return false;
    if (unit->workspace_count) {
        size_t size = unit->workspace_count * sizeof(struct uuid);
        const char *bytes = blob_get_bytes(reader, size);
        struct uuid *ids = bytes != NULL ? arena_alloc(arena, size) : NULL;
        if (ids == NULL)
            return false;
        memcpy(ids, bytes, size);
        unit->workspace_ids = ids;
        if (!ascending(ids, unit->workspace_count))
            return false;
    }
    return reader->ok;
}

bool agent_load(struct str blob, struct arena *arena, struct agent_state *out_state)
{
    /* Minimum size of a stored unit. It bounds what a corrupt count can make us allocate. */
    enum { UNIT_MIN = 16 + 3 };

    agent_init(out_state, arena);
    struct blob_reader reader = blob_reader(blob);
    if (blob_get_byte(&reader) != STORED_VERSION)
        return false;
    sequence_get(&reader, &out_state->sequence);
    int64_t highest = out_state->sequence.highest;
    out_state->unit_sequence = blob_get_sequence(&reader, highest);
    unsigned has_unit = blob_get_byte(&reader);
    if (out_state->sequence.base || has_unit > 1 || (has_unit && !out_state->unit_sequence))
        return false;
    out_state->has_unit = has_unit;
    if (has_unit)
        out_state->unit_id = blob_get_uuid(&reader);
    size_t count = (size_t)blob_get_upto(&reader, (int64_t)(blob_left(&reader) / UNIT_MIN));
    if (!count)
        return blob_finished(&reader);
    out_state->units = arena_alloc(arena, count * sizeof *out_state->units);
    if (out_state->units == NULL)
        return false;
    out_state->unit_room = count;
    for (size_t i = 0; i < count; i++) {
        struct agent_unit *unit = &out_state->units[i];
        if (!get_unit(&reader, arena, highest, unit))
            return false;
        if (i > 0 && uuid_cmp(&unit[-1].unit_id, &unit->unit_id) >= 0)
            return false;
        out_state->unit_count++;
    }
    return blob_finished(&reader);
}

/* The unit that the agent selected, unless access to it was revoked afterwards. */
bool agent_current_unit(const struct agent_state *state, struct uuid *out_unit_id)
{
    size_t at;
    if (!state->has_unit)
        return false;
    if (find_unit(state, &state->unit_id, &at) && state->units[at].revoked_sequence > state->unit_sequence)
        return false;
    *out_unit_id = state->unit_id;
    return true;
}

const struct uuid *agent_current_workspaces(const struct agent_state *state, size_t *out_count)
{
    struct uuid unit_id;
    size_t at;
    *out_count = 0;
    if (!agent_current_unit(state, &unit_id) || !find_unit(state, &unit_id, &at))
        return NULL;
    *out_count = state->units[at].workspace_count;
    return state->units[at].workspace_ids;
}

struct agent_gates agent_evaluate(const struct agent_state *state, agent_removed removed, void *context)
{
    struct agent_gates gates = {.has_unit = false};
    struct uuid unit_id;
    if (!agent_current_unit(state, &unit_id) || removed(context, ENTITY_UNIT, &unit_id))
        return gates;
    gates.has_unit = true;
    gates.current_unit_id = unit_id;
    size_t count;
    const struct uuid *ids = agent_current_workspaces(state, &count);
    for (size_t i = 0; i < count && !gates.has_workspaces; i++)
        gates.has_workspaces = !removed(context, ENTITY_WORKSPACE, &ids[i]);
    return gates;
}
