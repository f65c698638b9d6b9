#include "workers/sink/batch.h"

#include <endian.h>
#include <xxhash.h>

#include "caseview/clock.h"
#include "workers/sink/rows.h"

#define ARENA_BLOCK (256u << 10)
#define ARENA_MAX   ((size_t)4 << 30) /* never reached: the worker closes a batch by its bytes (pipeline_is_full()) */

/* What a rendered row takes besides the texts of its state, about. */
#define RENDERED_BASE 900

struct batch *batch_new(void)
{
    struct batch *batch = cv_zalloc(sizeof *batch);
    batch->raw = arena_new(ARENA_BLOCK, ARENA_MAX);
    batch->rows = arena_new(ARENA_BLOCK, ARENA_MAX);
    batch->oldest_record_ms = INT64_MAX;
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    arena_free(batch->raw);
    arena_free(batch->rows);
    free(batch->cases);
    free(batch->agents);
    free(batch->entities);
    free(batch->foreign);
    free(batch->left_owners);
    free(batch->parked);
    free(batch->cursors);
    free(batch);
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->cursor_count == 0;
}

size_t batch_add_cursor(struct batch *batch, const struct batch_cursor *cursor)
{
    if (batch->cursor_count == 0)
        batch->opened_at_us = clock_mono_us();
    batch->cursors = cv_grow(batch->cursors, batch->cursor_count, &batch->cursor_room, sizeof *batch->cursors);
    batch->cursors[batch->cursor_count] = *cursor;
    return batch->cursor_count++;
}

/* ---- filling ---- */

/* What a state or an entity takes now, instead of what it took when it was counted last. */
static void count_bytes(struct batch *batch, unsigned *counted, size_t bytes)
{
    batch->bytes += bytes - *counted;
    *counted = (unsigned)bytes;
}

static void add_state(struct state *state, struct state ***states, size_t *count, size_t *room)
{
    if (state->dirty)
        return;
    state->dirty = true;
    cache_pin(&state->entry);
    *states = cv_grow(*states, *count, room, sizeof **states);
    (*states)[(*count)++] = state;
}

void batch_add_case(struct batch *batch, struct state *state, bool listed)
{
    count_bytes(batch, &state->counted, state->entry.bytes + (listed ? RENDERED_BASE + state->blob->len : 0));
    add_state(state, &batch->cases, &batch->changed_cases, &batch->case_room);
}

void batch_add_agent(struct batch *batch, struct state *state)
{
    count_bytes(batch, &state->counted, state->entry.bytes);
    add_state(state, &batch->agents, &batch->changed_agents, &batch->agent_room);
}

void batch_add_entity(struct batch *batch, struct entity *entity)
{
    count_bytes(batch, &entity->counted, entity->entry.bytes);
    if (entity->dirty)
        return;
    entity->dirty = true;
    cache_pin(&entity->entry);
    batch->entities = cv_grow(batch->entities, batch->changed_entities, &batch->entity_room, sizeof(struct entity *));
    batch->entities[batch->changed_entities++] = entity;
}

void batch_add_foreign(struct batch *batch, const struct uuid *organization_id, const struct uuid *case_id)
{
    batch->foreign = cv_grow(batch->foreign, batch->foreign_count, &batch->foreign_room, sizeof *batch->foreign);
    batch->foreign[batch->foreign_count++] = (struct active_key){*organization_id, *case_id};
}

void batch_add_left_owner(struct batch *batch, const struct uuid *organization_id, const struct uuid *application_id)
{
    batch->left_owners = cv_grow(batch->left_owners, batch->left_count, &batch->left_room, sizeof *batch->left_owners);
    batch->left_owners[batch->left_count++] = (struct left_owner){*organization_id, *application_id};
}

void batch_count_record(struct batch *batch, const struct record *record)
{
    batch->record_count++;
    if (!record_has_time(record))
        batch->undated_count += record->timestamp_ms >= 0;
    else if (record->timestamp_ms < batch->oldest_record_ms)
        batch->oldest_record_ms = record->timestamp_ms;
}

size_t batch_items(const struct batch *batch)
{
    return batch->record_count + (size_t)batch->counts.rerendered;
}

struct batch_parked *batch_park(struct batch *batch, const struct record *record, struct str topic_name,
                                struct str headers, const struct uuid *organization_id, enum park_reason reason,
                                const char *text)
{
    batch->parked = cv_grow(batch->parked, batch->parked_count, &batch->parked_room, sizeof *batch->parked);
    struct batch_parked *row = &batch->parked[batch->parked_count++];
    *row = (struct batch_parked){
        .has_organization = organization_id != NULL,
        .topic = record->topic,
        .topic_name = topic_name,
        .part = record->partition,
        .offset = record->offset,
        .key = arena_str(batch->raw, record->key),
        .value = arena_str(batch->raw, record->value),
        .headers = arena_str(batch->raw, headers),
        .record_us = INT64_MIN,
        .reason = reason,
        .reason_name = str_of(park_reason_name(reason)),
        .text = arena_str(batch->raw, str_of(text)),
    };
    if (organization_id != NULL)
        row->organization_id = *organization_id;
    /* A producer's clock may say anything; what no timestamptz of ours can hold is not kept. */
    if (record->timestamp_ms >= 0 && record->timestamp_ms <= CLOCK_MAX_US / 1000)
        row->record_us = record->timestamp_ms * 1000;
    batch->bytes += record->key.len + record->value.len + headers.len + sizeof *row;
    return row;
}

