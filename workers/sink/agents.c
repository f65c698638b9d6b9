#include "workers/sink/agents.h"

#include <assert.h>
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/fold/agent.h"

static const struct db_statement agent_load_statement = {"agent_load", sql_agent_load};

struct agent_key {
    struct uuid organization_id, user_id;
};

struct agent_work;

struct agent_entry {
    struct cache_entry entry; /* key: struct agent_key */
    bool loaded;
    int32_t rev; /* of the row, 0: there is none */
    char *blob;
    size_t blob_len;
    struct agent_work *work; /* in the batch being folded */
};

/* One agent of the batch being folded. */
struct agent_work {
    struct agent_entry *entry;
    struct batch_event *first, *last; /* NULL: only evaluated anew */
    bool reevaluate;                  /* the directory says otherwise of its unit or a workspace */
    int32_t part;
    struct agent_state state;
    bool write;
};

struct agents {
    struct cache *cache;
};

static void drop_entry(struct cache_entry *entry)
{
    free(((struct agent_entry *)entry)->blob);
}

struct agents *agents_new(size_t max_bytes)
{
    struct agents *agents = cv_zalloc(sizeof *agents);
    agents->cache = cache_new(sizeof(struct agent_key), sizeof(struct agent_entry), max_bytes, drop_entry);
    return agents;
}

void agents_free(struct agents *agents)
{
    if (agents == NULL)
        return;
    cache_free(agents->cache);
    free(agents);
}

void agents_clear(struct agents *agents)
{
    cache_clear(agents->cache);
}

static const struct agent_key *key_of(const struct agent_work *work)
{
    return (const struct agent_key *)work->entry->entry.key;
}

static struct agent_work *work_on(struct agents *agents, const struct agent_key *key, struct agent_work *works,
                                  size_t *count)
{
    bool made;
    struct agent_entry *entry = (struct agent_entry *)cache_get(agents->cache, key, &made);
    if (entry->work != NULL)
        return entry->work;
    cache_pin(&entry->entry);
    works[*count] = (struct agent_work){.entry = entry};
    entry->work = &works[*count];
    return &works[(*count)++];
}

static size_t collect(struct agents *agents, struct batch *batch, struct agent_work *works)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        struct batch_event *event = batch->events[i];
        if (event->event.topic != TOPIC_AGENTS)
            continue;
        struct agent_key key = {event->event.a.organization_id, event->event.a.user_id};
        struct agent_work *work = work_on(agents, &key, works, &count);
        event->next = NULL;
        if (work->first == NULL)
            work->first = event;
        else
            work->last->next = event;
        work->last = event;
        work->part = event->record.partition;
    }
    for (size_t i = 0; i < batch->rerender_count; i++) {
        const struct batch_rerender *rerender = &batch->rerenders[i];
        if (rerender->topic != TOPIC_AGENTS)
            continue;
        struct agent_key key = {rerender->organization_id, rerender->id};
        struct agent_work *work = work_on(agents, &key, works, &count);
        work->reevaluate = true;
        if (work->first == NULL)
            work->part = rerender->part;
    }
    return count;
}

static void set_blob(struct agents *agents, struct agent_entry *entry, struct str blob)
{
    free(entry->blob);
    entry->blob = cv_alloc(blob.len + 1);
    memcpy(entry->blob, blob.ptr, blob.len);
    entry->blob_len = blob.len;
    cache_weigh(agents->cache, &entry->entry, blob.len);
}

static enum cv_status load(struct agents *agents, struct batch *batch, struct agent_work *works, size_t count,
                           struct fold_context *context, struct err *err)
{
    struct agent_key *keys = arena_alloc(batch->output, (count + 1) * sizeof *keys);
    if (keys == NULL)
        return batch_too_large(err);
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        if (!works[i].entry->loaded)
            keys[missing++] = *key_of(&works[i]);
        works[i].entry->loaded = true;
    }
    if (missing == 0)
        return CV_OK;
    struct db_args args;
    db_args_init(&args, batch->output);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, missing);
    db_arg_uuid_array(&args, &keys->user_id, sizeof *keys, missing);
    struct db_result *result;
    enum cv_status status = db_exec(context->loader, &agent_load_statement, &args, FOLD_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct agent_key key = {db_uuid(result, row, 0), db_uuid(result, row, 1)};
        struct agent_entry *entry = (struct agent_entry *)cache_find(agents->cache, &key);
        entry->rev = db_int4(result, row, 2);
        set_blob(agents, entry, db_str(result, row, 3));
    }
    db_result_free(result);
    return CV_OK;
}

