#include "workers/sink/batch.h"

#include <stdlib.h>
#include <xxhash.h>

#include "caseview/clock.h"

/*
 * An event in memory is larger than its record; the loop closes a batch long before that ceiling. Rows may be larger by
 * any factor, since a small event is folded upon a state with large texts: the loop makes smaller batches then.
 */
#define ARENA_BLOCK   (1u << 20)
#define INPUT_FACTOR  64
#define INPUT_FLOOR   (256u << 20)
#define OUTPUT_FACTOR 12
#define OUTPUT_FLOOR  (128u << 20)

struct batch *batch_new(size_t max_bytes)
{
    struct batch *batch = cv_zalloc(sizeof *batch);
    batch->input = arena_new(ARENA_BLOCK, max_bytes * INPUT_FACTOR + INPUT_FLOOR);
    batch->output = arena_new(ARENA_BLOCK, max_bytes * OUTPUT_FACTOR + OUTPUT_FLOOR);
    batch_reset(batch);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    arena_free(batch->input);
    arena_free(batch->output);
    free(batch->cursors);
    free(batch->events);
    free(batch->parked);
    free(batch->rerenders);
    free(batch->expected);
    free(batch->unparks);
    free(batch);
}

void batch_reset(struct batch *batch)
{
    batch->parked_count = 0;
    batch->parked_decoded = 0;
    batch_begin_fold(batch);
    arena_reset(batch->input);
    batch->cursor_count = 0;
    batch->event_count = batch->directory_count = 0;
    batch->rerender_count = 0;
    batch->expected_count = batch->unpark_count = 0;
    batch->replace = false;
    batch->bytes = 0;
    batch->opened_at_us = 0;
    batch->oldest_record_ms = INT64_MAX;
}

void batch_begin_fold(struct batch *batch)
{
    if (!batch->folded)
        batch->parked_decoded = batch->parked_count;
    batch->parked_count = batch->parked_decoded;
    batch->folded = false;
    arena_reset(batch->output);
    batch->case_count = batch->active_count = batch->unlisted_count = 0;
    batch->agent_count = batch->entity_count = batch->version_count = 0;
    batch->counts = (struct batch_counts){0};
    batch->stale = false;
}

enum cv_status batch_too_large(struct err *err)
{
    err_set(err, "a batch is too large for its memory: raise memory");
    return CV_FATAL;
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->cursor_count == 0;
}

static void *make_room(void *items, size_t count, size_t *room, size_t item_size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 64;
    return cv_realloc(items, *room * item_size);
}

struct batch_cursor *batch_find_cursor(struct batch *batch, enum topic topic, int32_t part)
{
    for (size_t i = 0; i < batch->cursor_count; i++)
        if (batch->cursors[i].part == part && batch->cursors[i].topic == topic)
            return &batch->cursors[i];
    return NULL;
}

struct batch_cursor *batch_add_cursor(struct batch *batch, const struct batch_cursor *cursor)
{
    if (batch->cursor_count == 0)
        batch->opened_at_us = clock_mono_us();
    batch->cursors = make_room(batch->cursors, batch->cursor_count, &batch->cursor_room, sizeof *batch->cursors);
    batch->cursors[batch->cursor_count] = *cursor;
    return &batch->cursors[batch->cursor_count++];
}

static void count_record(struct batch *batch, const struct record *record)
{
    batch->bytes += record->key.len + record->value.len;
    if (record->timestamp_ms >= 0 && record->timestamp_ms < batch->oldest_record_ms)
        batch->oldest_record_ms = record->timestamp_ms;
}

void batch_add_rerender(struct batch *batch, const struct batch_rerender *rerender)
{
    batch->rerenders = make_room(batch->rerenders, batch->rerender_count, &batch->rerender_room, sizeof *rerender);
    batch->rerenders[batch->rerender_count++] = *rerender;
}

void batch_unpark(struct batch *batch, const struct batch_unpark *unpark)
{
    batch->unparks = make_room(batch->unparks, batch->unpark_count, &batch->unpark_room, sizeof *unpark);
    batch->unparks[batch->unpark_count++] = *unpark;
}

void batch_expect(struct batch *batch, const struct batch_expected *expected)
{
    batch->expected = make_room(batch->expected, batch->expected_count, &batch->expected_room, sizeof *expected);
    batch->expected[batch->expected_count++] = *expected;
}

/* The event without the tail of its union that its kind does not use: agents and directory entities are much smaller.
 */
static size_t event_size(const struct event *event)
{
    switch (event->topic) {
    case TOPIC_CASES:
        return offsetof(struct event, c) + sizeof event->c;
    case TOPIC_AGENTS:
        return offsetof(struct event, a) + sizeof event->a;
    case TOPIC_DIRECTORY:
        return offsetof(struct event, d) + sizeof event->d;
    case TOPIC_COUNT:
        break;
    }
    return sizeof *event;
}

void batch_add_event(struct batch *batch, const struct record *record, const struct event *event, bool keep_raw,
                     struct str headers)
{
    size_t size = event_size(event);
    struct batch_event *kept = arena_alloc(batch->input, offsetof(struct batch_event, event) + size);
    if (kept == NULL)
        return; /* arena_full() tells; the loop closes the batch before this record */
    kept->next = NULL;
    kept->record = *record;
    kept->record.handle = NULL;
    kept->record.key = keep_raw ? arena_str(batch->input, record->key) : STR_NULL;
    kept->record.value = keep_raw ? arena_str(batch->input, record->value) : STR_NULL;
    kept->headers = keep_raw ? arena_str(batch->input, headers) : STR_NULL;
    memcpy(&kept->event, event, size);
    if (arena_full(batch->input))
        return;
    batch->events = make_room(batch->events, batch->event_count, &batch->event_room, sizeof(struct batch_event *));
    batch->events[batch->event_count++] = kept;
    batch->directory_count += event->topic == TOPIC_DIRECTORY;
    count_record(batch, record);
}

void batch_park(struct batch *batch, const struct record *record, struct str topic_name, struct str headers,
                const struct uuid *organization_id, enum park_reason reason, const char *text)
{
    batch->parked = make_room(batch->parked, batch->parked_count, &batch->parked_room, sizeof *batch->parked);
    struct batch_parked *row = &batch->parked[batch->parked_count++];
    *row = (struct batch_parked){
        .has_organization = organization_id != NULL,
        .topic = record->topic,
        .topic_name = topic_name,
        .part = record->partition,
        .offset = record->offset,
        .key = arena_str(batch->input, record->key),
        .value = arena_str(batch->input, record->value),
        .headers = arena_str(batch->input, headers),
        .record_us = INT64_MIN,
        .reason = reason,
        .reason_name = str_of(park_reason_name(reason)),
        .text = arena_str(batch->input, str_of(text)),
    };
    if (organization_id != NULL)
        row->organization_id = *organization_id;
    /* A producer's clock may say anything; what no timestamptz of ours can hold is not kept. */
    if (record->timestamp_ms >= 0 && record->timestamp_ms <= CLOCK_MAX_US / 1000)
        row->record_us = record->timestamp_ms * 1000;
    count_record(batch, record);
}

int64_t batch_record_crc(const struct record *record)
{
    XXH64_hash_t key = XXH3_64bits(record->key.ptr, record->key.len);
    return (int64_t)XXH3_64bits_withSeed(record->value.ptr, record->value.len, key ^ (record->value.ptr == NULL));
}
