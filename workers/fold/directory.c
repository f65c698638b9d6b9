#include "workers/fold/directory.h"

void directory_init(struct directory_state *state, const struct uuid *organization_id)
{
    *state = (struct directory_state){.status = ENTITY_FORGOTTEN, .organization_id = *organization_id};
}

static bool same_roles(const struct entity_fields *a, const struct entity_fields *b)
{
    if (a->role_count != b->role_count)
        return false;
    for (size_t i = 0; i < a->role_count; i++) {
        if (!str_eq(a->roles[i], b->roles[i]))
            return false;
    }
    return true;
}

static bool same_fields(const struct entity_fields *a, const struct entity_fields *b)
{
    return str_eq(a->name, b->name) && str_eq(a->detail, b->detail) && str_eq(a->picture, b->picture) &&
           a->has_parent == b->has_parent && (!a->has_parent || uuid_eq(&a->parent_id, &b->parent_id)) &&
           a->enabled == b->enabled && same_roles(a, b);
}

/* An application belongs to the organization of its first event, until it is forgotten. */
static bool owned_by_another(const struct directory_state *state, const struct directory_event *event)
{
    return event->kind == ENTITY_APPLICATION && state->status != ENTITY_FORGOTTEN &&
           !uuid_eq(&state->organization_id, &event->organization_id);
}

static struct directory_state outcome_of(const struct directory_state *state, const struct directory_event *event)
{
    switch (event->type) {
    case DIRECTORY_UPSERTED:
        return (struct directory_state){ENTITY_KNOWN, event->organization_id, event->version, event->fields};
    case DIRECTORY_REMOVED:
        return (struct directory_state){
            .status = ENTITY_REMOVED, .organization_id = event->organization_id, .version = event->version};
    case DIRECTORY_FORGOTTEN:
        return (struct directory_state){.status = ENTITY_FORGOTTEN, .organization_id = state->organization_id};
    case DIRECTORY_UNKNOWN_TYPE:
        break;
    }
    return *state;
}

enum fold_outcome directory_apply(struct directory_state *state, const struct directory_event *event, bool *out_visible)
{
    assert(event->type <= DIRECTORY_FORGOTTEN);
    *out_visible = false;
    if (owned_by_another(state, event))
        return FOLD_KEY_MISMATCH;
    if (event->type == DIRECTORY_UNKNOWN_TYPE)
        return FOLD_UNKNOWN_TYPE;
    if (event->type != DIRECTORY_FORGOTTEN && event->version <= state->version)
        return FOLD_DUPLICATE;

    struct directory_state next = outcome_of(state, event);
    *out_visible = next.status != state->status || !same_fields(&next.fields, &state->fields);
    *state = next;
    return FOLD_APPLIED;
}

bool directory_merge(struct directory_state *into, const struct directory_state *from, bool *out_visible)
{
    *out_visible = false;
    if (from->status == ENTITY_FORGOTTEN)
        return false;
    bool same_owner = uuid_eq(&into->organization_id, &from->organization_id);
    bool same_content = same_owner && into->status == from->status && same_fields(&into->fields, &from->fields);
    if (same_owner && (from->version < into->version || (from->version == into->version && same_content)))
        return false;
    *out_visible = !same_content;
    *into = *from;
    return true;
}
