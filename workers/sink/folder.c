#include "workers/sink/folder.h"

#include <stdlib.h>

#include "sql_worker.h"
#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/sink/folds.h"
#include "workers/sink/rows.h"

#define QUERY_TIMEOUT_MS 30000

/* Shares of the memory for what is cached: cases take the most. */
#define AGENTS_SHARE 8
#define NAMES_SHARE  8

#define WAITING_BLOCK (256u << 10)
#define WAITING_MAX   ((size_t)1 << 30) /* the caller loads long before: after a chunk of records */

static const struct db_statement case_load_statement = {"case_load", sql_case_load};
static const struct db_statement agent_load_statement = {"agent_load", sql_agent_load};
static const struct db_statement directory_load_statement = {"directory_load", sql_directory_load};

/* An event whose state is being read. */
struct waiting {
    struct waiting *next;
    const struct record *record;
    void *target; /* struct state or struct entity */
    struct event event;
};

/* What has to be read from one table. */
struct missing {
    void **targets; /* struct state or struct entity; nothing is evicted within a chunk */
    size_t count, room;
};

struct folder {
    struct caches caches;
    struct names *names;
    struct fold_scratch scratch;
    struct arena *arena; /* waiting events, and arguments of queries */
    struct waiting *first, **last;
    size_t waiting;
    struct missing missing[TOPIC_COUNT];
    size_t large_state; /* bytes of a large state among the last ones: rises at once, falls slowly */
    struct folder_refusal *refusals;
    size_t refusal_count, refusal_room;
};

struct folder *folder_new(size_t cache_bytes)
{
    struct folder *folder = cv_zalloc(sizeof *folder);
    folder->caches.cases = states_new(sizeof(struct uuid), 0);
    folder->caches.agents = states_new(2 * sizeof(struct uuid), 0);
    folder->caches.entities = entities_new();
    folder->names = names_new(0);
    folder_set_cache_bytes(folder, cache_bytes);
    fold_scratch_init(&folder->scratch);
    folder->arena = arena_new(WAITING_BLOCK, WAITING_MAX);
    folder->last = &folder->first;
    return folder;
}

void folder_free(struct folder *folder)
{
    if (folder == NULL)
        return;
    states_free(folder->caches.cases);
    states_free(folder->caches.agents);
    cache_free(folder->caches.entities);
    names_free(folder->names);
    fold_scratch_done(&folder->scratch);
    arena_free(folder->arena);
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        free(folder->missing[topic].targets);
    free(folder->refusals);
    free(folder);
}

const struct caches *folder_caches(const struct folder *folder)
{
    return &folder->caches;
}

struct names *folder_names(struct folder *folder)
{
    return folder->names;
}

void folder_set_cache_bytes(struct folder *folder, size_t cache_bytes)
{
    size_t agents = cache_bytes / AGENTS_SHARE, names = cache_bytes / NAMES_SHARE;
    states_set_max(folder->caches.cases, cache_bytes - agents - names);
    states_set_max(folder->caches.agents, agents);
    names_set_max(folder->names, names);
}

size_t folder_bytes(const struct folder *folder)
{
    return states_bytes(folder->caches.cases) + states_bytes(folder->caches.agents) + names_bytes(folder->names);
}

void folder_trim(struct folder *folder)
{
    states_trim(folder->caches.cases);
    states_trim(folder->caches.agents);
    names_trim(folder->names);
}

static void reset_chunk(struct folder *folder)
{
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        folder->missing[topic].count = 0;
    folder->first = NULL;
    folder->last = &folder->first;
    folder->waiting = 0;
    arena_reset(folder->arena);
}

void folder_clear(struct folder *folder)
{
    reset_chunk(folder);
    states_clear(folder->caches.cases);
    states_clear(folder->caches.agents);
    cache_clear(folder->caches.entities);
    names_clear(folder->names);
}

/* ---- sizes ---- */

#define CHUNK_STATES_BYTES (8u << 20)
#define CHUNK_MIN          16

static void note_size(struct folder *folder, size_t bytes)
{
    folder->large_state = bytes > folder->large_state ? bytes : folder->large_state - folder->large_state / 1024;
}

size_t folder_chunk_records(const struct folder *folder, size_t most)
{
    size_t records = CHUNK_STATES_BYTES / (folder->large_state + 1);
    if (records < CHUNK_MIN)
        records = CHUNK_MIN;
    return records < most ? records : most;
}

/* ---- folding ---- */

