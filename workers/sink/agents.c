#include "workers/sink/agents.h"

#include <assert.h>
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/fold/agent.h"
#include "workers/sink/states.h"

static const struct db_statement agent_load_statement = {"agent_load", sql_agent_load};

struct agent_key {
    struct uuid organization_id, user_id;
};

/* One agent of the batch being folded, beside its struct state_work. */
struct agent_fold {
    struct state_work *work;
    struct agent_state state;
    bool write;
};

struct agents {
    struct states *states; /* key: struct agent_key */
};

static void make_key(const struct batch_event *event, const struct batch_rerender *rerender, uint8_t *out_key)
{
    struct agent_key key = event != NULL ? (struct agent_key){event->event.a.organization_id, event->event.a.user_id}
                                         : (struct agent_key){rerender->organization_id, rerender->id};
    memcpy(out_key, &key, sizeof key);
}

static const struct agent_key *key_of(const struct state_work *work)
{
    return (const struct agent_key *)work->entry->entry.key;
}

struct agents *agents_new(size_t max_bytes)
{
    struct agents *agents = cv_zalloc(sizeof *agents);
    agents->states = states_new(TOPIC_AGENTS, sizeof(struct agent_key), make_key, max_bytes);
    return agents;
}

void agents_free(struct agents *agents)
{
    if (agents == NULL)
        return;
    states_free(agents->states);
    free(agents);
}

void agents_clear(struct agents *agents)
{
    states_clear(agents->states);
}

static enum cv_status load(struct agents *agents, struct batch *batch, struct state_work *works, size_t count,
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
        struct state_entry *entry = states_find(agents->states, &key);
        entry->rev = db_int4(result, row, 2);
        states_set(agents->states, entry, db_str(result, row, 3));
    }
    db_result_free(result);
    return CV_OK;
}

static enum cv_status fold_one(struct agent_fold *fold, struct batch *batch, struct fold_context *context,
                               struct err *err)
{
    const struct state_work *work = fold->work;
    const struct state_entry *entry = work->entry;
    if (entry->blob.ptr == NULL || (batch->replace && work->first != NULL)) {
        agent_init(&fold->state, batch->output);
    } else {
        /* Folding keeps borrowing from the blob, which the cache may replace: the batch has a copy of its own. */
        struct str blob = arena_str(batch->output, entry->blob);
        if (blob.ptr == NULL)
            return batch_too_large(err);
        if (!agent_load(blob, batch->output, &fold->state)) {
            char text[UUID_TEXT_LEN + 1];
            uuid_format(&key_of(work)->user_id, text);
            err_set(err, "agent %s: its state in agent was not written by this version of caseview", text);
            return CV_FATAL;
        }
    }
    fold->write = work->rerender && entry->blob.ptr != NULL;
    for (struct batch_event *event = work->first; event != NULL; event = event->next) {
        enum fold_outcome outcome = agent_apply(&fold->state, &event->event.a);
        batch->counts.applied += outcome == FOLD_APPLIED;
        batch->counts.duplicates += outcome == FOLD_DUPLICATE;
        batch->counts.unknown_types += outcome == FOLD_UNKNOWN_TYPE;
        fold->write |= outcome == FOLD_APPLIED || outcome == FOLD_UNKNOWN_TYPE;
    }
    struct uuid unit_id;
    if (!fold->write || !agent_current_unit(&fold->state, &unit_id))
        return CV_OK;
    const struct uuid *organization_id = &key_of(work)->organization_id;
    size_t workspace_count;
    const struct uuid *workspaces = agent_current_workspaces(&fold->state, &workspace_count);
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
static struct str refs_of(const struct agent_fold *fold, struct batch *batch, struct buf *scratch)
{
    const struct uuid *organization_id = &key_of(fold->work)->organization_id;
    struct uuid unit_id;
    buf_reset(scratch);
    if (agent_current_unit(&fold->state, &unit_id)) {
        size_t count;
        const struct uuid *workspaces = agent_current_workspaces(&fold->state, &count);
        names_put_ref(scratch, organization_id, ENTITY_UNIT, &unit_id);
        for (size_t i = 0; i < count; i++)
            names_put_ref(scratch, organization_id, ENTITY_WORKSPACE, &workspaces[i]);
    }
    return arena_str(batch->output, (struct str){scratch->len > 0 ? scratch->data : "", scratch->len});
}

static enum cv_status add_row(struct agent_fold *fold, struct batch *batch, struct fold_context *context,
                              struct err *err)
{
    const struct state_work *work = fold->work;
    struct gate_context gate = {context->names, &key_of(work)->organization_id};
    struct agent_gates gates = agent_evaluate(&fold->state, is_removed, &gate);
    struct agent_row *row = &batch->agents[batch->agent_count++];
    *row = (struct agent_row){
        .entry = work->entry,
        .organization_id = key_of(work)->organization_id,
        .user_id = key_of(work)->user_id,
        .rev = ++work->entry->rev,
        .part = work->part,
        .has_unit = gates.has_unit,
        .current_unit_id = gates.current_unit_id,
        .has_workspaces = gates.has_workspaces,
        .degraded = agent_is_degraded(&fold->state),
        .refs = refs_of(fold, batch, &context->scratch),
    };
    buf_reset(&context->scratch);
    agent_store(&fold->state, &context->scratch);
    row->state = arena_str(batch->output, (struct str){context->scratch.data, context->scratch.len});
    if (context->scratch.overflow || row->state.ptr == NULL || row->refs.ptr == NULL)
        return batch_too_large(err);
    return CV_OK;
}

enum cv_status agents_fold(struct agents *agents, struct batch *batch, struct fold_context *context, struct err *err)
{
    struct state_work *works;
    size_t count;
    enum cv_status status = states_collect(agents->states, batch, &works, &count, err);
    if (status != CV_OK || count == 0)
        return status;
    struct agent_fold *folds = arena_alloc(batch->output, count * sizeof *folds);
    batch->agents = arena_alloc(batch->output, count * sizeof *batch->agents);
    if (folds == NULL || batch->agents == NULL)
        return batch_too_large(err);

    status = load(agents, batch, works, count, context, err);
    if (status == CV_OK)
        states_check_expected(agents->states, batch);
    for (size_t i = 0; i < count && status == CV_OK; i++) {
        folds[i].work = &works[i];
        status = fold_one(&folds[i], batch, context, err);
    }
    if (status == CV_OK)
        status = names_load(context->names, context->loader, batch->output, err);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        if (folds[i].write)
            status = add_row(&folds[i], batch, context, err);
    if (status == CV_OK && arena_full(batch->output))
        status = batch_too_large(err); /* the fold has left an event out */
    if (status != CV_OK)
        return status;

    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        if (folds[i].write)
            states_set(agents->states, works[i].entry, batch->agents[row++].state);
        else
            states_release(works[i].entry);
    }
    assert(row == batch->agent_count);
    return CV_OK;
}

void agents_committed(struct agents *agents, struct batch *batch)
{
    for (size_t i = 0; i < batch->agent_count; i++)
        states_release(batch->agents[i].entry);
    states_trim(agents->states);
}
