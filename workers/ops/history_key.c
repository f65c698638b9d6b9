#include "workers/ops/history_key.h"

#include <stdio.h>

#include "caseview/clock.h"

#define ARENA_MAX     (1u << 30)
#define ROUNDS_MAX    5
#define SHORT_READ_MS 1000

static enum cv_status parse_id(const struct config *config, const char *option, struct uuid *out_id, struct err *err)
{
    const char *text = config_text(config, option);
    if (uuid_parse(str_of(text), out_id))
        return CV_OK;
    err_set(err, "--%s: \"%.60s\" is not a GUID: expected 8-4-4-4-12 hex digits", option, text);
    return CV_FATAL;
}

enum cv_status history_key_init(struct history_key *key, const struct config *config, struct err *err)
{
    bool by_case = config_is_set(config, "case"), by_user = config_is_set(config, "user");
    *key = (struct history_key){.topic = by_case ? TOPIC_CASES : TOPIC_AGENTS};
    if (by_case == by_user) {
        err_set(err, "give either --case ID or --user ID%s", by_case ? ", not both" : "");
        return CV_FATAL;
    }
    if (by_case && config_is_set(config, "organization")) {
        err_set(err, "--organization goes with --user: a case id is unique without it");
        return CV_FATAL;
    }
    enum cv_status status = parse_id(config, by_case ? "case" : "user", &key->id, err);
    key->has_organization = config_is_set(config, "organization");
    if (status == CV_OK && key->has_organization)
        status = parse_id(config, "organization", &key->organization_id, err);
    if (status == CV_OK)
        key->arena = arena_new(1u << 16, ARENA_MAX);
    return status;
}

void history_key_done(struct history_key *key)
{
    arena_free(key->arena);
    free(key->entries);
    free(key->positions);
}

/* ---- which records ---- */

static bool names_id(struct str value, const struct uuid *id)
{
    char lower[UUID_TEXT_LEN + 1], upper[UUID_TEXT_LEN + 1];
    if (value.ptr == NULL)
        return false;
    uuid_format(id, lower);
    for (size_t i = 0; i <= UUID_TEXT_LEN; i++)
        upper[i] = (char)(lower[i] >= 'a' && lower[i] <= 'f' ? lower[i] - 'a' + 'A' : lower[i]);
    return memmem(value.ptr, value.len, lower, UUID_TEXT_LEN) != NULL ||
           memmem(value.ptr, value.len, upper, UUID_TEXT_LEN) != NULL;
}

static bool has_key(const struct record *record, const struct uuid *id)
{
    struct uuid own;
    return uuid_parse(record->key, &own) && uuid_eq(&own, id);
}

static bool wants(void *context, const struct record *record)
{
    const struct history_key *key = context;
    return has_key(record, &key->id) || names_id(record->value, &key->id);
}

static void name_schema(struct str value, char out[40])
{
    const unsigned char *b = (const unsigned char *)value.ptr;
    if (value.len >= 5 && b[0] == 0) {
        snprintf(out, 40, "id %u", (unsigned)b[1] << 24 | (unsigned)b[2] << 16 | (unsigned)b[3] << 8 | b[4]);
    } else if (value.len >= 10 && b[0] == 0xC3 && b[1] == 0x01) {
        uint64_t fingerprint = 0;
        for (unsigned i = 0; i < 8; i++)
            fingerprint |= (uint64_t)b[2 + i] << 8 * i;
        snprintf(out, 40, "fingerprint %016" PRIx64, fingerprint);
    } else {
        snprintf(out, 40, "none");
    }
}

/* ---- collecting ---- */

