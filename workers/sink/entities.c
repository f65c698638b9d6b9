#include "workers/sink/entities.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/fold/directory.h"

static const struct db_statement directory_load_statement = {"directory_load", sql_directory_load};

/* The events of the batch sorted so that those of one entity follow each other in order of arrival. */
struct entity_event {
    struct batch_event *event;
    size_t arrival;
};

/* Applications are globally unique: whatever organization their events name, they are one entity. */
static int compare_entities(const struct directory_event *a, const struct directory_event *b)
{
    int by_kind = (a->kind > b->kind) - (a->kind < b->kind);
    if (by_kind != 0)
        return by_kind;
    int by_organization = a->kind == ENTITY_APPLICATION ? 0 : uuid_cmp(&a->organization_id, &b->organization_id);
    return by_organization != 0 ? by_organization : uuid_cmp(&a->entity_id, &b->entity_id);
}

static int compare_events(const void *a, const void *b)
{
    const struct entity_event *x = a, *y = b;
    int by_entity = compare_entities(&x->event->event.d, &y->event->event.d);
    return by_entity != 0 ? by_entity : (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

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

static enum cv_status load(struct batch *batch, const struct entity_event *events, size_t count,
                           struct fold_context *context, struct db_result **out_result, struct err *err)
{
    struct key_columns {
        int16_t kind;
        struct uuid organization_id, entity_id;
    } *keys = arena_alloc(batch->output, count * sizeof *keys);
    if (keys == NULL)
        return batch_too_large(err);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct directory_event *event = &events[i].event->event.d;
        if (i == 0 || compare_entities(event, &events[i - 1].event->event.d) != 0)
            keys[n++] = (struct key_columns){(int16_t)event->kind, event->organization_id, event->entity_id};
    }
    struct db_args args;
    db_args_init(&args, batch->output);
    db_arg_int2_array(&args, &keys->kind, sizeof *keys, n);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, n);
    db_arg_uuid_array(&args, &keys->entity_id, sizeof *keys, n);
    return db_exec(context->loader, &directory_load_statement, &args, FOLD_QUERY_TIMEOUT_MS, out_result, err);
}

static bool parse_roles(struct str text, struct arena *arena, struct entity_fields *fields)
{
    json_t *roles = json_loadb(text.ptr, text.len, 0, NULL);
    size_t count = json_array_size(roles);
    struct str *items = arena_alloc(arena, (count + 1) * sizeof *items);
    bool ok = roles != NULL && items != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        const json_t *item = json_array_get(roles, i);
        items[i] = arena_str(arena, (struct str){json_string_value(item), json_string_length(item)});
    }
    json_decref(roles);
    fields->roles = items;
    fields->role_count = count;
    return ok;
}

static bool state_of_row(const struct db_result *result, int row, struct arena *arena, struct directory_state *state)
{
    struct uuid organization_id = db_uuid(result, row, COL_ORGANIZATION);
    directory_init(state, &organization_id);
    state->status = (enum entity_status)db_int2(result, row, COL_STATUS);
    state->version = db_int8(result, row, COL_VERSION);
    if (state->status != ENTITY_KNOWN)
        return true;
    state->fields.name = db_str(result, row, COL_NAME);
    state->fields.detail = db_str(result, row, COL_DETAIL);
    state->fields.picture = db_str(result, row, COL_PICTURE);
    state->fields.has_parent = !db_is_null(result, row, COL_PARENT);
    if (state->fields.has_parent)
        state->fields.parent_id = db_uuid(result, row, COL_PARENT);
    state->fields.enabled = db_bool(result, row, COL_ENABLED);
    struct str roles = db_str(result, row, COL_ROLES);
    return roles.ptr == NULL || parse_roles(roles, arena, &state->fields);
}

static int compare_row(const struct db_result *result, int row, const struct directory_event *event)
{
    int kind = db_int2(result, row, COL_KIND);
    struct uuid entity_id = db_uuid(result, row, COL_ENTITY);
    return kind != (int)event->kind ? (kind > (int)event->kind) - (kind < (int)event->kind)
                                    : uuid_cmp(&entity_id, &event->entity_id);
}

/*
 * The row that an entity's state starts from, -1: none. An application's is its owner's, whoever asks; else it is the
 * asking organization's own. Rows come ordered by kind and entity.
 */
static int find_row(const struct db_result *result, const struct directory_event *event)
{
    int low = 0, high = db_rows(result);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_row(result, middle, event) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    int found = -1;
    for (int row = low; row < db_rows(result) && compare_row(result, row, event) == 0; row++) {
        struct uuid organization_id = db_uuid(result, row, COL_ORGANIZATION);
        bool own = uuid_eq(&organization_id, &event->organization_id);
        bool owner = event->kind == ENTITY_APPLICATION && db_int2(result, row, COL_STATUS) != ENTITY_FORGOTTEN;
        if (owner)
            return row;
        if (own)
            found = row;
    }
    return found;
}

/* ---- folding ---- */

/* The roles of a known application as a JSON array. */
static struct str roles_json(const struct directory_state *state, struct batch *batch)
{
    if (state->status != ENTITY_KNOWN)
        return STR_NULL;
    json_t *roles = json_array();
    for (size_t i = 0; i < state->fields.role_count; i++)
        json_array_append_new(roles, json_stringn(state->fields.roles[i].ptr, state->fields.roles[i].len));
    char *text = json_dumps(roles, JSON_COMPACT);
    json_decref(roles);
    assert(text != NULL); /* roles are valid UTF-8 */
    struct str kept = arena_str(batch->output, str_of(text));
    free(text);
    return kept;
}

