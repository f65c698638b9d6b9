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

/* A JSON array of texts. */
static void read_roles(struct str text, struct arena *arena, struct entity_fields *fields)
{
    json_t *roles = text.ptr != NULL ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
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

void entity_read(const struct db_result *result, int row, struct arena *arena, struct directory_state *out_state)
{
    *out_state = (struct directory_state){
        .status = (enum entity_status)db_int2(result, row, ENTITY_STATUS),
        .organization_id = db_uuid(result, row, ENTITY_ORGANIZATION),
        .version = db_int8(result, row, ENTITY_VERSION),
        .fields =
            {
                .name = db_str(result, row, ENTITY_NAME),
                .detail = db_str(result, row, ENTITY_DETAIL),
                .picture = db_str(result, row, ENTITY_PICTURE),
                .has_parent = !db_is_null(result, row, ENTITY_PARENT),
                .enabled = db_bool(result, row, ENTITY_ENABLED),
            },
    };
    if (out_state->fields.has_parent)
        out_state->fields.parent_id = db_uuid(result, row, ENTITY_PARENT);
    read_roles(db_str(result, row, ENTITY_ROLES), arena, &out_state->fields);
}

void entity_row_args(struct db_args *args, const struct entity_row *rows, size_t n)
{
    db_arg_int2_array(args, &rows->kind, sizeof *rows, n);
    db_arg_uuid_array(args, &rows->organization_id, sizeof *rows, n);
    db_arg_uuid_array(args, &rows->entity_id, sizeof *rows, n);
    db_arg_int2_array(args, &rows->status, sizeof *rows, n);
    db_arg_int8_array(args, &rows->version, sizeof *rows, n);
    db_arg_int8_array(args, &rows->nth, sizeof *rows, n);
    db_arg_text_array(args, &rows->name, sizeof *rows, n);
    db_arg_text_array(args, &rows->detail, sizeof *rows, n);
    db_arg_text_array(args, &rows->picture, sizeof *rows, n);
    db_arg_uuid_null_array(args, &rows->parent_id, &rows->has_parent, sizeof *rows, n);
    db_arg_text_array(args, &rows->roles, sizeof *rows, n);
    db_arg_bool_array(args, &rows->enabled, sizeof *rows, n);
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
