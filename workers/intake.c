#include "workers/intake.h"

#include <inttypes.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "workers/continuity.h"
#include "workers/open_batch.h"
#include "workers/report_partitions.h"
#include "workers/source/consumer_headers.h"
#include "workers/source/decode.h"

#define ARENA_BLOCK      (256u << 10)
#define ARENA_MAX        (256u << 20) /* of a chunk's lists: 1,000 roles or workspaces an event at most */
#define CHUNK_BYTES      (8u << 20)   /* lists and waiting events above it are folded before the chunk goes on */
#define HEADERS_MAX      CONSUMER_HEADERS_JSON_MAX
#define CHUNK_WAITING    1000
#define JUDGED_WITHIN_MS 2000 /* a flood; then the partition is read on */
#define PUSH_EVERY       128  /* records */

void intake_init(struct intake *intake)
{
    *intake = (struct intake){0};
    intake->events = cv_alloc(INTAKE_RECORDS * sizeof *intake->events);
    intake->hashes = cv_alloc(INTAKE_RECORDS * sizeof *intake->hashes);
    intake->arena = arena_new(ARENA_BLOCK, ARENA_MAX);
    buf_init(&intake->headers, HEADERS_MAX);
}

void intake_done(struct intake *intake)
{
    free(intake->events);
    free(intake->hashes);
    arena_free(intake->arena);
    buf_done(&intake->headers);
}

/* ---- parking ---- */

static struct str headers_of(struct intake *intake, const struct record *record)
{
    buf_reset(&intake->headers);
    return consumer_headers_json(record, &intake->headers) ? (struct str){intake->headers.data, intake->headers.len}
                                                           : STR_NULL;
}

static void park(struct intake *intake, struct partition *partition, const struct record *record,
                 const struct uuid *organization_id, enum park_reason reason, const char *text)
{
    struct batch_cursor *cursor = open_batch_cursor(intake->pipeline, partition);
    struct batch_parked *row = batch_park(pipeline_open(intake->pipeline), record, partition->topic_name,
                                          headers_of(intake, record), organization_id, reason, text);
    row->trace = consumer_headers_trace(record);
    if (cursor->parked++ == 0)
        cursor->first_parked = record->offset;
    intake->parked = true;
    FAIL_POINT("parked");
}

/*
 * With the open batch too many records of the partition are parked: it is written now, and the partition is not read
 * until the commit has judged it. (If the batch is lost its records are read again, and counted once.)
 */
static void stop_flood(struct intake *intake, struct partition *partition)
{
    const struct batch_cursor *cursor = open_batch_cursor(intake->pipeline, partition);
    int64_t now = clock_mono_ms();
    if (partition->state != PARTITION_LIVE ||
        !poison_flood_would_pass(&partition->flood, now, cursor->records, cursor->parked))
        return;
    pipeline_open(intake->pipeline)->flooded = true;
    consumer_pause(intake->partitions->consumer, partition->topic, partition->part);
    partition->try_at_ms = now + JUDGED_WITHIN_MS;
    partition_set_state(partition, PARTITION_HELD);
}

/* A record that is not folded although it may be a good one: its organization is known if it can be decoded. */
static void park_undecoded(struct intake *intake, struct partition *partition, const struct record *record,
                           enum park_reason reason, const char *text)
{
    struct decode_result result;
    struct err err = ERR_INIT;
    const struct uuid *organization_id = NULL;
    switch (decode_record(intake->schemas, record, intake->arena, &result, &err)) {
    case DECODE_EVENT:
        organization_id = event_organization(&result.event);
        break;
    case DECODE_PARK:
        organization_id = result.has_organization ? &result.organization_id : NULL;
        break;
    case DECODE_SKIP:
    case DECODE_WAIT:
        break;
    }
    park(intake, partition, record, organization_id, reason, text);
}

/*
 * The record whose effect PostgreSQL refused, alone in a batch. It is parked as it is; if its row of parked is refused,
 * too, without value and headers; if even that is refused the partition halts.
 */
static void park_refused(struct intake *intake, struct partition *partition, const struct record *record)
{
    struct refused_record *refused = &partition->refused;
    if (refused->times > 2) {
        partitions_halt_at(intake->partitions, partition, record, HALT_REFUSED_BY_DATABASE, refused->text);
        return;
    }
    if (refused->times == 1) {
        park_undecoded(intake, partition, record, PARK_REFUSED_BY_DATABASE, refused->text);
        return;
    }
    struct record bare = *record;
    bare.value = STR_NULL;
    bare.handle = NULL;
    park(intake, partition, &bare, NULL, PARK_REFUSED_BY_DATABASE, refused->text);
}

/* ---- one record ---- */

static void moved_past(struct intake *intake, struct partition *partition, const struct record *record)
{
    struct batch_cursor *cursor = open_batch_cursor(intake->pipeline, partition);
    cursor->new_offset = record->offset + 1;
    cursor->records++;
    partition->position = record->offset + 1;
    partition->at_end = false;
    partition->last_taken = record;
    batch_count_record(pipeline_open(intake->pipeline), record);
}