static enum cv_status take(void *context, const struct history_record *found, struct err *err)
{
    struct history_key *key = context;
    const struct record *record = found->record;
    bool foreign = !has_key(record, &key->id);
    /* An event of another key may mention the id, as an actor for instance. It is kept only if its key is wrong. */
    if (foreign && (found->decoded == CV_OK || found->reason != PARK_KEY_MISMATCH))
        return CV_OK;
    if (key->topic == TOPIC_AGENTS && key->has_organization && found->decoded == CV_OK &&
        !uuid_eq(&found->event->a.organization_id, &key->organization_id))
        return CV_OK;
    key->entries = cv_grow(key->entries, key->count, &key->room, sizeof *key->entries);
    struct history_entry *entry = &key->entries[key->count++];
    *entry = (struct history_entry){
        .part = record->partition,
        .offset = record->offset,
        .timestamp_ms = record->timestamp_ms,
        .bytes = (int32_t)(record->key.len + record->value.len),
        .foreign = foreign,
        .usable = found->decoded == CV_OK,
        .reason = found->reason,
        .text = STR_NULL,
    };
    name_schema(record->value, entry->schema);
    if (entry->usable)
        entry->event = *found->event;
    else
        entry->text = arena_str(key->arena, str_of(found->text));
    if (arena_full(key->arena)) {
        err_set(err, "the events of this key need more than %u MiB of memory", ARENA_MAX >> 20);
        return CV_FATAL;
    }
    return CV_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct history_entry *x = a, *y = b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int by_order(const void *a, const void *b)
{
    const struct history_entry *x = a, *y = b;
    if (x->order_ms != y->order_ms)
        return x->order_ms < y->order_ms ? -1 : 1;
    return by_place(a, b);
}

/* Merges the partitions by record time. Within a partition records stay in the order of their offsets. */
static void sort_entries(struct history_key *key)
{
    if (key->count == 0)
        return;
    for (size_t i = 0; i < key->count; i++)
        key->entries[i].order_ms = key->entries[i].timestamp_ms;
    qsort(key->entries, key->count, sizeof *key->entries, by_place);
    for (size_t i = 1; i < key->count; i++) {
        const struct history_entry *before = &key->entries[i - 1];
        struct history_entry *entry = &key->entries[i];
        if (entry->part == before->part && entry->order_ms < before->order_ms)
            entry->order_ms = before->order_ms;
    }
    qsort(key->entries, key->count, sizeof *key->entries, by_order);
}

static enum cv_status find_organization(struct history_key *key, struct err *err)
{
    char text[UUID_TEXT_LEN + 1], other[UUID_TEXT_LEN + 1];
    for (size_t i = 0; i < key->count; i++) {
        const struct history_entry *entry = &key->entries[i];
        if (!entry->usable)
            continue;
        if (key->has_organization && !uuid_eq(&key->organization_id, &entry->event.a.organization_id)) {
            uuid_format(&key->organization_id, text);
            uuid_format(&entry->event.a.organization_id, other);
            err_set(err, "several organizations have an agent with that user id: add --organization %s or %s", text,
                    other);
            return CV_FATAL;
        }
        key->has_organization = true;
        key->organization_id = entry->event.a.organization_id;
    }
    return CV_OK;
}

/* A case belongs to the organization of its first folded event, or else of its first event. */
static void find_owner(struct history_key *key)
{
    const struct history_entry *first = NULL;
    for (size_t i = 0; i < key->count; i++) {
        const struct history_entry *entry = &key->entries[i];
        if (!entry->usable || entry->left_out != NULL || (first != NULL && !history_entry_counts(entry)))
            continue;
        if (first == NULL || !history_entry_counts(first))
            first = entry;
    }
    key->has_organization = first != NULL;
    if (first != NULL)
        key->organization_id = first->event.c.organization_id;
}

/* ---- reading ---- */

static struct history_position *find_position(const struct history_key *key, int32_t part)
{
    for (size_t i = 0; i < key->position_count; i++)
        if (key->positions[i].part == part)
            return &key->positions[i];
    return NULL;
}

static int64_t first_offset(void *context, enum topic topic, int32_t part)
{
    const struct history_key *key = context;
    const struct history_position *position = find_position(key, part);
    assert(topic == key->topic);
    return position != NULL ? position->read_to : 0;
}

static void move_positions(struct history_key *key, const struct history_reader *reader)
{
    size_t count;
    const struct scan_partition *partitions = history_reader_partitions(reader, &count);
    for (size_t i = 0; i < count; i++) {
        struct history_position *position = find_position(key, partitions[i].partition);
        if (position == NULL) {
            key->positions = cv_realloc(key->positions, (key->position_count + 1) * sizeof *key->positions);
            position = &key->positions[key->position_count++];
            *position = (struct history_position){.part = partitions[i].partition};
        }
        key->start_gone |= partitions[i].low > position->read_to;
        position->read_to = partitions[i].end;
    }
}

/* Reads what was appended since the last call. */
static enum cv_status read_on(struct history_key *key, struct history_reader *reader, struct err *err)
{
    const struct history_reading reading = {
        .topics = 1u << key->topic,
        .from = first_offset,
        .wants = wants,
        .take = take,
        .context = key,
        .arena = key->arena,
        .keep = true,
    };
    enum cv_status status = history_reader_run(reader, &reading, err);
    if (status == CV_OK)
        move_positions(key, reader);
    return status;
}

/* Repeats reading until so few records are left that a snapshot may be open while they are read. */
static enum cv_status read_nearly_all(struct history_key *key, struct history_reader *reader, struct err *err)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        int64_t started_ms = clock_mono_ms();
        enum cv_status status = read_on(key, reader, err);
        if (status != CV_OK || clock_mono_ms() - started_ms < SHORT_READ_MS)
            return status;
    }
    return CV_OK;
}

static bool is_behind(const struct history_key *key, const struct history_reader *reader)
{
    for (size_t i = 0; i < reader->cursor_count; i++) {
        const struct history_cursor *cursor = &reader->cursors[i];
        const struct history_position *position = find_position(key, cursor->part);
        if (cursor->topic == key->topic && cursor->next_offset > (position != NULL ? position->read_to : 0))
            return true;
    }
    return false;
}

/* Marks each entry as parked, skipped or folded according to the snapshot. */
static void mark_entries(struct history_key *key, const struct history_reader *reader)
{
    for (size_t i = 0; i < key->count; i++) {
        struct history_entry *entry = &key->entries[i];
        const struct history_left_out place = {
            .topic = key->topic,
            .part = entry->part,
            .offset = entry->offset,
            .record_ms = entry->timestamp_ms,
            .bytes = entry->bytes,
        };
        entry->left_out = history_reader_left_out(reader, &place);
        entry->folded = entry->offset < history_reader_next_offset(reader, key->topic, entry->part);
    }
}

enum cv_status history_key_read(struct history_key *key, struct history_reader *reader, struct err *err)
{
    enum cv_status status = history_reader_end(reader, err);
    if (status == CV_OK)
        status = read_nearly_all(key, reader, err);
    if (status == CV_OK)
        status = history_reader_snapshot(reader, err);
    if (status == CV_OK && is_behind(key, reader))
        status = read_on(key, reader, err);
    if (status != CV_OK)
        return status;
    mark_entries(key, reader);
    sort_entries(key);
    if (key->topic == TOPIC_AGENTS)
        return find_organization(key, err);
    find_owner(key);
    return CV_OK;
}

bool history_entry_counts(const struct history_entry *entry)
{
    return entry->usable && entry->left_out == NULL && entry->folded;
}

bool history_key_is_known(const struct history_key *key)
{
    for (size_t i = 0; i < key->count; i++)
        if (!key->entries[i].foreign)
            return true;
    return false;
}
