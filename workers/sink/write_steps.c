#include "workers/sink/write_steps.h"

#include "sql_worker.h"
#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/sink/operator_steps.h"

static const struct db_statement begin_statement = {"begin", sql_begin};
static const struct db_statement commit_statement = {"commit", sql_commit};
static const struct db_statement fence_statement = {"fence", sql_fence};
static const struct db_statement case_insert_statement = {"case_insert", sql_case_insert};
static const struct db_statement case_write_statement = {"case_write", sql_case_write};
static const struct db_statement active_write_statement = {"active_write", sql_active_write};
static const struct db_statement active_delete_statement = {"active_delete", sql_active_delete};
static const struct db_statement agent_write_statement = {"agent_write", sql_agent_write};
static const struct db_statement clock_statement = {"directory_clock", sql_directory_clock};
static const struct db_statement directory_write_statement = {"directory_write", sql_directory_write};
static const struct db_statement directory_version_statement = {"directory_version", sql_directory_version};
static const struct db_statement progress_statement = {"progress_write", sql_progress_write};
static const struct db_statement park_statement = {"park", sql_park};

/* What one statement carries at most: about so many bytes, and rows whose names can be read with one query. */
#define SLICE_BYTES    ((size_t)1 << 20)
#define ROW_BYTES      100 /* of the columns of fixed size */
#define SLICE_RENDERED 1000
#define SLICE_AGENTS   1000

#define ARENA_BLOCK ((size_t)1 << 20)
#define ARENA_MAX   ((size_t)1 << 30)
#define AGENT_BLOCK (64u << 10)
#define AGENT_MAX   (64u << 20)

void write_steps_init(struct write_steps *steps, int32_t gen)
{
    *steps = (struct write_steps){.gen = gen, .arena = arena_new(ARENA_BLOCK, ARENA_MAX)};
    listed_row_init(&steps->listed);
    gate_row_init(&steps->gates);
}

void write_steps_done(struct write_steps *steps)
{
    arena_free(steps->arena);
    listed_row_done(&steps->listed);
    gate_row_done(&steps->gates);
}

/* ---- transaction and cursors ---- */

static void send_begin(struct write_steps *steps)
{
    write_step_send(steps, &begin_statement, NULL, STEP_OTHER);
    write_step_end(steps);
}

static void send_commit(struct write_steps *steps)
{
    write_step_send(steps, &commit_statement, NULL, STEP_OTHER);
    write_step_end(steps);
}

static void send_fence(struct write_steps *steps)
{
    const struct batch_cursor *c = steps->batch->cursors;
    size_t n = steps->batch->cursor_count;
    struct db_args args;
    db_args_init(&args, steps->arena);
    db_arg_int4(&args, steps->gen);
    db_arg_text_array(&args, &c->topic_name, sizeof *c, n);
    db_arg_int4_array(&args, &c->part, sizeof *c, n);
    db_arg_uuid_array(&args, &c->claim, sizeof *c, n);
    db_arg_int8_array(&args, &c->old_offset, sizeof *c, n);
    db_arg_int8_array(&args, &c->new_offset, sizeof *c, n);
    db_arg_bool_array(&args, &c->has_last, sizeof *c, n);
    db_arg_int8_array(&args, &c->last_offset, sizeof *c, n);
    db_arg_int8_array(&args, &c->last_at, sizeof *c, n);
    db_arg_int8_array(&args, &c->last_crc, sizeof *c, n);
    db_arg_bool_array(&args, &c->complete, sizeof *c, n);
    db_arg_int8_array(&args, &c->dir_no, sizeof *c, n);
    write_step_send(steps, &fence_statement, &args, STEP_FENCE);
    write_step_end(steps);
}

