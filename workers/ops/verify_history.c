#include "workers/ops/verify_history.h"

#include <stdio.h>

#include "workers/ops/history_compare.h"
#include "workers/sink/entity_key.h"
#include "workers/sink/names.h"
#include "workers/source/decode.h"

#define BLOB_MAX    (64u << 20)
#define SCRATCH_MAX (256u << 20)

static void free_text(struct str text)
{
    free((char *)(uintptr_t)text.ptr);
}

void verify_forget_row(struct verify_entry *entry)
{
    if (entry->row == NULL)
        return;
    free_text(entry->row->state);
    free(entry->row->directory);
    free(entry->row);
    entry->row = NULL;
}

static void drop_entry(struct cache_entry *entry, void *context CV_UNUSED)
{
    struct verify_entry *own = (struct verify_entry *)entry;
    free_text(own->state);
    free(own->directory);
    verify_forget_row(own);
}

void verify_history_init(struct verify_history *history, int64_t sample, struct verify_report *report)
{
    static const size_t key_sizes[TOPIC_COUNT] = {VERIFY_CASE_KEY, VERIFY_AGENT_KEY, ENTITY_KEY};
    *history = (struct verify_history){.sample = sample, .report = report};
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        history->sets[t].cache = cache_new(key_sizes[t], sizeof(struct verify_entry), SIZE_MAX, drop_entry, NULL);
    history->decoded = arena_new(1u << 16, DECODE_ARENA_MAX + (1u << 20));
    history->scratch = arena_new(1u << 16, SCRATCH_MAX);
    buf_init(&history->blob, BLOB_MAX);
}

void verify_history_done(struct verify_history *history)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        cache_free(history->sets[t].cache);
        free(history->sets[t].all);
        free(history->sets[t].suspects);
    }
    free(history->positions);
    arena_free(history->decoded);
    arena_free(history->scratch);
    buf_done(&history->blob);
}

struct verify_entry *verify_find(const struct verify_history *history, enum topic topic, const void *key)
{
    return (struct verify_entry *)cache_find(history->sets[topic].cache, key);
}

struct verify_entry *verify_find_or_add(struct verify_history *history, enum topic topic, const void *key)
{
    struct verify_set *set = &history->sets[topic];
    bool made;
    struct verify_entry *entry = (struct verify_entry *)cache_get(set->cache, key, &made);
    if (!made)
        return entry;
    entry->over_ms = -1;
    set->all = cv_grow(set->all, set->count, &set->room, sizeof(struct verify_entry *));
    set->all[set->count++] = entry;
    return entry;
}

void verify_suspect(struct verify_history *history, enum topic topic, struct verify_entry *entry)
{
    struct verify_set *set = &history->sets[topic];
    if (entry->is_suspect)
        return;
    entry->is_suspect = true;
    set->suspects = cv_grow(set->suspects, set->suspect_count, &set->suspect_room, sizeof(struct verify_entry *));
    set->suspects[set->suspect_count++] = entry;
}

static struct str copy_text(struct str text)
{
    char *copy = cv_alloc(text.len + 1);
    memcpy(copy, text.ptr, text.len);
    return (struct str){copy, text.len};
}

static void keep_state(struct verify_entry *entry, struct str state)
{
    struct str copy = copy_text(state);
    free_text(entry->state);
    entry->state = copy;
}

bool verify_wants(const struct verify_history *history, const struct uuid *id)
{
    static const struct uuid none;
    if (history->sample >= 100)
        return true;
    uint64_t hash = (uint64_t)names_hash(&none, ENTITY_UNIT, id) >> 1; /* its lowest bit is always set */
    return hash % 100 < (uint64_t)history->sample;
}

/* ---- copies ---- */

