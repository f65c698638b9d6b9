#include "workers/sink/entity_fold.h"

/* ---- rows of the table ---- */

void entity_load(struct cache *entities, const struct db_result *result, int row, struct arena *arena)
{
    uint8_t key[ENTITY_KEY];
    struct directory_state state;
    struct uuid entity_id = db_uuid(result, row, ENTITY_ID);
    entity_read(result, row, arena, &state);
    entity_key((enum entity_kind)db_int2(result, row, ENTITY_KIND), &state.organization_id, &entity_id, key);
    struct entity *entity = (struct entity *)cache_find(entities, key);
    if (entity->state.status != ENTITY_FORGOTTEN)
        return;
    if (state.status != ENTITY_KNOWN)
        state.fields = (struct entity_fields){0};
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