/* ---- closing ---- */

/* A state to sort, with enough of its key that comparing rarely has to wait for the state's memory. */
struct sort_item {
    bool has_row;
    uint64_t prefix;
    struct state *state;
};

static int compare_items(const void *a, const void *b)
{
    const struct sort_item *x = a, *y = b;
    if (x->has_row != y->has_row)
        return x->has_row ? 1 : -1;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    /* Keys are never longer than CACHE_KEY_MAX, and what is behind them is zero. */
    return memcmp(x->state->entry.key, y->state->entry.key, CACHE_KEY_MAX);
}

/* In key order. new_first: those without a row before the others. The caller frees it. */
static struct sort_item *sort_states(struct state **states, size_t count, bool new_first)
{
    struct sort_item *items = cv_alloc((count + 1) * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        uint64_t prefix;
        memcpy(&prefix, states[i]->entry.key, sizeof prefix);
        items[i] = (struct sort_item){new_first && states[i]->has_row, be64toh(prefix), states[i]};
    }
    qsort(items, count, sizeof *items, compare_items);
    return items;
}

static void close_cases(struct batch *batch)
{
    size_t count = batch->changed_cases;
    CV_CLEANUP(cv_free_ptr) struct sort_item *sorted = sort_states(batch->cases, count, true);
    batch->case_rows = arena_alloc(batch->rows, (count + 1) * sizeof *batch->case_rows);
    assert(batch->case_rows != NULL);
    for (size_t i = 0; i < count; i++) {
        struct state *state = sorted[i].state;
        struct case_row *row = &batch->case_rows[i];
        *row = (struct case_row){
            .rev = ++state->rev,
            .part = state->part,
            .flags = state->flags,
            .is_new = !state->has_row,
            .was_listed = state->listed,
            .state = state_blob(state),
            .blob = states_share(state),
            .entry = state,
        };
        memcpy(row->case_id.b, state->entry.key, sizeof row->case_id.b);
        state->has_row = true;
        state->listed = (state->flags & CASE_LISTED) != 0;
        state->dirty = false; /* the pin is the row's now */
        state->counted = 0;
    }
    batch->case_count = count;
    batch->changed_cases = 0;
}

static void close_agents(struct batch *batch)
{
    size_t count = batch->changed_agents;
    CV_CLEANUP(cv_free_ptr) struct sort_item *sorted = sort_states(batch->agents, count, false);
    batch->agent_rows = arena_alloc(batch->rows, (count + 1) * sizeof *batch->agent_rows);
    assert(batch->agent_rows != NULL);
    for (size_t i = 0; i < count; i++) {
        struct state *state = sorted[i].state;
        struct agent_row *row = &batch->agent_rows[i];
        *row = (struct agent_row){
            .rev = ++state->rev,
            .part = state->part,
            .state = state_blob(state),
            .blob = states_share(state),
            .entry = state,
        };
        memcpy(row->organization_id.b, state->entry.key, sizeof row->organization_id.b);
        memcpy(row->user_id.b, state->entry.key + sizeof row->organization_id.b, sizeof row->user_id.b);
        state->dirty = false;
        state->counted = 0;
    }
    batch->agent_count = count;
    batch->changed_agents = 0;
}

static int compare_ids(const struct entity_row *x, const struct entity_row *y)
{
    int by_kind = (x->kind > y->kind) - (x->kind < y->kind);
    return by_kind != 0 ? by_kind : uuid_cmp(&x->entity_id, &y->entity_id);
}

/* A former owner's row comes first: an application has one owner at a time (unique index). */
static int compare_entities(const void *a, const void *b)
{
    const struct entity_row *x = a, *y = b;
    int by_ids = compare_ids(x, y);
    return by_ids != 0 ? by_ids : (x->status > y->status) - (x->status < y->status);
}

/* Of rows with the same key, the one that shows the owner's application comes first. */
static int compare_owners(const void *a, const void *b)
{
    const struct entity_row *x = a, *y = b;
    int by_ids = compare_ids(x, y);
    int by_owner = by_ids != 0 ? by_ids : uuid_cmp(&x->organization_id, &y->organization_id);
    return by_owner != 0 ? by_owner : (y->status > x->status) - (y->status < x->status);
}

/*
 * An owner that left may have come back, and left again: one row for each, and none but the owner's for the last one.
 */