static void refuse(struct folder *folder, const struct record *record, const struct uuid *organization_id,
                   enum park_reason reason, const char *text)
{
    folder->refusals = cv_grow(folder->refusals, folder->refusal_count, &folder->refusal_room,
                               sizeof *folder->refusals);
    folder->refusals[folder->refusal_count++] = (struct folder_refusal){record, *organization_id, reason, text};
}

static void count(struct folder *folder, struct batch *batch, const struct record *record,
                  const struct uuid *organization_id, const struct fold_result *result)
{
    if (result->reason != PARK_NONE) {
        refuse(folder, record, organization_id, result->reason, result->text);
        return;
    }
    switch (result->outcome) {
    case FOLD_APPLIED:
        batch->counts.applied++;
        break;
    case FOLD_DUPLICATE:
        batch->counts.duplicates++;
        break;
    case FOLD_UNKNOWN_TYPE:
        batch->counts.unknown_types++;
        break;
    case FOLD_OVER:
        batch->counts.over++;
        break;
    case FOLD_KEY_MISMATCH:
        assert(false); /* has a reason */
    }
}

static void fold(struct folder *folder, struct batch *batch, const struct record *record, const struct event *event,
                 void *target)
{
    struct fold_result result;
    switch (event->topic) {
    case TOPIC_CASES:
        result = case_fold(folder->caches.cases, target, record->partition, &event->c, &folder->scratch, batch);
        note_size(folder, ((struct state *)target)->entry.bytes);
        count(folder, batch, record, &event->c.organization_id, &result);
        break;
    case TOPIC_AGENTS:
        result = agent_fold(folder->caches.agents, target, record->partition, &event->a, &folder->scratch, batch);
        note_size(folder, ((struct state *)target)->entry.bytes);
        count(folder, batch, record, &event->a.organization_id, &result);
        break;
    case TOPIC_DIRECTORY:
        result = entity_fold(folder->caches.entities, target, &event->d, batch);
        count(folder, batch, record, &event->d.organization_id, &result);
        break;
    case TOPIC_COUNT:
        break;
    }
}

/* ---- what is not cached ---- */

static void want(struct missing *missing, void *target)
{
    missing->targets = cv_grow(missing->targets, missing->count, &missing->room, sizeof(void *));
    missing->targets[missing->count++] = target;
}

static void wait_for_load(struct folder *folder, const struct record *record, const struct event *event, void *target)
{
    struct waiting *waiting = arena_alloc(folder->arena, sizeof *waiting);
    assert(waiting != NULL); /* of a chunk's events, whose number the caller bounds */
    waiting->next = NULL;
    waiting->record = record;
    waiting->target = target;
    waiting->event = *event;
    *folder->last = waiting;
    folder->last = &waiting->next;
    folder->waiting++;
}

static struct state *find_state(struct folder *folder, enum topic topic, const void *key)
{
    struct state *state = states_get(topic == TOPIC_CASES ? folder->caches.cases : folder->caches.agents, key);
    if (!state->loaded && !state->wanted) {
        state->wanted = true;
        want(&folder->missing[topic], state);
    }
    return state;
}

void folder_add(struct folder *folder, struct batch *batch, const struct record *record, const struct event *event)
{
    uint8_t key[CACHE_KEY_MAX];
    if (event->topic == TOPIC_DIRECTORY) {
        bool made;
        entity_key(event->d.kind, &event->d.organization_id, &event->d.entity_id, key);
        struct entity *entity = (struct entity *)cache_get(folder->caches.entities, key, &made);
        if (made)
            want(&folder->missing[TOPIC_DIRECTORY], entity);
        if (entity->loaded)
            fold(folder, batch, record, event, entity);
        else
            wait_for_load(folder, record, event, entity);
        return;
    }
    if (event->topic == TOPIC_CASES) {
        memcpy(key, &event->c.case_id, sizeof event->c.case_id);
    } else {
        memcpy(key, &event->a.organization_id, sizeof event->a.organization_id);
        memcpy(key + sizeof event->a.organization_id, &event->a.user_id, sizeof event->a.user_id);
    }
    struct state *state = find_state(folder, event->topic, key);
    if (state->loaded)
        fold(folder, batch, record, event, state);
    else
        wait_for_load(folder, record, event, state);
}

uint64_t folder_case_hash(const struct folder *folder, struct str key)
{
    struct uuid case_id;
    return uuid_parse(key, &case_id) ? states_hash(folder->caches.cases, &case_id) : 0;
}

void folder_prefetch_case(const struct folder *folder, uint64_t hash, enum cache_prefetch what)
{
    states_prefetch(folder->caches.cases, hash, what);
}