/* How far a round of the change feed has come. */
static void send_progress(struct write_steps *steps)
{
    const struct feed_progress *progress = &steps->batch->progress;
    size_t n;
    const struct write_step_part *parts = write_step_parts(steps, true, &n);
    if (n > 0) {
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_bool_array(&args, &parts->agents, sizeof *parts, n);
        db_arg_int4_array(&args, &parts->part, sizeof *parts, n);
        db_arg_int8(&args, progress->change_no);
        db_arg_bool(&args, progress->everything);
        db_arg_int4(&args, (int32_t)progress->at.stage);
        db_arg_uuid(&args, &progress->at.key[0]);
        db_arg_uuid(&args, &progress->at.key[1]);
        write_step_send(steps, &progress_statement, &args, STEP_OTHER);
    }
    write_step_end(steps);
}

/* ---- cases ---- */

/* New cases come first (batch_close()); a statement has those or the others. */
static void send_cases(struct write_steps *steps)
{
    const struct case_row *c = steps->batch->case_rows + steps->at;
    size_t left = steps->batch->case_count - steps->at, n = 0;
    bool is_new = left > 0 && c->is_new;
    for (size_t bytes = 0; n < left && bytes < SLICE_BYTES && c[n].is_new == is_new; n++)
        bytes += ROW_BYTES + c[n].state.len;
    if (n > 0) {
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_uuid_array(&args, &c->case_id, sizeof *c, n);
        db_arg_int4_array(&args, &c->rev, sizeof *c, n);
        db_arg_int4_array(&args, &c->part, sizeof *c, n);
        db_arg_int2_array(&args, &c->flags, sizeof *c, n);
        db_arg_bytea_array(&args, &c->state, sizeof *c, n);
        write_step_send(steps, is_new ? &case_insert_statement : &case_write_statement, &args, STEP_ROWS);
    }
    write_step_advance(steps, n, left);
}

static void send_delete(struct write_steps *steps, const struct active_key *keys, size_t n)
{
    struct db_args args;
    if (n == 0)
        return;
    db_args_init(&args, steps->arena);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, n);
    db_arg_uuid_array(&args, &keys->case_id, sizeof *keys, n);
    write_step_send(steps, &active_delete_statement, &args, STEP_OTHER);
}

/* Rows of active_case are written after their case's row: who holds that lock is alone with them. */
static void send_unlisted(struct write_steps *steps)
{
    const struct batch *batch = steps->batch;
    size_t most = batch->case_count - steps->at;
    struct active_key *keys = write_step_alloc(
        steps, (most < SLICE_BYTES / ROW_BYTES ? most + 1 : SLICE_BYTES / ROW_BYTES) * sizeof *keys);
    size_t n = 0;
    if (steps->at == 0)
        send_delete(steps, batch->foreign, batch->foreign_count);
    for (; steps->at < batch->case_count && n < SLICE_BYTES / ROW_BYTES; steps->at++) {
        const struct case_row *row = &batch->case_rows[steps->at];
        struct case_state state;
        if (!row->was_listed || (row->flags & CASE_LISTED) != 0)
            continue;
        bool loaded = case_load(row->state, &state);
        assert(loaded); /* written by the fold, or read by it */
        keys[n++] = (struct active_key){state.organization_id, row->case_id};
    }
    send_delete(steps, keys, n);
    if (steps->at == batch->case_count)
        write_step_end(steps);
}

struct active_columns {
    struct uuid organization_id, case_id, user_id, unit_id;
    int64_t status_date, case_timestamp;
    bool degraded;
    int32_t part;
    int64_t customer_ref;
    struct str refs, body;
};

struct listed_case {
    const struct case_row *row;
    struct case_state state;
};

/* The next listed rows; their names are asked for. */
static struct listed_case *next_listed(struct write_steps *steps, size_t *out_count)
{
    const struct batch *batch = steps->batch;
    size_t most = batch->case_count - steps->at, n = 0, bytes = 0;
    struct listed_case *listed = write_step_alloc(steps,
                                                  (most < SLICE_RENDERED ? most + 1 : SLICE_RENDERED) * sizeof *listed);
    for (; steps->at < batch->case_count && n < SLICE_RENDERED && bytes < SLICE_BYTES / 2; steps->at++) {
        const struct case_row *row = &batch->case_rows[steps->at];
        if ((row->flags & CASE_LISTED) == 0)
            continue;
        listed[n].row = row;
        bool loaded = case_load(row->state, &listed[n].state);
        assert(loaded);
        case_want_names(&listed[n++].state, steps->names);
        bytes += ROW_BYTES + row->state.len;
    }
    *out_count = n;
    return listed;
}