/* False: the record could not be dealt with; the partition stays before it. */
static bool decode_and_fold(struct intake *intake, struct partition *partition, const struct record *record)
{
    struct decode_result result;
    struct err err = ERR_INIT;
    enum decode_outcome outcome = decode_record(intake->schemas, record, intake->arena, &result, &err);
    FAIL_POINT("decoded");
    switch (outcome) {
    case DECODE_EVENT:
        folder_add(intake->folder, pipeline_open(intake->pipeline), record, &result.event);
        return true;
    case DECODE_SKIP:
        pipeline_open(intake->pipeline)->counts.unknown_types++;
        return true;
    case DECODE_PARK:
        park(intake, partition, record, result.has_organization ? &result.organization_id : NULL, result.reason,
             err.text);
        return true;
    case DECODE_WAIT:
        partitions_hold(intake->partitions, partition, record, &err);
        return false;
    }
    return false;
}

static void handle_record(struct intake *intake, struct partition *partition, const struct record *record)
{
    intake->parked = false;
    if (partition->state == PARTITION_PROVING)
        continuity_check_record(intake->partitions, partition, record, intake->m);
    if (partition->state != PARTITION_LIVE)
        return;
    if (record->offset < partition->position) {
        continuity_check_old_record(intake->partitions, partition, record);
        return;
    }
    if (record->offset == partition->refused.offset)
        park_refused(intake, partition, record);
    else if (consumer_record_is_too_large(record))
        park_undecoded(intake, partition, record, PARK_TOO_LARGE,
                       "key, value and headers together are larger than 1 MiB");
    else if (!decode_and_fold(intake, partition, record))
        return;
    if (partition->state != PARTITION_LIVE)
        return;
    moved_past(intake, partition, record);
    if (intake->parked)
        stop_flood(intake, partition);
}

/* Control records and compaction may have left nothing to deliver up to the end. */
static void handle_end(struct intake *intake, struct partition *partition, int64_t end)
{
    continuity_check_end(intake->partitions, partition, end, intake->m);
    if (partition->state != PARTITION_LIVE)
        return;
    if (end > partition->position)
        open_batch_cursor(intake->pipeline, partition)->new_offset = end;
    partition->position = end;
    partition->at_end = true;
    partition->beyond_end_ms = 0;
    partition->complete_pending = true;
}

/* ---- the assignment ---- */

static void handle_assigned(struct intake *intake, const struct record *record)
{
    struct partition *partition = partitions_add(intake->partitions, record->topic, record->partition);
    if (partition != NULL)
        worker_metrics_show_partition(intake->m, partition);
}

static void handle_revoked(struct intake *intake, const struct record *record)
{
    struct partition *partition = partitions_find(intake->partitions, record->topic, record->partition);
    if (partition == NULL)
        return;
    worker_metrics_hide_partition(partition);
    partitions_remove(intake->partitions, partition);
}

static void log_assigned(const struct intake *intake, const struct consumer_event *events, size_t count)
{
    CV_CLEANUP(cv_free_ptr) struct consumer_partition_id *assigned = NULL;
    size_t assigned_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type != CONSUMER_ASSIGNED)
            continue;
        if (assigned == NULL)
            assigned = cv_alloc(count * sizeof *assigned);
        assigned[assigned_count++] = (struct consumer_partition_id){events[i].record.topic, events[i].record.partition};
    }
    if (assigned_count > 0)
        report_partitions(intake->partitions->topic_names, "assigned", assigned, assigned_count);
}

/* ---- a chunk ---- */

/* Reads missing states, folds what waited for them, and parks what could not be folded. */
static enum cv_status fold_waiting(struct intake *intake, struct err *err)
{
    size_t count;
    struct batch *batch = pipeline_open(intake->pipeline);
    enum cv_status status = folder_load(intake->folder, writer_loader(intake->writer), batch, err);
    if (status != CV_OK)
        return status;
    const struct folder_refusal *refusals = folder_refusals(intake->folder, &count);
    for (size_t i = 0; i < count; i++) {
        const struct folder_refusal *refusal = &refusals[i];
        struct partition *partition = partitions_find(intake->partitions, refusal->record->topic,
                                                      refusal->record->partition);
        if (partition == NULL)
            continue;
        park(intake, partition, refusal->record, &refusal->organization_id, refusal->reason, refusal->text);
        stop_flood(intake, partition);
    }
    arena_reset(intake->arena);
    folder_begin(intake->folder);
    return CV_OK;
}

/*
 * The last record of each partition is what the next claim compares. Its trace is of use when it is all that the batch
 * has: then a log line may speak of it after the commit.
 */
static void note_last_records(struct intake *intake)
{
    bool alone = pipeline_open(intake->pipeline)->record_count == 1;
    for (size_t i = 0; i < intake->partitions->count; i++) {
        struct partition *partition = intake->partitions->all[i];
        const struct record *record = partition->last_taken;
        if (record == NULL)
            continue;
        struct batch_cursor *cursor = open_batch_cursor(intake->pipeline, partition);
        cursor->has_last = true;
        cursor->last_offset = record->offset;
        cursor->last_at = record->timestamp_ms;
        cursor->last_crc = batch_record_crc(record);
        if (alone)
            cursor->trace = consumer_headers_trace(record);
        if (record_has_time(record))
            partition->last_record_ms = record->timestamp_ms;
        partition->beyond_end_ms = 0;
        partition->last_taken = NULL;
        retry_reset(&partition->retry);
    }
}

