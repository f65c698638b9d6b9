#include "workers/sink/cases.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/fold/case.h"
#include "workers/fold/render.h"
#include "workers/sink/states.h"

static const struct db_statement case_load_statement = {"case_load", sql_case_load};

struct cases {
    struct states *states; /* key: case id */
};

static void key_of(const struct batch_event *event, const struct batch_rerender *rerender, uint8_t *out_key)
{
    memcpy(out_key, event != NULL ? &event->event.c.case_id : &rerender->id, sizeof(struct uuid));
}

struct cases *cases_new(size_t max_bytes)
{
    struct cases *cases = cv_zalloc(sizeof *cases);
    cases->states = states_new(TOPIC_CASES, sizeof(struct uuid), key_of, max_bytes);
    return cases;
}

void cases_free(struct cases *cases)
{
    if (cases == NULL)
        return;
    states_free(cases->states);
    free(cases);
}

void cases_clear(struct cases *cases)
{
    states_clear(cases->states);
}

size_t cases_cached(const struct cases *cases)
{
    return states_count(cases->states);
}

size_t cases_cached_bytes(const struct cases *cases)
{
    return states_bytes(cases->states);
}

/* ---- reading what is not in memory ---- */

static bool expected_new(const struct state_work *work)
{
    return work->first != NULL && work->first->event.c.sequence == 1 &&
           (work->first->event.c.type == CASE_QUEUED || work->first->event.c.type == CASE_APPOINTMENT_BOOKED);
}

static enum cv_status load(struct cases *cases, struct batch *batch, struct state_work *works, size_t count,
                           struct fold_context *context, struct err *err)
{
    struct uuid *ids = arena_alloc(batch->output, (count + 1) * sizeof *ids);
    if (ids == NULL)
        return batch_too_large(err);
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        if (works[i].entry->loaded)
            continue;
        works[i].entry->loaded = true;
        if (!(context->expect_new && expected_new(&works[i])))
            memcpy(ids[missing++].b, works[i].entry->entry.key, sizeof ids->b);
    }
    if (missing == 0)
        return CV_OK;
    struct db_args args;
    db_args_init(&args, batch->output);
    db_arg_uuid_array(&args, ids, sizeof *ids, missing);
    struct db_result *result;
    enum cv_status status = db_exec(context->loader, &case_load_statement, &args, FOLD_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct uuid case_id = db_uuid(result, row, 0);
        struct state_entry *entry = states_find(cases->states, &case_id);
        entry->rev = db_int4(result, row, 1);
        entry->listed = (db_int2(result, row, 2) & CASE_LISTED) != 0;
        states_set(cases->states, entry, db_str(result, row, 3));
    }
    db_result_free(result);
    return CV_OK;
}

/* ---- folding one case ---- */

static void count_outcome(struct batch *batch, const struct batch_event *event, enum fold_outcome outcome)
{
    switch (outcome) {
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
    case FOLD_KEY_MISMATCH: {
        const struct batch_cursor *cursor = batch_find_cursor(batch, event->event.topic, event->record.partition);
        batch_park(batch, &event->record, cursor->topic_name, event->headers, &event->event.c.organization_id,
                   PARK_KEY_MISMATCH, "the case belongs to another organization");
        break;
    }
    }
}

static bool apply(struct batch *batch, const struct state_work *work, struct case_state *state)
{
    bool changed = false;
    for (struct batch_event *event = work->first; event != NULL; event = event->next) {
        enum fold_outcome outcome = case_apply(state, &event->event.c);
        count_outcome(batch, event, outcome);
        changed |= outcome == FOLD_APPLIED || outcome == FOLD_UNKNOWN_TYPE;
    }
    return changed;
}

static void want_names(struct names *names, const struct case_state *state)
{
    struct entity_ref refs[NAME_SLOT_COUNT];
    case_names_wanted(state, refs);
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++)
        if (refs[i].present)
            names_want(names, &state->organization_id, refs[i].kind, &refs[i].id);
}

/*
 * The stored state is thrown away. It may be another organization's, whose row of active_case goes then; and that row
 * may be there or not, whatever the flags say: a repair trusts nothing but the log.
 */
static void replace_state(struct batch *batch, struct state_entry *entry, struct case_state *state,
                          const struct uuid *organization_id)
{
    if (entry->blob.ptr != NULL && case_load(entry->blob, state) &&
        !uuid_eq(&state->organization_id, organization_id)) {
        struct active_key *key = &batch->unlisted[batch->unlisted_count++];
        key->organization_id = state->organization_id;
        memcpy(key->case_id.b, entry->entry.key, sizeof key->case_id.b);
    }
    entry->listed = true;
    case_init(state, organization_id);
}

/* The state to fold upon; false: there is none that could be read. */
static bool begin_state(struct batch *batch, const struct state_work *work, struct case_state *state, struct err *err)
{
    struct state_entry *entry = work->entry;
    if (batch->replace && work->first != NULL) {
        replace_state(batch, entry, state, &work->first->event.c.organization_id);
    } else if (entry->blob.ptr == NULL) {
        case_init(state, &work->first->event.c.organization_id);
    } else if (!case_load(entry->blob, state)) {
        char text[UUID_TEXT_LEN + 1];
        uuid_format((const struct uuid *)entry->entry.key, text);
        err_set(err, "case %s: its state in case_state was not written by this version of caseview", text);
        return false;
    }
    return true;
}