static struct str put_text(char **at, struct str text)
{
    if (text.ptr == NULL)
        return STR_NULL;
    struct str kept = {*at, text.len};
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

/* The state and all its texts as one block, since the record that it borrows from is freed. */
static struct directory_state *copy_directory(const struct directory_state *state)
{
    const struct entity_fields *fields = &state->fields;
    size_t texts = fields->name.len + fields->detail.len + fields->picture.len;
    for (size_t i = 0; i < fields->role_count; i++)
        texts += fields->roles[i].len;
    size_t head = sizeof *state + fields->role_count * sizeof(struct str);
    struct directory_state *copy = cv_alloc(head + texts + 1);
    struct str *roles = (struct str *)(copy + 1);
    char *at = (char *)copy + head;
    *copy = *state;
    copy->fields.name = put_text(&at, fields->name);
    copy->fields.detail = put_text(&at, fields->detail);
    copy->fields.picture = put_text(&at, fields->picture);
    for (size_t i = 0; i < fields->role_count; i++)
        roles[i] = put_text(&at, fields->roles[i]);
    copy->fields.roles = roles;
    return copy;
}

void verify_keep_row(struct verify_entry *entry, int32_t part, struct str state)
{
    verify_forget_row(entry);
    entry->row = cv_zalloc(sizeof *entry->row);
    entry->row->part = part;
    entry->row->state = copy_text(state);
}

void verify_keep_directory_row(struct verify_entry *entry, const struct directory_state *directory)
{
    verify_forget_row(entry);
    entry->row = cv_zalloc(sizeof *entry->row);
    entry->row->directory = copy_directory(directory);
}

/* ---- positions ---- */

static struct verify_position *find_position(const struct verify_history *history, enum topic topic, int32_t part)
{
    for (size_t i = 0; i < history->position_count; i++)
        if (history->positions[i].part == part && history->positions[i].topic == topic)
            return &history->positions[i];
    return NULL;
}

static struct verify_position *find_or_add_position(struct verify_history *history, enum topic topic, int32_t part)
{
    struct verify_position *position = find_position(history, topic, part);
    if (position != NULL)
        return position;
    history->positions = cv_realloc(history->positions, (history->position_count + 1) * sizeof *history->positions);
    position = &history->positions[history->position_count++];
    *position = (struct verify_position){.topic = topic, .part = part};
    return position;
}

static int64_t first_offset(void *context, enum topic topic, int32_t part)
{
    const struct verify_position *position = find_position(context, topic, part);
    return position != NULL ? position->folded_to : 0;
}

/* Findings about a record are reported once, though it may be read twice. */
static bool is_reported(const struct verify_history *history, const struct record *record)
{
    const struct verify_position *position = find_position(history, record->topic, record->partition);
    return position != NULL && record->offset < position->reported_to;
}

bool verify_history_is_at(const struct verify_history *history, const struct history_reader *reader, enum topic topic)
{
    for (size_t i = 0; i < reader->cursor_count; i++) {
        const struct history_cursor *cursor = &reader->cursors[i];
        const struct verify_position *position = find_position(history, cursor->topic, cursor->part);
        if (cursor->topic == topic && cursor->next_offset != (position != NULL ? position->folded_to : 0))
            return false;
    }
    return true;
}

/* ---- folding ---- */

static void place_of(const struct verify_history *history, const struct record *record, char out[320])
{
    snprintf(out, 320, "%s/%d offset %" PRId64, history->topics[record->topic], record->partition, record->offset);
}

static void report_foreign(struct verify_history *history, const struct record *record, const char *whose)
{
    char place[320];
    if (is_reported(history, record))
        return;
    place_of(history, record, place);
    report_difference(history->report, place, "parked", STR("not parked"), str_of(whose));
}

static enum cv_status too_large(struct err *err)
{
    err_set(err, "a state is larger than %u MiB", BLOB_MAX >> 20);
    return CV_FATAL;
}

static enum cv_status fold_case(struct verify_history *history, const struct history_record *found, struct err *err)
{
    const struct case_event *event = &found->event->c;
    struct verify_entry *entry = verify_find_or_add(history, TOPIC_CASES, &event->case_id);
    struct case_state state;
    if (!found->folded) {
        entry->ahead = true;
        return CV_OK;
    }
    if (entry->state.ptr == NULL) {
        case_init(&state, &event->organization_id);
    } else {
        bool loaded = case_load(entry->state, &state);
        assert(loaded); /* stored below */
    }
    bool was_over = state.over;
    entry->parts |= part_bit(found->record->partition);
    if (case_apply(&state, event) == FOLD_KEY_MISMATCH)
        report_foreign(history, found->record, "key-mismatch: the case belongs to another organization");
    if (state.over && !was_over)
        entry->over_ms = found->record->timestamp_ms;
    buf_reset(&history->blob);
    case_store(&state, &history->blob);
    if (history->blob.overflow)
        return too_large(err);
    keep_state(entry, (struct str){history->blob.data, history->blob.len});
    return CV_OK;
}

static enum cv_status fold_agent(struct verify_history *history, const struct history_record *found, struct err *err)
{
    const struct agent_event *event = &found->event->a;
    const struct uuid key[2] = {event->organization_id, event->user_id};
    struct verify_entry *entry = verify_find_or_add(history, TOPIC_AGENTS, key);
    struct agent_state state;
    if (!found->folded) {
        entry->ahead = true;
        return CV_OK;
    }
    arena_reset(history->scratch);
    bool loaded = true;
    if (entry->state.ptr == NULL)
        agent_init(&state, history->scratch);
    else
        loaded = agent_load(entry->state, history->scratch, &state);
    entry->parts |= part_bit(found->record->partition);
    buf_reset(&history->blob);
    if (loaded) {
        (void)agent_apply(&state, event);
        agent_store(&state, &history->blob);
    }
    if (arena_full(history->scratch) || history->blob.overflow)
        return too_large(err);
    assert(loaded);
    keep_state(entry, (struct str){history->blob.data, history->blob.len});
    return CV_OK;
}

static void fold_entity(struct verify_history *history, const struct history_record *found)
{
    const struct directory_event *event = &found->event->d;
    uint8_t key[ENTITY_KEY];
    if (event->type == DIRECTORY_UNKNOWN_TYPE || !verify_wants(history, &event->entity_id))
        return;
    entity_key(event->kind, &event->organization_id, &event->entity_id, key);
    struct verify_entry *entry = verify_find_or_add(history, TOPIC_DIRECTORY, key);
    struct directory_state state;
    bool visible;
    if (!found->folded) {
        entry->ahead = true;
        return;
    }
    /* A forgotten application has no owner. */
    if (entry->directory == NULL || entry->directory->status == ENTITY_FORGOTTEN)
        directory_init(&state, &event->organization_id);
    else
        state = *entry->directory;
    if (directory_apply(&state, event, &visible) == FOLD_KEY_MISMATCH)
        report_foreign(history, found->record, "key-mismatch: the application belongs to another organization");
    struct directory_state *old = entry->directory;
    entry->directory = copy_directory(&state);
    free(old);
}

/* ---- records ---- */

/* Before decoding: most records of a sample need no decoding. */
static bool wants(void *context, const struct record *record)
{
    const struct verify_history *history = context;
    struct uuid id;
    if (history->sample >= 100 || record->topic == TOPIC_DIRECTORY)
        return true;
    return uuid_parse(record->key, &id) && verify_wants(history, &id);
}

static void report_unparked(struct verify_history *history, const struct history_record *found)
{
    char place[320], text[600];
    if (!found->folded || is_reported(history, found->record))
        return;
    place_of(history, found->record, place);
    snprintf(text, sizeof text, "%s: %s", park_reason_name(found->reason), found->text);
    report_difference(history->report, place, "parked", STR("not parked"), str_of(text));
}

static enum cv_status take(void *context, const struct history_record *found, struct err *err)
{
    struct verify_history *history = context;
    if (found->folded && !is_reported(history, found->record)) {
        history->report->records++;
        history->report->left_out += found->left_out != NULL;
    }
    if (found->left_out != NULL)
        return CV_OK;
    if (found->decoded == CV_PARK) {
        report_unparked(history, found);
        return CV_OK;
    }
    switch (found->record->topic) {
    case TOPIC_CASES:
        return fold_case(history, found, err);
    case TOPIC_AGENTS:
        return fold_agent(history, found, err);
    case TOPIC_DIRECTORY:
        fold_entity(history, found);
        return CV_OK;
    case TOPIC_COUNT:
        break;
    }
    return CV_OK;
}

/* The cursor is beyond the end: its offsets are those of another log. */
static void report_beyond_end(struct verify_history *history, const struct scan_partition *partition, int64_t next)
{
    char place[320], a[24], b[48];
    snprintf(place, sizeof place, "%s/%d", history->topics[partition->topic], partition->partition);
    snprintf(a, sizeof a, "%" PRId64, next);
    snprintf(b, sizeof b, "the log ends at %" PRId64, partition->end);
    report_difference(history->report, place, "next_offset", str_of(a), str_of(b));
}

static void move_positions(struct verify_history *history, const struct history_reader *reader)
{
    size_t count;
    const struct scan_partition *partitions = history_reader_partitions(reader, &count);
    for (size_t i = 0; i < count; i++) {
        const struct scan_partition *p = &partitions[i];
        struct verify_set *set = &history->sets[p->topic];
        struct verify_position *position = find_or_add_position(history, p->topic, p->partition);
        int64_t next = history_reader_next_offset(reader, p->topic, p->partition);
        set->start_gone |= p->low > position->folded_to;
        set->has_holes |= set->start_gone || p->records < p->position - p->low;
        if (next > p->end && position->reported_to <= p->end)
            report_beyond_end(history, p, next);
        position->folded_to = next > p->end ? p->end : next < 0 ? 0 : next;
        if (position->reported_to < next)
            position->reported_to = next;
    }
}

static bool is_continuation(const struct verify_history *history, const struct history_reader *reader)
{
    for (size_t i = 0; i < history->position_count; i++) {
        const struct verify_position *position = &history->positions[i];
        if (history_reader_next_offset(reader, position->topic, position->part) < position->folded_to)
            return false;
    }
    return !reader->left_out_shrank;
}

static void forget_states(struct verify_history *history)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        for (size_t i = 0; i < history->sets[t].count; i++) {
            struct verify_entry *entry = history->sets[t].all[i];
            free_text(entry->state);
            free(entry->directory);
            entry->state = STR_NULL;
            entry->directory = NULL;
            entry->parts = 0;
            entry->over_ms = -1;
        }
    }
    for (size_t i = 0; i < history->position_count; i++)
        history->positions[i].folded_to = 0;
}

enum cv_status verify_history_read(struct verify_history *history, struct history_reader *reader, struct err *err)
{
    const struct history_reading reading = {
        .topics = 1u << TOPIC_CASES | 1u << TOPIC_AGENTS | 1u << TOPIC_DIRECTORY,
        .from = first_offset,
        .wants = wants,
        .take = take,
        .context = history,
        .arena = history->decoded,
    };
    history->topics = reader->topics;
    if (history->position_count > 0 && !is_continuation(history, reader))
        forget_states(history);
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        for (size_t i = 0; i < history->sets[t].count; i++)
            history->sets[t].all[i]->ahead = false;
    enum cv_status status = history_reader_run(reader, &reading, err);
    if (status == CV_OK)
        move_positions(history, reader);
    return status;
}