static void render(struct write_steps *steps, const struct listed_case *from, struct active_columns *out)
{
    const struct case_state *state = &from->state;
    struct listed_row *listed = &steps->listed;
    case_make_row(&from->row->case_id, state, steps->names, listed);
    assert(!listed->body.overflow && !listed->refs.overflow); /* the length limits keep rows far below ROW_MAX */
    *out = (struct active_columns){
        .organization_id = state->organization_id,
        .case_id = from->row->case_id,
        .user_id = state->fields.locked_by.id,
        .unit_id = state->fields.unit.id,
        .status_date = state->fields.status_date,
        .case_timestamp = state->fields.case_timestamp,
        .degraded = (from->row->flags & CASE_DEGRADED) != 0,
        .part = from->row->part,
        .customer_ref = listed->customer_ref,
        .refs = arena_str(steps->arena, (struct str){listed->refs.data, listed->refs.len}),
        .body = arena_str(steps->arena, (struct str){listed->body.data, listed->body.len}),
    };
}

static void send_active(struct write_steps *steps)
{
    size_t n;
    if (steps->batch->deferred) {
        write_step_end(steps);
        return;
    }
    names_trim(steps->names);
    struct listed_case *listed = next_listed(steps, &n);
    if (steps->status == CV_OK)
        steps->status = names_load(steps->names, steps->loader, steps->arena, steps->err);
    for (size_t i = 0; i < n && steps->status == CV_OK; i++)
        case_mark_names(&listed[i].state, steps->names);
    if (steps->status == CV_OK)
        steps->status = names_save_marks(steps->names, steps->loader, steps->arena, steps->err);
    if (steps->status == CV_OK && n > 0) {
        struct active_columns *a = write_step_alloc(steps, n * sizeof *a);
        for (size_t i = 0; i < n; i++)
            render(steps, &listed[i], &a[i]);
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_uuid_array(&args, &a->organization_id, sizeof *a, n);
        db_arg_uuid_array(&args, &a->case_id, sizeof *a, n);
        db_arg_uuid_array(&args, &a->user_id, sizeof *a, n);
        db_arg_uuid_array(&args, &a->unit_id, sizeof *a, n);
        db_arg_time_array(&args, &a->status_date, sizeof *a, n);
        db_arg_time_array(&args, &a->case_timestamp, sizeof *a, n);
        db_arg_bool_array(&args, &a->degraded, sizeof *a, n);
        db_arg_int4_array(&args, &a->part, sizeof *a, n);
        db_arg_int8_array(&args, &a->customer_ref, sizeof *a, n);
        db_arg_bytea_array(&args, &a->refs, sizeof *a, n);
        db_arg_text_array(&args, &a->body, sizeof *a, n);
        write_step_send(steps, &active_write_statement, &args, STEP_OTHER);
    }
    if (steps->at == steps->batch->case_count)
        write_step_end(steps);
}

/* ---- agents ---- */

struct agent_columns {
    bool has_unit, has_workspaces, degraded;
    struct uuid current_unit_id;
    struct str refs;
};

static void make_agent(struct write_steps *steps, const struct agent_row *row, const struct agent_state *state,
                       struct agent_columns *out)
{
    struct gate_row *gates = &steps->gates;
    agent_make_row(&row->organization_id, state, steps->names, gates);
    assert(!gates->refs.overflow);
    *out = (struct agent_columns){
        .has_unit = gates->gates.has_unit,
        .has_workspaces = gates->gates.has_workspaces,
        .degraded = agent_is_degraded(state),
        .current_unit_id = gates->gates.current_unit_id,
        .refs = arena_str(steps->arena, (struct str){gates->refs.len > 0 ? gates->refs.data : "", gates->refs.len}),
    };
}