static size_t drop_doubles(struct entity_row *rows, size_t count)
{
    size_t kept = 0;
    qsort(rows, count, sizeof *rows, compare_owners);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_ids(&rows[kept - 1], &rows[i]) != 0 ||
            !uuid_eq(&rows[kept - 1].organization_id, &rows[i].organization_id))
            rows[kept++] = rows[i];
    return kept;
}

static struct entity_row *add_row(struct entity_row *rows, size_t *count)
{
    rows[*count] = (struct entity_row){0};
    return &rows[(*count)++];
}

/* Only a visible change gets a number of the change feed. */
static void close_entities(struct batch *batch)
{
    size_t most = batch->changed_entities + batch->left_count + 1;
    batch->entity_rows = arena_alloc(batch->rows, most * sizeof *batch->entity_rows);
    batch->version_rows = arena_alloc(batch->rows, most * sizeof *batch->version_rows);
    assert(batch->entity_rows != NULL && batch->version_rows != NULL);
    for (size_t i = 0; i < batch->left_count; i++) {
        struct entity_row *row = add_row(batch->entity_rows, &batch->entity_count);
        row->kind = ENTITY_APPLICATION;
        row->status = ENTITY_FORGOTTEN;
        row->organization_id = batch->left_owners[i].organization_id;
        row->entity_id = batch->left_owners[i].application_id;
    }
    for (size_t i = 0; i < batch->changed_entities; i++) {
        struct entity *entity = batch->entities[i];
        entity_make_row(entity, batch->rows,
                        entity->visible ? add_row(batch->entity_rows, &batch->entity_count)
                                        : add_row(batch->version_rows, &batch->version_count));
        entity->dirty = entity->visible = false;
        entity->counted = 0;
    }
    if (batch->left_count > 0)
        batch->entity_count = drop_doubles(batch->entity_rows, batch->entity_count);
    if (batch->entity_count > 0)
        qsort(batch->entity_rows, batch->entity_count, sizeof *batch->entity_rows, compare_entities);
    for (size_t i = 0; i < batch->entity_count; i++)
        batch->entity_rows[i].nth = (int64_t)(batch->entity_count - 1 - i);
}

static int compare_cursors(const void *a, const void *b)
{
    const struct batch_cursor *x = a, *y = b;
    return x->topic != y->topic ? (x->topic > y->topic) - (x->topic < y->topic)
                                : (x->part > y->part) - (x->part < y->part);
}

void batch_close(struct batch *batch)
{
    assert(!batch->closed);
    if (batch->cursor_count > 0)
        qsort(batch->cursors, batch->cursor_count, sizeof *batch->cursors, compare_cursors);
    close_cases(batch);
    close_agents(batch);
    close_entities(batch);
    batch->closed = true;
}

static void release_rows(struct batch *batch, const struct caches *caches)
{
    for (size_t i = 0; i < batch->case_count; i++) {
        cache_unpin(&batch->case_rows[i].entry->entry);
        states_unshare(caches->cases, batch->case_rows[i].blob);
    }
    for (size_t i = 0; i < batch->agent_count; i++) {
        cache_unpin(&batch->agent_rows[i].entry->entry);
        states_unshare(caches->agents, batch->agent_rows[i].blob);
    }
}

static void release_changed(struct state **items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cache_unpin(&items[i]->entry);
        items[i]->dirty = false;
        items[i]->counted = 0;
    }
}

/* An entity is not kept once it is written: another worker may own the partition of its next event. */
static void release_entities(struct batch *batch, struct cache *entities)
{
    for (size_t i = 0; i < batch->changed_entities; i++) {
        struct entity *entity = batch->entities[i];
        cache_unpin(&entity->entry);
        if (!batch->closed) {
            entity->dirty = false;
            entity->counted = 0;
        }
        if (entity->entry.pins == 0)
            cache_remove(entities, &entity->entry);
    }
}

void batch_reset(struct batch *batch, const struct caches *caches)
{
    release_rows(batch, caches);
    release_changed(batch->cases, batch->changed_cases);
    release_changed(batch->agents, batch->changed_agents);
    release_entities(batch, caches->entities);
    batch->changed_cases = batch->changed_agents = batch->changed_entities = 0;
    batch->case_count = batch->agent_count = batch->entity_count = batch->version_count = 0;
    batch->foreign_count = batch->left_count = 0;
    batch->parked_count = batch->cursor_count = 0;
    batch->record_count = batch->undated_count = batch->bytes = 0;
    batch->deferred = batch->flooded = false;
    batch->counts = (struct batch_counts){0};
    batch->progress = (struct feed_progress){0};
    batch->opened_at_us = 0;
    batch->oldest_record_ms = INT64_MAX;
    batch->closed = false;
    arena_reset(batch->raw);
    arena_reset(batch->rows);
}

int64_t batch_record_crc(const struct record *record)
{
    XXH64_hash_t key = XXH3_64bits(record->key.ptr, record->key.len);
    return (int64_t)XXH3_64bits_withSeed(record->value.ptr, record->value.len, key ^ (record->value.ptr == NULL));
}
