#include "workers/sink/entity_fold.h"

#include <jansson.h>

/* ---- rows of the table ---- */

enum {
    COL_KIND,
    COL_ORGANIZATION,
    COL_ENTITY,
    COL_STATUS,
    COL_VERSION,
    COL_NAME,
    COL_DETAIL,
    COL_PICTURE,
    COL_PARENT,
    COL_ROLES,
    COL_ENABLED
};

/* A column text[] of the database, as JSON: it can always be read. */
static void parse_roles(struct str text, struct arena *arena, struct entity_fields *fields)
{
    json_t *roles = json_loadb(text.ptr, text.len, 0, NULL);
    assert(roles != NULL);
    size_t count = json_array_size(roles);
    struct str *items = arena_alloc(arena, (count + 1) * sizeof *items);
    assert(items != NULL);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(roles, i);
        items[i] = arena_str(arena, (struct str){json_string_value(item), json_string_length(item)});
    }
    json_decref(roles);
    fields->roles = items;
    fields->role_count = count;
}

static void read_fields(const struct db_result *result, int row, struct arena *arena, struct entity_fields *fields)
{
    fields->name = db_str(result, row, COL_NAME);
    fields->detail = db_str(result, row, COL_DETAIL);
    fields->picture = db_str(result, row, COL_PICTURE);
    fields->has_parent = !db_is_null(result, row, COL_PARENT);
    if (fields->has_parent)
        fields->parent_id = db_uuid(result, row, COL_PARENT);
    fields->enabled = db_bool(result, row, COL_ENABLED);
    struct str roles = db_str(result, row, COL_ROLES);
    if (roles.ptr != NULL)
        parse_roles(roles, arena, fields);
}

void entity_load(struct cache *entities, const struct db_result *result, int row, struct arena *arena)
{
    uint8_t key[ENTITY_KEY];
    struct directory_state state;
    struct uuid organization_id = db_uuid(result, row, COL_ORGANIZATION), entity_id = db_uuid(result, row, COL_ENTITY);
    enum entity_kind kind = (enum entity_kind)db_int2(result, row, COL_KIND);
    entity_key(kind, &organization_id, &entity_id, key);
    struct entity *entity = (struct entity *)cache_find(entities, key);
    if (entity->state.status != ENTITY_FORGOTTEN)
        return;
    directory_init(&state, &organization_id);
    state.status = (enum entity_status)db_int2(result, row, COL_STATUS);
    state.version = db_int8(result, row, COL_VERSION);
    if (state.status == ENTITY_KNOWN)
        read_fields(result, row, arena, &state.fields);
    entity_set(entities, entity, &state);
}

/* ---- folding ---- */

/*
 * An application that its owner forgot and another organization takes over: the former owner's row must say so, even if
 * the same batch holds both events.
 */
static void change_owner(struct entity *entity, const struct directory_event *event, struct batch *batch)
{
    if (entity->visible) {
        struct uuid application_id = entity_id_of(entity);
        batch_add_left_owner(batch, &entity->state.organization_id, &application_id);
    }
    entity->state.organization_id = event->organization_id;
}

struct fold_result entity_fold(struct cache *entities, struct entity *entity, const struct directory_event *event,
                               struct batch *batch)
{
    static const struct uuid none;
    bool visible = false;
    if (entity->state.status == ENTITY_FORGOTTEN && !uuid_eq(&entity->state.organization_id, &event->organization_id)) {
        if (uuid_eq(&entity->state.organization_id, &none))
            entity->state.organization_id = event->organization_id; /* no row and no event before */
        else
            change_owner(entity, event, batch);
    }
    struct directory_state folded = entity->state;
    enum fold_outcome outcome = directory_apply(&folded, event, &visible);
    if (outcome == FOLD_KEY_MISMATCH)
        return (struct fold_result){.reason = PARK_KEY_MISMATCH,
                                    .text = "the application belongs to another organization"};
    if (outcome == FOLD_APPLIED) {
        entity_set(entities, entity, &folded);
        entity->visible |= visible;
        batch_add_entity(batch, entity);
    }
    return (struct fold_result){.outcome = outcome == FOLD_OVER ? FOLD_DUPLICATE : outcome};
}
