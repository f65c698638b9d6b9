#include "workers/sink/cases.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/fold/case.h"
#include "workers/fold/render.h"

static const struct db_statement case_load_statement = {"case_load", sql_case_load};

struct case_work;

struct case_entry {
    struct cache_entry entry; /* key: case id */
    bool loaded;
    int32_t rev; /* of the row, 0: there is none */
    bool listed; /* it has a row in active_case */
    char *blob;
    size_t blob_len;
    struct case_work *work; /* in the batch being folded */
};

/* One case of the batch being folded. */
struct case_work {
    struct case_entry *entry;
    struct batch_event *first, *last; /* in the order of arrival; NULL: only rendered anew */
    bool rerender;                    /* a name of it changed */
    int32_t part;
};

struct cases {
    struct cache *cache;
};

static void drop_entry(struct cache_entry *entry)
{
    free(((struct case_entry *)entry)->blob);
}

struct cases *cases_new(size_t max_bytes)
{
    struct cases *cases = cv_zalloc(sizeof *cases);
    cases->cache = cache_new(sizeof(struct uuid), sizeof(struct case_entry), max_bytes, drop_entry);
    return cases;
}

void cases_free(struct cases *cases)
{
    if (cases == NULL)
        return;
    cache_free(cases->cache);
    free(cases);
}

void cases_clear(struct cases *cases)
{
    cache_clear(cases->cache);
}

size_t cases_cached(const struct cases *cases)
{
    return cache_count(cases->cache);
}

size_t cases_cached_bytes(const struct cases *cases)
{
    return cache_bytes(cases->cache);
}

/* ---- which cases, and with which events ---- */

static struct case_work *work_on(struct cases *cases, const struct uuid *case_id, struct case_work *works,
                                 size_t *count)
{
    bool made;
    struct case_entry *entry = (struct case_entry *)cache_get(cases->cache, case_id->b, &made);
    if (entry->work != NULL)
        return entry->work;
    cache_pin(&entry->entry);
    works[*count] = (struct case_work){.entry = entry};
    entry->work = &works[*count];
    return &works[(*count)++];
}

static size_t collect(struct cases *cases, struct batch *batch, struct case_work *works)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        struct batch_event *event = batch->events[i];
        if (event->event.topic != TOPIC_CASES)
            continue;
        struct case_work *work = work_on(cases, &event->event.c.case_id, works, &count);
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
        if (rerender->topic != TOPIC_CASES)
            continue;
        struct case_work *work = work_on(cases, &rerender->id, works, &count);
        work->rerender = true;
        if (work->first == NULL)
            work->part = rerender->part;
    }
    return count;
}

static bool expected_new(const struct case_work *work)
{
    return work->first != NULL && work->first->event.c.sequence == 1 &&
           (work->first->event.c.type == CASE_QUEUED || work->first->event.c.type == CASE_APPOINTMENT_BOOKED);
}

static void set_blob(struct cases *cases, struct case_entry *entry, struct str blob)
{
    free(entry->blob);
    entry->blob = cv_alloc(blob.len + 1);
    memcpy(entry->blob, blob.ptr, blob.len);
    entry->blob_len = blob.len;
    cache_weigh(cases->cache, &entry->entry, blob.len);
}

static enum cv_status load(struct cases *cases, struct batch *batch, struct case_work *works, size_t count,
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
        struct case_entry *entry = (struct case_entry *)cache_find(cases->cache, case_id.b);
        entry->rev = db_int4(result, row, 1);
        entry->listed = (db_int2(result, row, 2) & CASE_LISTED) != 0;
        set_blob(cases, entry, db_str(result, row, 3));
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

static bool apply(struct batch *batch, const struct case_work *work, struct case_state *state)
{
    bool changed = false;
    for (struct batch_event *event = work->first; event != NULL; event = event->next) {
        enum fold_outcome outcome = case_apply(state, &event->event.c);
        count_outcome(batch, event, outcome);
        changed |= outcome == FOLD_APPLIED || outcome == FOLD_UNKNOWN_TYPE;
    }
    return changed;
}

static int16_t flags_of(const struct case_state *state)
{
    return (int16_t)((case_is_listed(state) ? CASE_LISTED : 0) | (case_is_degraded(state) ? CASE_DEGRADED : 0) |
                     (case_is_incomplete(state) ? CASE_INCOMPLETE : 0) | (state->over ? CASE_OVER : 0));
}

static void want_names(struct names *names, const struct case_state *state)
{
    struct entity_ref refs[NAME_SLOT_COUNT];
    case_names_wanted(state, refs);
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++)
        if (refs[i].present)
            names_want(names, &state->organization_id, refs[i].kind, &refs[i].id);
}