static void send_agent_slice(struct write_steps *steps, const struct agent_row *a, size_t n)
{
    struct arena *arena = arena_new(AGENT_BLOCK, AGENT_MAX);
    struct agent_state *states = write_step_alloc(steps, n * sizeof *states);
    struct agent_columns *columns = write_step_alloc(steps, n * sizeof *columns);
    for (size_t i = 0; i < n; i++) {
        bool loaded = agent_load(a[i].state, arena, &states[i]);
        assert(loaded);
        agent_want_names(&a[i].organization_id, &states[i], steps->names);
    }
    steps->status = names_load(steps->names, steps->loader, steps->arena, steps->err);
    for (size_t i = 0; i < n && steps->status == CV_OK; i++)
        agent_mark_names(&a[i].organization_id, &states[i], steps->names);
    if (steps->status == CV_OK)
        steps->status = names_save_marks(steps->names, steps->loader, steps->arena, steps->err);
    for (size_t i = 0; i < n && steps->status == CV_OK; i++)
        make_agent(steps, &a[i], &states[i], &columns[i]);
    arena_free(arena);
    struct db_args args;
    db_args_init(&args, steps->arena);
    db_arg_uuid_array(&args, &a->organization_id, sizeof *a, n);
    db_arg_uuid_array(&args, &a->user_id, sizeof *a, n);
    db_arg_int4_array(&args, &a->rev, sizeof *a, n);
    db_arg_int4_array(&args, &a->part, sizeof *a, n);
    if (steps->status == CV_OK) {
        db_arg_uuid_null_array(&args, &columns->current_unit_id, &columns->has_unit, sizeof *columns, n);
        db_arg_bool_array(&args, &columns->has_workspaces, sizeof *columns, n);
        db_arg_bool_array(&args, &columns->degraded, sizeof *columns, n);
        db_arg_bytea_array(&args, &columns->refs, sizeof *columns, n);
        db_arg_bytea_array(&args, &a->state, sizeof *a, n);
    }
    write_step_send(steps, &agent_write_statement, &args, STEP_ROWS);
}

static void send_agents(struct write_steps *steps)
{
    const struct agent_row *rows = steps->batch->agent_rows + steps->at;
    size_t left = steps->batch->agent_count - steps->at, n = 0;
    for (size_t bytes = 0; n < left && n < SLICE_AGENTS && bytes < SLICE_BYTES; n++)
        bytes += ROW_BYTES + 2 * rows[n].state.len;
    if (n > 0) {
        names_trim(steps->names);
        send_agent_slice(steps, rows, n);
    }
    write_step_advance(steps, n, left);
}

/* ---- parked records ---- */

static void send_park_slice(struct write_steps *steps, const struct batch_parked *p, size_t n)
{
    struct db_args args;
    db_args_init(&args, steps->arena);
    db_arg_uuid_null_array(&args, &p->organization_id, &p->has_organization, sizeof *p, n);
    db_arg_text_array(&args, &p->topic_name, sizeof *p, n);
    db_arg_int4_array(&args, &p->part, sizeof *p, n);
    db_arg_int8_array(&args, &p->offset, sizeof *p, n);
    db_arg_bytea_array(&args, &p->key, sizeof *p, n);
    db_arg_bytea_array(&args, &p->value, sizeof *p, n);
    db_arg_text_array(&args, &p->headers, sizeof *p, n);
    db_arg_time_array(&args, &p->record_us, sizeof *p, n);
    db_arg_text_array(&args, &p->reason_name, sizeof *p, n);
    db_arg_text_array(&args, &p->text, sizeof *p, n);
    write_step_send(steps, &park_statement, &args, STEP_OTHER);
}

static void send_parked(struct write_steps *steps)
{
    const struct batch_parked *rows = steps->batch->parked + steps->at;
    size_t left = steps->batch->parked_count - steps->at, n = 0;
    for (size_t bytes = 0; n < left && bytes < SLICE_BYTES; n++)
        bytes += ROW_BYTES + rows[n].key.len + rows[n].value.len + rows[n].headers.len;
    if (n > 0)
        send_park_slice(steps, rows, n);
    write_step_advance(steps, n, left);
}