static enum cv_status fold_one(struct agent_work *work, struct batch *batch, struct fold_context *context,
                               struct err *err)
{
    struct agent_entry *entry = work->entry;
    if (entry->blob == NULL) {
        agent_init(&work->state, batch->output);
    } else {
        /* Folding keeps borrowing from the blob, which the cache may replace: the batch has a copy of its own. */
        struct str blob = arena_str(batch->output, (struct str){entry->blob, entry->blob_len});
        if (blob.ptr == NULL)
            return batch_too_large(err);
        if (!agent_load(blob, batch->output, &work->state)) {
            char text[UUID_TEXT_LEN + 1];
            uuid_format(&key_of(work)->user_id, text);
            err_set(err, "agent %s: its state in agent was not written by this version of caseview", text);
            return CV_FATAL;
        }
    }
    work->write = work->reevaluate && entry->blob != NULL;
    for (struct batch_event *event = work->first; event != NULL; event = event->next) {
        enum fold_outcome outcome = agent_apply(&work->state, &event->event.a);
        batch->counts.applied += outcome == FOLD_APPLIED;
        batch->counts.duplicates += outcome == FOLD_DUPLICATE;
        batch->counts.unknown_types += outcome == FOLD_UNKNOWN_TYPE;
        work->write |= outcome == FOLD_APPLIED || outcome == FOLD_UNKNOWN_TYPE;
    }
    struct uuid unit_id;
    if (!work->write || !agent_current_unit(&work->state, &unit_id))
        return CV_OK;
    const struct uuid *organization_id = &key_of(work)->organization_id;
    size_t workspace_count;
    const struct uuid *workspaces = agent_current_workspaces(&work->state, &workspace_count);
    names_want(context->names, organization_id, ENTITY_UNIT, &unit_id);
    for (size_t i = 0; i < workspace_count; i++)
        names_want(context->names, organization_id, ENTITY_WORKSPACE, &workspaces[i]);
    return CV_OK;
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

/* The hashes of the unit and the workspaces that decide over the gates. */
static struct str refs_of(const struct agent_work *work, struct batch *batch, struct buf *scratch)
{
    const struct uuid *organization_id = &key_of(work)->organization_id;
    struct uuid unit_id;
    buf_reset(scratch);
    buf_byte(scratch, '{');
    if (agent_current_unit(&work->state, &unit_id)) {
        size_t count;
        const struct uuid *workspaces = agent_current_workspaces(&work->state, &count);
        names_put_ref(scratch, organization_id, ENTITY_UNIT, &unit_id);
        for (size_t i = 0; i < count; i++)
            names_put_ref(scratch, organization_id, ENTITY_WORKSPACE, &workspaces[i]);
    }
    buf_byte(scratch, '}');
    return arena_str(batch->output, (struct str){scratch->data, scratch->len});
}

static enum cv_status add_row(struct agent_work *work, struct batch *batch, struct fold_context *context,
                              struct err *err)
{
    struct gate_context gate = {context->names, &key_of(work)->organization_id};
    struct agent_gates gates = agent_evaluate(&work->state, is_removed, &gate);
    struct agent_row *row = &batch->agents[batch->agent_count++];
    *row = (struct agent_row){
        .entry = &work->entry->entry,
        .organization_id = key_of(work)->organization_id,
        .user_id = key_of(work)->user_id,
        .rev = ++work->entry->rev,
        .part = work->part,
        .has_unit = gates.has_unit,
        .current_unit_id = gates.current_unit_id,
        .has_workspaces = gates.has_workspaces,
        .degraded = agent_is_degraded(&work->state),
        .refs = refs_of(work, batch, &context->scratch),
    };
    buf_reset(&context->scratch);
    agent_store(&work->state, &context->scratch);
    row->state = arena_str(batch->output, (struct str){context->scratch.data, context->scratch.len});
    if (context->scratch.overflow || row->state.ptr == NULL || row->refs.ptr == NULL)
        return batch_too_large(err);
    return CV_OK;
}

static int compare_works(const void *a, const void *b)
{
    const struct agent_work *x = a, *y = b;
    return memcmp(x->entry->entry.key, y->entry->entry.key, sizeof(struct agent_key));
}

enum cv_status agents_fold(struct agents *agents, struct batch *batch, struct fold_context *context, struct err *err)
{
    size_t most = 0;
    for (size_t i = 0; i < batch->event_count; i++)
        most += batch->events[i]->event.topic == TOPIC_AGENTS;
    for (size_t i = 0; i < batch->rerender_count; i++)
        most += batch->rerenders[i].topic == TOPIC_AGENTS;
    if (most == 0)
        return CV_OK;
    struct agent_work *works = arena_alloc(batch->output, most * sizeof *works);
    batch->agents = arena_alloc(batch->output, most * sizeof *batch->agents);
    if (works == NULL || batch->agents == NULL)
        return batch_too_large(err);
    size_t count = collect(agents, batch, works);

    enum cv_status status = load(agents, batch, works, count, context, err);
    for (size_t i = 0; i < count; i++)
        works[i].entry->work = NULL;
    qsort(works, count, sizeof *works, compare_works);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        status = fold_one(&works[i], batch, context, err);
    if (status == CV_OK)
        status = names_load(context->names, context->loader, batch->output, err);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        if (works[i].write)
            status = add_row(&works[i], batch, context, err);
    if (status == CV_OK && arena_full(batch->output))
        status = batch_too_large(err); /* the fold has left an event out */
    if (status != CV_OK)
        return status;

    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        if (works[i].write)
            set_blob(agents, works[i].entry, batch->agents[row++].state);
        else
            cache_unpin(&works[i].entry->entry);
    }
    assert(row == batch->agent_count);
    return CV_OK;
}

void agents_committed(struct agents *agents, struct batch *batch)
{
    for (size_t i = 0; i < batch->agent_count; i++)
        cache_unpin(batch->agents[i].entry);
    cache_trim(agents->cache);
}