/* Adds the case's row, unless nothing changed and nobody asked for it to be rendered. */
static enum cv_status fold_one(struct batch *batch, const struct case_work *work, struct fold_context *context,
                               struct err *err)
{
    struct case_entry *entry = work->entry;
    struct case_state state;
    if (entry->blob == NULL) {
        if (work->first == NULL)
            return CV_OK; /* gone since it was found by the feed */
        case_init(&state, &work->first->event.c.organization_id);
    } else if (!case_load((struct str){entry->blob, entry->blob_len}, &state)) {
        char text[UUID_TEXT_LEN + 1];
        uuid_format((const struct uuid *)entry->entry.key, text);
        err_set(err, "case %s: its state in case_state was not written by this version of caseview", text);
        return CV_FATAL;
    }
    bool changed = apply(batch, work, &state);
    if (!changed && !(entry->listed && work->rerender))
        return CV_OK;

    buf_reset(&context->scratch);
    case_store(&state, &context->scratch);
    struct case_row *row = &batch->cases[batch->case_count];
    *row = (struct case_row){
        .entry = &entry->entry,
        .rev = ++entry->rev,
        .part = work->part,
        .flags = flags_of(&state),
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
    buf_reset(scratch);
    buf_byte(scratch, '{');
    for (size_t i = 0; i < NAME_SLOT_COUNT; i++) {
        if (!refs[i].present)
            continue;
        found[i] = names_get(context->names, &state.organization_id, refs[i].kind, &refs[i].id);
        names_put_ref(scratch, &state.organization_id, refs[i].kind, &refs[i].id);
    }
    buf_byte(scratch, '}');
    struct str ref_text = arena_str(batch->output, (struct str){scratch->data, scratch->len});
    buf_reset(scratch);
    render_case(&row->case_id, &state, found, scratch);
    struct str body = arena_str(batch->output, (struct str){scratch->data, scratch->len});
    if (scratch->overflow || body.ptr == NULL)
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
        .refs = ref_text,
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

static int compare_works(const void *a, const void *b)
{
    const struct case_work *x = a, *y = b;
    return memcmp(x->entry->entry.key, y->entry->entry.key, sizeof(struct uuid));
}

enum cv_status cases_fold(struct cases *cases, struct batch *batch, struct fold_context *context, struct err *err)
{
    size_t most = batch->event_count + batch->rerender_count;
    if (most == 0)
        return CV_OK;
    struct case_work *works = arena_alloc(batch->output, most * sizeof *works);
    if (works == NULL)
        return batch_too_large(err);
    size_t count = collect(cases, batch, works);
    batch->cases = arena_alloc(batch->output, (count + 1) * sizeof *batch->cases);
    batch->active = arena_alloc(batch->output, (count + 1) * sizeof *batch->active);
    batch->unlisted = arena_alloc(batch->output, (count + 1) * sizeof *batch->unlisted);
    if (batch->cases == NULL || batch->active == NULL || batch->unlisted == NULL)
        return batch_too_large(err);

    enum cv_status status = load(cases, batch, works, count, context, err);
    qsort(works, count, sizeof *works, compare_works);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        status = fold_one(batch, &works[i], context, err);
    if (status == CV_OK)
        status = render(batch, context, err);
    for (size_t i = 0; i < count; i++)
        works[i].entry->work = NULL;
    if (status != CV_OK)
        return status;

    /* The cache takes the new states; a case without a row was not touched and needs no pin. */
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        if (row < batch->case_count && batch->cases[row].entry == &works[i].entry->entry)
            set_blob(cases, works[i].entry, batch->cases[row++].state);
        else
            cache_unpin(&works[i].entry->entry);
    }
    assert(row == batch->case_count);
    return CV_OK;
}

void cases_committed(struct cases *cases, struct batch *batch)
{
    for (size_t i = 0; i < batch->case_count; i++)
        cache_unpin(batch->cases[i].entry);
    cache_trim(cases->cache);
}