/* ---- directory ---- */

static void send_versions(struct write_steps *steps)
{
    const struct entity_row *v = steps->batch->version_rows;
    size_t n = steps->batch->version_count;
    if (n > 0) {
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_int2_array(&args, &v->kind, sizeof *v, n);
        db_arg_uuid_array(&args, &v->organization_id, sizeof *v, n);
        db_arg_uuid_array(&args, &v->entity_id, sizeof *v, n);
        db_arg_int8_array(&args, &v->version, sizeof *v, n);
        write_step_send(steps, &directory_version_statement, &args, STEP_OTHER);
    }
    write_step_end(steps);
}

/* The clock's lock is the one that all directory writers share, so it is taken late. */
static void send_clock(struct write_steps *steps)
{
    size_t n = steps->batch->entity_count;
    if (n > 0) {
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_int4(&args, steps->gen);
        db_arg_int8(&args, (int64_t)n);
        write_step_send(steps, &clock_statement, &args, STEP_OTHER);
    }
    write_step_end(steps);
}

static void send_directory_slice(struct write_steps *steps, const struct entity_row *e, size_t n)
{
    struct db_args args;
    db_args_init(&args, steps->arena);
    db_arg_int4(&args, steps->gen);
    entity_row_args(&args, e, n);
    write_step_send(steps, &directory_write_statement, &args, STEP_OTHER);
}

static void send_directory(struct write_steps *steps)
{
    const struct entity_row *rows = steps->batch->entity_rows + steps->at;
    size_t left = steps->batch->entity_count - steps->at, n = 0;
    for (size_t bytes = 0; n < left && bytes < SLICE_BYTES; n++)
        bytes += ROW_BYTES + rows[n].name.len + rows[n].detail.len + rows[n].picture.len + rows[n].roles.len;
    if (n > 0)
        send_directory_slice(steps, rows, n);
    write_step_advance(steps, n, left);
}

/* ---- the order ---- */

static const write_step_fn worker_steps[] = {
    send_begin,  send_fence,    send_progress, send_cases,     send_unlisted, send_active, send_agents,
    send_parked, send_versions, send_clock,    send_directory, send_commit,   NULL,
};

static const write_step_fn retry_steps[] = {
    send_begin,
    operator_step_settings,
    operator_step_claim,
    operator_step_forget,
    operator_step_unparks,
    send_cases,
    send_unlisted,
    send_active,
    send_agents,
    send_versions,
    send_clock,
    send_directory,
    send_commit,
    NULL,
};

static const write_step_fn repair_steps[] = {
    send_begin,          operator_step_settings,
    operator_step_claim, operator_step_forget,
    send_cases,          send_unlisted,
    send_active,         send_agents,
    send_commit,         NULL,
};

void write_steps_begin(struct write_steps *steps, struct db *db, struct db *loader, const struct batch *batch,
                       struct names *names, const struct operator_steps *command)
{
    assert(batch->closed);
    steps->db = db;
    steps->loader = loader;
    steps->batch = batch;
    steps->names = names;
    steps->command = command;
    steps->step = command == NULL ? worker_steps : command->unparking ? retry_steps : repair_steps;
    steps->at = steps->sent = 0;
    steps->status = CV_OK;
}

bool write_steps_at_commit(const struct write_steps *steps)
{
    return *steps->step == send_commit;
}

bool write_steps_ended(const struct write_steps *steps)
{
    return *steps->step == NULL;
}

enum cv_status write_steps_next(struct write_steps *steps, struct err *err)
{
    size_t sent = steps->sent;
    steps->err = err;
    arena_reset(steps->arena);
    while (steps->status == CV_OK && *steps->step != NULL && steps->sent == sent)
        (*steps->step)(steps);
    return steps->status;
}

enum write_step write_steps_kind(const struct write_steps *steps, int i)
{
    return (enum write_step)steps->kinds[i];
}