static enum cv_status handle_event(struct intake *intake, const struct consumer_event *event, struct err *err)
{
    const struct record *record = &event->record;
    struct partition *partition = record->topic < TOPIC_COUNT
                                      ? partitions_find(intake->partitions, record->topic, record->partition)
                                      : NULL;
    switch (event->type) {
    case CONSUMER_RECORD:
        if (partition != NULL)
            handle_record(intake, partition, record);
        break;
    case CONSUMER_EOF:
        if (partition != NULL)
            handle_end(intake, partition, record->offset);
        break;
    case CONSUMER_ASSIGNED:
        handle_assigned(intake, record);
        break;
    case CONSUMER_REVOKED:
        handle_revoked(intake, record);
        break;
    case CONSUMER_OUT_OF_RANGE:
        if (partition != NULL)
            continuity_out_of_range(intake->partitions, partition, intake->m);
        break;
    case CONSUMER_ERROR:
        metric_add(intake->m->consumer_errors, 1);
        log_warn("kafka: %s", event->text);
        break;
    case CONSUMER_FATAL:
        err_set(err, "kafka: %s", event->text); /* another worker has this group-instance-id */
        return CV_FATAL;
    }
    return CV_OK;
}

/* 0 stands for what is no record of a case: it fetches a bucket in vain, which is cheaper than asking each time. */
static void hash_cases(struct intake *intake, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct consumer_event *event = &intake->events[i];
        bool is_case = event->type == CONSUMER_RECORD && event->record.topic == TOPIC_CASES;
        intake->hashes[i] = is_case ? folder_case_hash(intake->folder, event->record.key) : 0;
    }
}

#define CACHE_LINE     64  /* bytes that the processor fetches at once */
#define PREFETCH_BYTES 256 /* of a record; most are no longer */
#define RECORD_AHEAD   10  /* records */

static void prefetch_record(const struct record *record)
{
    for (size_t at = 0; at < record->value.len && at < PREFETCH_BYTES; at += CACHE_LINE)
        __builtin_prefetch(record->value.ptr + at);
}

/*
 * Most of the time of a fold is waiting for memory: what the next records need is fetched ahead, step by step. Their
 * own bytes were written by a thread of librdkafka, on another core.
 */
static void prefetch(const struct intake *intake, size_t at, size_t count)
{
    static const size_t ahead[] = {[PREFETCH_BUCKET] = 12, [PREFETCH_ENTRY] = 8, [PREFETCH_VALUE] = 4};
    if (at + RECORD_AHEAD < count)
        prefetch_record(&intake->events[at + RECORD_AHEAD].record);
    for (size_t i = 0; i < ARRAY_LEN(ahead); i++)
        if (at + ahead[i] < count)
            folder_prefetch_case(intake->folder, intake->hashes[at + ahead[i]], (enum cache_prefetch)i);
}

static bool must_fold(const struct intake *intake)
{
    return folder_waiting(intake->folder) >= CHUNK_WAITING || arena_used(intake->arena) >= CHUNK_BYTES;
}

static void count_records(const struct intake *intake, const struct consumer_event *events, size_t count)
{
    int64_t records[TOPIC_COUNT] = {0};
    for (size_t i = 0; i < count; i++)
        if (events[i].type == CONSUMER_RECORD)
            records[events[i].record.topic]++;
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        metric_add(intake->m->records[topic], records[topic]);
}

enum cv_status intake_take(struct intake *intake, struct err *err)
{
    size_t room = pipeline_room(intake->pipeline), max = folder_chunk_records(intake->folder, INTAKE_RECORDS);
    if (room < max)
        max = room;
    max = generation_watch_allows(intake->watch, max);
    if (max == 0)
        return CV_OK;
    folder_trim(intake->folder);
    arena_reset(intake->arena);
    size_t count = consumer_poll(intake->partitions->consumer, intake->events, max);
    intake->more = count == max;
    if (count == 0)
        return CV_OK;
    int64_t started_us = clock_mono_us();
    log_assigned(intake, intake->events, count);
    FAIL_POINT("poll.after");
    folder_begin(intake->folder);
    hash_cases(intake, count);
    enum cv_status status = CV_OK;
    for (size_t i = 0; i < count && status == CV_OK; i++) {
        prefetch(intake, i, count);
        status = handle_event(intake, &intake->events[i], err);
        if (i % PUSH_EVERY == 0)
            writer_push(intake->writer); /* the database must not wait for the rest of its batch */
        if (status == CV_OK && must_fold(intake))
            status = fold_waiting(intake, err);
    }
    if (status == CV_OK)
        status = fold_waiting(intake, err);
    note_last_records(intake);
    generation_watch_took(intake->watch, count);
    count_records(intake, intake->events, count);
    metric_observe_us(intake->m->fold_seconds, clock_mono_us() - started_us);
    return status;
}