static enum cv_status load_cases(struct folder *folder, struct db *db, void **targets, size_t count, struct err *err)
{
    struct uuid *ids = arena_alloc(folder->arena, (count + 1) * sizeof *ids);
    struct db_args args;
    struct db_result *result;
    assert(ids != NULL);
    for (size_t i = 0; i < count; i++)
        memcpy(ids[i].b, ((struct state *)targets[i])->entry.key, sizeof ids[i].b);
    db_args_init(&args, folder->arena);
    db_arg_uuid_array(&args, ids, sizeof *ids, count);
    enum cv_status status = db_exec(db, &case_load_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct uuid case_id = db_uuid(result, row, 0);
        struct state *state = states_find(folder->caches.cases, &case_id);
        state->rev = db_int4(result, row, 1);
        state->flags = db_int2(result, row, 2);
        state->has_row = true; /* even if its revision is 0, as an operator's statement may have made it */
        state->listed = (state->flags & CASE_LISTED) != 0;
        state->part = db_int4(result, row, 4);
        states_set(folder->caches.cases, state, db_str(result, row, 3));
        note_size(folder, state->entry.bytes);
    }
    db_result_free(result);
    return CV_OK;
}

static enum cv_status load_agents(struct folder *folder, struct db *db, void **targets, size_t count, struct err *err)
{
    struct uuid *keys = arena_alloc(folder->arena, (2 * count + 1) * sizeof *keys);
    struct db_args args;
    struct db_result *result;
    assert(keys != NULL);
    for (size_t i = 0; i < count; i++)
        memcpy(keys[2 * i].b, ((struct state *)targets[i])->entry.key, 2 * sizeof *keys);
    db_args_init(&args, folder->arena);
    db_arg_uuid_array(&args, keys, 2 * sizeof *keys, count);
    db_arg_uuid_array(&args, keys + 1, 2 * sizeof *keys, count);
    enum cv_status status = db_exec(db, &agent_load_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        const struct uuid key[2] = {db_uuid(result, row, 0), db_uuid(result, row, 1)};
        struct state *state = states_find(folder->caches.agents, key);
        state->rev = db_int4(result, row, 2);
        state->part = db_int4(result, row, 4);
        states_set(folder->caches.agents, state, db_str(result, row, 3));
        note_size(folder, state->entry.bytes);
    }
    db_result_free(result);
    return CV_OK;
}

/* An application is asked for by its entity id alone; the organization does not matter. */
static enum cv_status load_entities(struct folder *folder, struct db *db, void **targets, size_t count, struct err *err)
{
    struct entity_columns *keys = arena_alloc(folder->arena, (count + 1) * sizeof *keys);
    struct db_args args;
    struct db_result *result;
    assert(keys != NULL);
    for (size_t i = 0; i < count; i++)
        keys[i] = entity_key_columns(((struct entity *)targets[i])->entry.key);
    db_args_init(&args, folder->arena);
    db_arg_int2_array(&args, &keys->kind, sizeof *keys, count);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, count);
    db_arg_uuid_array(&args, &keys->entity_id, sizeof *keys, count);
    enum cv_status status = db_exec(db, &directory_load_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++)
        entity_load(folder->caches.entities, result, row, folder->arena);
    db_result_free(result);
    for (size_t i = 0; i < count; i++)
        ((struct entity *)targets[i])->loaded = true;
    return CV_OK;
}

static void set_loaded(struct missing *missing)
{
    for (size_t i = 0; i < missing->count; i++) {
        struct state *state = missing->targets[i];
        state->loaded = true;
        state->wanted = false;
    }
}

typedef enum cv_status (*load_fn)(struct folder *folder, struct db *db, void **targets, size_t count, struct err *err);

/* With as many queries as keep the answers small. */
static enum cv_status load_missing(struct folder *folder, struct db *db, struct err *err)
{
    static const load_fn load[TOPIC_COUNT] = {load_cases, load_agents, load_entities};
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        struct missing *missing = &folder->missing[topic];
        for (size_t at = 0, n; at < missing->count; at += n) {
            n = folder_chunk_records(folder, missing->count - at);
            enum cv_status status = load[topic](folder, db, missing->targets + at, n, err);
            if (status != CV_OK)
                return status;
        }
    }
    set_loaded(&folder->missing[TOPIC_CASES]);
    set_loaded(&folder->missing[TOPIC_AGENTS]);
    return CV_OK;
}

/* Entities that no event changed are not kept. */
static void forget_unchanged(struct folder *folder)
{
    const struct missing *missing = &folder->missing[TOPIC_DIRECTORY];
    for (size_t i = 0; i < missing->count; i++) {
        struct entity *entity = missing->targets[i];
        if (entity->entry.pins == 0)
            cache_remove(folder->caches.entities, &entity->entry);
    }
}