/* Adds the case's row, unless nothing changed and nobody asked for it to be rendered. */
static enum cv_status fold_one(struct batch *batch, const struct state_work *work, struct fold_context *context,
                               struct err *err)
{
    struct state_entry *entry = work->entry;
    struct case_state state;
    if (entry->blob.ptr == NULL && work->first == NULL)
        return CV_OK; /* gone since it was found by the feed */
    if (!begin_state(batch, work, &state, err))
        return CV_FATAL;
    bool changed = apply(batch, work, &state);
    if (!changed && !(entry->listed && work->rerender))
        return CV_OK;

    buf_reset(&context->scratch);
    case_store(&state, &context->scratch);
    struct case_row *row = &batch->cases[batch->case_count];
    *row = (struct case_row){
        .entry = entry,
        .rev = ++entry->rev,
        .part = work->part,
        .flags = case_row_flags(&state),
        .was_listed = entry->listed,
        .state = arena_str(batch->output, (struct str){context->scratch.data, context->scratch.len}),
    };
    if (context->scratch.overflow || row->state.ptr == NULL)
        return batch_too_large(err);
    memcpy(row->case_id.b, entry->entry.key, sizeof row->case_id.b);
    entry->listed = (row->flags & CASE_LISTED) != 0;
    if (entry->listed)
        want_names(context->names, &state);
    batch->case_count++;
    return CV_OK;
}

/* ---- what becomes of active_case ---- */

static enum cv_status render_row(struct batch *batch, const struct case_row *row, struct fold_context *context,
                                 struct err *err)
{
    struct case_state state;
    bool loaded = case_load(row->state, &state);
    assert(loaded); /* written a moment ago */
    struct entity_ref refs[NAME_SLOT_COUNT];
    const struct entity_names *found[NAME_SLOT_COUNT] = {NULL};
    struct buf *scratch = &context->scratch;
    case_names_wanted(&state, refs);
    int64_t customer_ref = 0;
    buf_reset(scratch);
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++) {
        if (!refs[i].present)
            continue;
        found[i] = names_get(context->names, &state.organization_id, refs[i].kind, &refs[i].id);
        if (i == NAME_CUSTOMER)
            customer_ref = names_hash(&state.organization_id, refs[i].kind, &refs[i].id);
        else
            names_put_ref(scratch, &state.organization_id, refs[i].kind, &refs[i].id);
    }
    struct str kept_refs = arena_str(batch->output, (struct str){scratch->data, scratch->len});
    buf_reset(scratch);
    render_case(&row->case_id, &state, found, scratch);
    struct str body = arena_str(batch->output, (struct str){scratch->data, scratch->len});
    if (scratch->overflow || body.ptr == NULL || kept_refs.ptr == NULL)
        return batch_too_large(err);
    batch->active[batch->active_count++] = (struct active_row){
        .organization_id = state.organization_id,
        .case_id = row->case_id,
        .user_id = state.fields.locked_by.id,
        .unit_id = state.fields.unit.id,
        .status_date = state.fields.status_date,
        .case_timestamp = state.fields.case_timestamp,
        .degraded = (row->flags & CASE_DEGRADED) != 0,
        .part = row->part,
        .customer_ref = customer_ref,
        .refs = kept_refs,
        .body = body,
    };
    return CV_OK;
}

static enum cv_status render(struct batch *batch, struct fold_context *context, struct err *err)
{
    enum cv_status status = names_load(context->names, context->loader, batch->output, err);
    for (size_t i = 0; i < batch->case_count && status == CV_OK; i++) {
        const struct case_row *row = &batch->cases[i];
        if (row->flags & CASE_LISTED) {
            status = render_row(batch, row, context, err);
        } else if (row->was_listed) {
            struct case_state state;
            bool loaded = case_load(row->state, &state);
            assert(loaded);
            batch->unlisted[batch->unlisted_count++] = (struct active_key){state.organization_id, row->case_id};
        }
    }
    return status;
}

enum cv_status cases_fold(struct cases *cases, struct batch *batch, struct fold_context *context, struct err *err)
{
    struct state_work *works;
    size_t count;
    enum cv_status status = states_collect(cases->states, batch, &works, &count, err);
    if (status != CV_OK)
        return status;
    batch->cases = arena_alloc(batch->output, (count + 1) * sizeof *batch->cases);
    batch->active = arena_alloc(batch->output, (count + 1) * sizeof *batch->active);
    /* Twice: a replaced state may leave another organization's row behind. */
    batch->unlisted = arena_alloc(batch->output, (2 * count + 1) * sizeof *batch->unlisted);
    if (batch->cases == NULL || batch->active == NULL || batch->unlisted == NULL)
        return batch_too_large(err);

    status = load(cases, batch, works, count, context, err);
    if (status == CV_OK)
        states_check_expected(cases->states, batch);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        status = fold_one(batch, &works[i], context, err);
    if (status == CV_OK)
        status = render(batch, context, err);
    if (status != CV_OK)
        return status;

    /* The new states are kept; a case without a row was not touched and needs no pin. */
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        if (row < batch->case_count && batch->cases[row].entry == works[i].entry)
            states_set(cases->states, works[i].entry, batch->cases[row++].state);
        else
            states_release(works[i].entry);
    }
    assert(row == batch->case_count);
    return CV_OK;
}

void cases_committed(struct cases *cases, struct batch *batch)
{
    for (size_t i = 0; i < batch->case_count; i++)
        states_release(batch->cases[i].entry);
    states_trim(cases->states);
}
