#include "workers/sink/entity.h"

#include <jansson.h>

static void drop_entry(struct cache_entry *entry, void *context CV_UNUSED)
{
    free(((struct entity *)entry)->texts);
}

struct cache *entities_new(void)
{
    /* No ceiling of its own: what is here belongs to a batch, whose bytes count it. */
    return cache_new(ENTITY_KEY, sizeof(struct entity), SIZE_MAX, drop_entry, NULL);
}

enum entity_kind entity_kind_of(const struct entity *entity)
{
    return (enum entity_kind)entity->entry.key[0];
}

struct uuid entity_id_of(const struct entity *entity)
{
    return entity_key_columns(entity->entry.key).entity_id;
}

static struct str copy_text(char **at, struct str text)
{
    if (text.ptr == NULL)
        return STR_NULL;
    memcpy(*at, text.ptr, text.len);
    struct str copy = {*at, text.len};
    *at += text.len;
    return copy;
}

void entity_set(struct cache *entities, struct entity *entity, const struct directory_state *state)
{
    const struct entity_fields *from = &state->fields;
    size_t list = from->role_count * sizeof(struct str);
    size_t bytes = list + from->name.len + from->detail.len + from->picture.len;
    for (size_t i = 0; i < from->role_count; i++)
        bytes += from->roles[i].len;
    char *texts = cv_alloc(bytes + 1);
    char *at = texts + list;
    struct str *roles = (struct str *)(void *)texts;
    struct directory_state kept = *state;
    kept.fields.name = copy_text(&at, from->name);
    kept.fields.detail = copy_text(&at, from->detail);
    kept.fields.picture = copy_text(&at, from->picture);
    for (size_t i = 0; i < from->role_count; i++)
        roles[i] = copy_text(&at, from->roles[i]);
    kept.fields.roles = from->role_count > 0 ? roles : NULL;
    free(entity->texts); /* only now: the new state may borrow from the old one */
    entity->texts = texts;
    entity->state = kept;
    cache_weigh(entities, &entity->entry, bytes);
}

/* The roles of a known application as a JSON array. */
static struct str roles_json(const struct directory_state *state, struct arena *arena)
{
    if (state->status != ENTITY_KNOWN)
        return STR_NULL;
    json_t *roles = json_array();
    for (size_t i = 0; i < state->fields.role_count; i++)
        json_array_append_new(roles, json_stringn(state->fields.roles[i].ptr, state->fields.roles[i].len));
    char *text = json_dumps(roles, JSON_COMPACT);
    json_decref(roles);
    assert(text != NULL); /* roles are valid UTF-8 */
    struct str kept = arena_str(arena, str_of(text));
    free(text);
    return kept;
}

void entity_make_row(const struct entity *entity, struct arena *arena, struct entity_row *out_row)
{
    const struct directory_state *state = &entity->state;
    enum entity_kind kind = entity_kind_of(entity);
    *out_row = (struct entity_row){
        .kind = (int16_t)kind,
        .status = (int16_t)state->status,
        .organization_id = state->organization_id,
        .entity_id = entity_id_of(entity),
        .version = state->version,
        .name = arena_str(arena, state->fields.name),
        .detail = arena_str(arena, state->fields.detail),
        .picture = arena_str(arena, state->fields.picture),
        .has_parent = state->fields.has_parent,
        .parent_id = state->fields.parent_id,
        .roles = kind == ENTITY_APPLICATION ? roles_json(state, arena) : STR_NULL,
        .enabled = state->fields.enabled,
    };
}