void folder_begin(struct folder *folder)
{
    reset_chunk(folder);
    folder->refusal_count = 0;
}

enum cv_status folder_load(struct folder *folder, struct db *db, struct batch *batch, struct err *err)
{
    enum cv_status status = load_missing(folder, db, err);
    if (status != CV_OK)
        return status;
    for (const struct waiting *waiting = folder->first; waiting != NULL; waiting = waiting->next)
        fold(folder, batch, waiting->record, &waiting->event, waiting->target);
    forget_unchanged(folder);
    reset_chunk(folder);
    return CV_OK;
}

const struct folder_refusal *folder_refusals(const struct folder *folder, size_t *out_count)
{
    *out_count = folder->refusal_count;
    return folder->refusals;
}

size_t folder_waiting(const struct folder *folder)
{
    return folder->waiting;
}

/* ---- rows without an event ---- */

static void make_key(const struct folder_key *key, uint8_t out_key[CACHE_KEY_MAX])
{
    if (key->topic == TOPIC_CASES) {
        memcpy(out_key, &key->id, sizeof key->id);
    } else {
        memcpy(out_key, &key->organization_id, sizeof key->organization_id);
        memcpy(out_key + sizeof key->organization_id, &key->id, sizeof key->id);
    }
}

static bool has_row_for_readers(enum topic topic, const struct state *state)
{
    return state->blob != NULL && (topic == TOPIC_AGENTS || (state->flags & CASE_LISTED) != 0);
}

/*
 * A cached state without a row for readers, although the caller has found one, may be older than the table: carry-over
 * has written it since. It is read again. What is written from such a state is refused by its revision; here nothing
 * would be written. (An operator's command takes the partition's claim, so the fence refuses the next batch.)
 */
static void want_state(struct folder *folder, enum topic topic, const void *key)
{
    struct state *state = find_state(folder, topic, key);
    if (!state->loaded || has_row_for_readers(topic, state) || state->entry.pins > 0)
        return; /* pinned: the change of this worker's batch is newer, or refused */
    states_remove(topic == TOPIC_CASES ? folder->caches.cases : folder->caches.agents, state);
    (void)find_state(folder, topic, key);
}

/* What this version cannot read, an operator has to repair (verify reports it); it must not end the worker. */
static bool can_render(struct folder *folder, enum topic topic, const struct state *state)
{
    struct case_state c;
    struct agent_state a;
    arena_reset(folder->scratch.agent);
    if (!has_row_for_readers(topic, state))
        return false;
    return topic == TOPIC_CASES ? case_load(state_blob(state), &c)
                                : agent_load(state_blob(state), folder->scratch.agent, &a);
}

enum cv_status folder_rerender(struct folder *folder, struct db *db, struct batch *batch, const struct folder_key *keys,
                               size_t count, struct err *err)
{
    uint8_t key[CACHE_KEY_MAX];
    reset_chunk(folder);
    for (size_t i = 0; i < count; i++) {
        make_key(&keys[i], key);
        want_state(folder, keys[i].topic, key);
    }
    enum cv_status status = load_missing(folder, db, err);
    for (size_t i = 0; i < count && status == CV_OK; i++) {
        make_key(&keys[i], key);
        struct state *state = find_state(folder, keys[i].topic, key);
        if (!can_render(folder, keys[i].topic, state))
            continue; /* deleted or no longer listed since the caller found it */
        if (keys[i].topic == TOPIC_AGENTS)
            batch_add_agent(batch, state);
        else
            batch_add_case(batch, state, true);
        batch->counts.rerendered++;
    }
    reset_chunk(folder);
    return status;
}

enum cv_status folder_revision(struct folder *folder, struct db *db, const struct folder_key *key, int32_t *out_rev,
                               struct err *err)
{
    uint8_t bytes[CACHE_KEY_MAX];
    make_key(key, bytes);
    reset_chunk(folder);
    const struct state *state = find_state(folder, key->topic, bytes);
    enum cv_status status = load_missing(folder, db, err);
    reset_chunk(folder);
    if (status == CV_OK)
        *out_rev = state->rev;
    return status;
}

void folder_replace(struct folder *folder, struct batch *batch, const struct folder_key *key)
{
    uint8_t bytes[CACHE_KEY_MAX];
    make_key(key, bytes);
    struct state *state = find_state(folder, key->topic, bytes);
    assert(state->loaded);
    if (key->topic == TOPIC_CASES)
        case_fold_replace(folder->caches.cases, state, &key->organization_id, batch);
    else
        states_forget_blob(folder->caches.agents, state);
}