static void fill_row(struct entity_row *row, const struct directory_event *event, const struct directory_state *state,
                     struct batch *batch)
{
    *row = (struct entity_row){
        .kind = (int16_t)event->kind,
        .status = (int16_t)state->status,
        .organization_id = state->organization_id,
        .entity_id = event->entity_id,
        .version = state->version,
        .name = state->fields.name,
        .detail = state->fields.detail,
        .picture = state->fields.picture,
        .has_parent = state->fields.has_parent,
        .parent_id = state->fields.parent_id,
        .roles = event->kind == ENTITY_APPLICATION ? roles_json(state, batch) : STR_NULL,
        .enabled = state->fields.enabled,
    };
    /* Texts of an unchanged field still lie in the result of the load. */
    row->name = arena_str(batch->output, row->name);
    row->detail = arena_str(batch->output, row->detail);
    row->picture = arena_str(batch->output, row->picture);
}

/* Adds the entity's row; one of the same organization, made earlier for the same entity, is replaced. */
static void add_visible(struct batch *batch, size_t first, const struct directory_event *event,
                        const struct directory_state *state)
{
    size_t at = first;
    while (at < batch->entity_count && !uuid_eq(&batch->entities[at].organization_id, &state->organization_id))
        at++;
    fill_row(&batch->entities[at], event, state, batch);
    if (at == batch->entity_count)
        batch->entity_count++;
}

/* The row of an application that another organization turns out to own is as if it had been forgotten. */
static void leave_owner(struct batch *batch, const struct db_result *result, int row,
                        const struct directory_event *event)
{
    struct uuid owner = db_uuid(result, row, COL_ORGANIZATION);
    if (uuid_eq(&owner, &event->organization_id))
        return;
    struct directory_state forgotten;
    directory_init(&forgotten, &owner);
    add_visible(batch, batch->entity_count, event, &forgotten);
}

/*
 * An application that its owner forgets and another organization takes up within one batch leaves two rows: the first
 * is written before the state changes hands.
 */
static void fold_entity(struct batch *batch, const struct entity_event *events, size_t count,
                        struct directory_state *state)
{
    bool visible = batch->replace, touched = false; /* replaced: whoever shows it looks again */
    size_t first_row = batch->entity_count;
    const struct directory_event *last = &events[0].event->event.d;
    for (size_t i = 0; i < count; i++) {
        const struct batch_event *event = events[i].event;
        const struct directory_event *d = &event->event.d;
        if (state->status == ENTITY_FORGOTTEN && !uuid_eq(&state->organization_id, &d->organization_id)) {
            if (visible)
                add_visible(batch, first_row, last, state);
            visible = touched = false;
            directory_init(state, &d->organization_id);
        }
        bool seen = false;
        switch (directory_apply(state, d, &seen)) {
        case FOLD_APPLIED:
            batch->counts.applied++;
            touched = true;
            last = d;
            break;
        case FOLD_DUPLICATE:
        case FOLD_OVER:
            batch->counts.duplicates++;
            break;
        case FOLD_UNKNOWN_TYPE:
            batch->counts.unknown_types++;
            break;
        case FOLD_KEY_MISMATCH:
            batch_park(batch, &event->record,
                       batch_find_cursor(batch, TOPIC_DIRECTORY, event->record.partition)->topic_name, event->headers,
                       &d->organization_id, PARK_KEY_MISMATCH, "the application belongs to another organization");
            break;
        }
        visible |= seen;
    }
    if (visible)
        add_visible(batch, first_row, last, state);
    else if (touched)
        fill_row(&batch->versions[batch->version_count++], last, state, batch);
}

enum cv_status entities_fold(struct batch *batch, struct fold_context *context, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->event_count; i++)
        count += batch->events[i]->event.topic == TOPIC_DIRECTORY;
    if (count == 0)
        return CV_OK;
    struct entity_event *events = arena_alloc(batch->output, count * sizeof *events);
    /* Twice: an application that is replaced may have had another owner. */
    batch->entities = arena_alloc(batch->output, 2 * count * sizeof *batch->entities);
    batch->versions = arena_alloc(batch->output, count * sizeof *batch->versions);
    if (events == NULL || batch->entities == NULL || batch->versions == NULL)
        return batch_too_large(err);
    size_t n = 0;
    for (size_t i = 0; i < batch->event_count; i++)
        if (batch->events[i]->event.topic == TOPIC_DIRECTORY)
            events[n++] = (struct entity_event){batch->events[i], i};
    qsort(events, count, sizeof *events, compare_events);

    struct db_result *result;
    enum cv_status status = load(batch, events, count, context, &result, err);
    if (status != CV_OK)
        return status;
    size_t end;
    for (size_t start = 0; start < count; start = end) {
        const struct directory_event *first = &events[start].event->event.d;
        for (end = start + 1; end < count && compare_entities(first, &events[end].event->event.d) == 0;)
            end++;
        struct directory_state state;
        int row = find_row(result, first);
        directory_init(&state, &first->organization_id);
        if (row >= 0 && batch->replace) {
            leave_owner(batch, result, row, first);
        } else if (row >= 0 && !state_of_row(result, row, batch->output, &state)) {
            status = batch_too_large(err);
            break;
        }
        fold_entity(batch, &events[start], end - start, &state);
    }
    db_result_free(result);
    for (size_t i = 0; i < batch->entity_count; i++)
        batch->entities[i].nth = (int64_t)(batch->entity_count - 1 - i);
    if (status == CV_OK && arena_full(batch->output))
        status = batch_too_large(err);
    return status;
}
