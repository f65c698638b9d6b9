#include "workers/worker_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"

#define QUESTION_MS   2000  /* to the brokers, within the loop */
#define BEYOND_END_MS 10000 /* longer than a broker takes to hear of its successor */

struct partition *worker_partition(struct worker *worker, enum topic topic, int32_t part)
{
    for (size_t i = 0; i < worker->partition_count; i++)
        if (worker->partitions[i].part == part && worker->partitions[i].topic == topic)
            return &worker->partitions[i];
    return NULL;
}

struct batch_cursor *worker_batch_cursor(struct worker *worker, const struct partition *partition)
{
    struct batch_cursor *cursor = batch_find_cursor(worker->collecting, partition->topic, partition->part);
    if (cursor != NULL)
        return cursor;
    return batch_add_cursor(worker->collecting, &(struct batch_cursor){
                                                    .topic = partition->topic,
                                                    .part = partition->part,
                                                    .topic_name = partition->topic_name,
                                                    .claim = partition->cursor.claim,
                                                    .old_offset = partition->position,
                                                    .new_offset = partition->position,
                                                });
}

/* ---- is the log still the one that the cursor counts in? (docs/architecture.md, claim) ---- */

static void go_live(struct worker *worker, struct partition *partition, bool proven)
{
    if (!proven) {
        metric_add(worker->m.unproven, 1);
        log_info("partition %.*s/%d: the last record folded, offset %" PRId64
                 ", is no longer in the log; going on at %" PRId64,
                 (int)partition->topic_name.len, partition->topic_name.ptr, partition->part,
                 partition->cursor.last_offset, partition->cursor.next_offset);
    }
    retry_reset(&partition->hold);
    partition_set_state(partition, PARTITION_LIVE);
}

/* The record at last_offset is not there. That is fine where compaction or retention took it. */
static void last_record_absent(struct worker *worker, struct partition *partition)
{
    struct err err = ERR_INIT;
    bool compacted = false;
    int64_t low, high;
    enum cv_status status = consumer_watermarks(worker->consumer, partition->topic, partition->part, QUESTION_MS, &low,
                                                &high, &err);
    if (status == CV_OK && low <= partition->cursor.last_offset)
        status = consumer_is_compacted(worker->consumer, partition->topic, QUESTION_MS, &compacted, &err);
    if (status != CV_OK)
        worker_postpone(worker, partition, &err);
    else if (compacted || low > partition->cursor.last_offset)
        go_live(worker, partition, false);
    else
        worker_halt(worker, partition, "recreated", -1, "the last record folded is missing from the log");
}

static void prove_by_record(struct worker *worker, struct partition *partition, const struct record *record)
{
    const struct cursor *cursor = &partition->cursor;
    if (record->offset > cursor->last_offset)
        last_record_absent(worker, partition);
    else if (record->offset < cursor->last_offset)
        return; /* left over from before */
    else if (record->timestamp_ms == cursor->last_at && batch_record_crc(record) == cursor->last_crc)
        go_live(worker, partition, true);
    else
        worker_halt(worker, partition, "recreated", -1, "another record stands where the last one folded stood");
}

/*
 * The log seems to end before the cursor. A broker that was away and has not heard yet that another one leads by now
 * says so, too, with the end that it knows (tests/crash found it): only what stays so is true.
 */
static void beyond_end(struct worker *worker, struct partition *partition, int64_t end)
{
    struct err err = ERR_INIT;
    int64_t now = clock_mono_ms();
    err_set(&err, "the cursor is at %" PRId64 ", the log ends at %" PRId64, partition->position, end);
    if (partition->beyond_end_ms == 0)
        partition->beyond_end_ms = now;
    if (now - partition->beyond_end_ms < BEYOND_END_MS)
        worker_postpone(worker, partition, &err);
    else
        worker_halt(worker, partition, "beyond-end", -1, err.text);
}

static void handle_out_of_range(struct worker *worker, struct partition *partition)
{
    struct err err = ERR_INIT;
    int64_t low, high;
    char detail[160];
    if (partition->state != PARTITION_PROVING && partition->state != PARTITION_LIVE)
        return;
    if (consumer_watermarks(worker->consumer, partition->topic, partition->part, QUESTION_MS, &low, &high, &err) !=
        CV_OK) {
        worker_postpone(worker, partition, &err);
        return;
    }
    snprintf(detail, sizeof detail, "the cursor is at %" PRId64 ", the log has %" PRId64 " to %" PRId64,
             partition->position, low, high);
    if (partition->position > high) {
        beyond_end(worker, partition, high);
    } else if (low > partition->position) {
        worker_halt(worker, partition, "retention-gap", -1, detail);
    } else if (consumer_position(worker->consumer, partition->topic, partition->part, partition->position, &err) !=
               CV_OK) {
        worker_postpone(worker, partition, &err);
    } else if (partition->state == PARTITION_PROVING) {
        go_live(worker, partition, false);
    }
}

/* ---- records ---- */

static void hold(struct worker *worker, struct partition *partition, const struct err *err)
{
    consumer_pause(worker->consumer, partition->topic, partition->part);
    int wait_ms = retry_failed(&partition->hold);
    if (retry_worth_logging(&partition->hold))
        log_warn("partition %.*s/%d: waits at offset %" PRId64 ": %s", (int)partition->topic_name.len,
                 partition->topic_name.ptr, partition->part, partition->position, err->text);
    partition->look_again_ms = clock_mono_ms() + wait_ms;
    partition_set_state(partition, PARTITION_HELD);
}

static struct str headers_of(const struct record *record, size_t size, struct buf *out)
{
    if (size == 0)
        return STR_NULL; /* asking the library again costs as much as a small decode */
    buf_reset(out);
    return consumer_headers_json(record, out) ? (struct str){out->data, out->len} : STR_NULL;
}

void worker_count_parked(struct worker *worker, struct partition *partition, int64_t offset)
{
    int64_t back_to;
    if (partition_count_parked(partition, offset, clock_mono_ms(), &back_to) && partition->state == PARTITION_LIVE)
        worker_halt(worker, partition, "poison-flood", back_to,
                    "more than 1,000 and more than half of its records were parked within a minute");
}

static void moved_past(struct worker *worker, struct partition *partition, const struct record *record, bool parked)
{
    struct batch_cursor *cursor = worker_batch_cursor(worker, partition);
    cursor->new_offset = record->offset + 1;
    cursor->has_last = true;
    cursor->last_offset = record->offset;
    cursor->last_at = record->timestamp_ms;
    cursor->last_crc = batch_record_crc(record);
    partition->position = record->offset + 1;
    partition->at_eof = false;
    partition->beyond_end_ms = 0;
    partition->last_record_ms = record->timestamp_ms;
    metric_add(worker->m.records[record->topic], 1);
    partition_count_record(partition, clock_mono_ms());
    if (parked)
        worker_count_parked(worker, partition, record->offset);
}

static enum cv_status handle_record(struct worker *worker, struct partition *partition, const struct record *record,
                                    struct err *err)
{
    if (partition->state == PARTITION_PROVING)
        prove_by_record(worker, partition, record);
    if (partition->state != PARTITION_LIVE)
        return CV_OK;
    if (record->offset < partition->position) {
        /* Nothing but the ends of transactions lay between the last record folded and the cursor. */
        if (partition->cursor.has_last && record->offset > partition->cursor.last_offset)
            beyond_end(worker, partition, record->offset);
        return CV_OK;
    }

    struct event event;
    enum park_reason reason = PARK_NONE;
    enum cv_status status;
    size_t headers_size = consumer_headers_size(record);
    if (headers_size > RECORD_MAX_BYTES) {
        err_set(err, "its headers are larger than 1 MiB");
        reason = PARK_TOO_LARGE;
        status = CV_PARK;
    } else {
        status = decode_record(worker->schemas, record, worker->collecting->input, &event, &reason, err);
    }
    FAIL_POINT("decoded");
    switch (status) {
    case CV_OK: {
        bool may_mismatch = record->topic == TOPIC_CASES ||
                            (record->topic == TOPIC_DIRECTORY && event.d.kind == ENTITY_APPLICATION);
        struct str headers = may_mismatch ? headers_of(record, headers_size, &worker->fold.scratch) : STR_NULL;
        worker_batch_cursor(worker, partition);
        batch_add_event(worker->collecting, record, &event, may_mismatch, headers);
        break;
    }
    case CV_PARK:
        worker_batch_cursor(worker, partition);
        batch_park(worker->collecting, record, partition->topic_name,
                   headers_of(record, headers_size, &worker->fold.scratch),
                   reason == PARK_TOO_LARGE ? NULL : decode_organization(worker->schemas), reason, err->text);
        FAIL_POINT("parked");
        break;
    case CV_RETRY:
        hold(worker, partition, err);
        return CV_OK;
    case CV_HALT:
    case CV_FATAL:
        return status;
    }
    if (arena_full(worker->collecting->input))
        return batch_too_large(err);
    retry_reset(&partition->hold);
    moved_past(worker, partition, record, status == CV_PARK);
    return CV_OK;
}

/* The log ends before end: control records and compaction may have left nothing to deliver up to there. */
static void handle_eof(struct worker *worker, struct partition *partition, int64_t end)
{
    if (end < partition->position && (partition->state == PARTITION_PROVING || partition->state == PARTITION_LIVE))
        beyond_end(worker, partition, end);
    if (partition->state == PARTITION_PROVING)
        last_record_absent(worker, partition);
    if (partition->state != PARTITION_LIVE)
        return;
    if (end > partition->position)
        worker_batch_cursor(worker, partition)->new_offset = end;
    partition->position = end;
    partition->at_eof = true;
    partition->beyond_end_ms = 0;
    partition->complete_pending = true;
}

static void handle_assigned(struct worker *worker, const struct record *record)
{
    if (worker_partition(worker, record->topic, record->partition) != NULL)
        return;
    if (worker->partition_count == worker->partition_room) {
        worker->partition_room = worker->partition_room ? worker->partition_room * 2 : 16;
        worker->partitions = cv_realloc(worker->partitions, worker->partition_room * sizeof *worker->partitions);
    }
    struct partition *partition = &worker->partitions[worker->partition_count++];
    *partition = (struct partition){
        .topic = record->topic,
        .part = record->partition,
        .topic_name = str_of(worker->topics[record->topic]),
        .state = PARTITION_UNCLAIMED,
        .last_record_ms = -1,
        .committed_to_kafka = -1,
        .halt_back_to = -1,
    };
    retry_init(&partition->hold, 200, 5000);
    char labels[320];
    snprintf(labels, sizeof labels, "topic=\"%s\",partition=\"%d\"", worker->topics[record->topic], record->partition);
    partition->lag_events = metrics_gauge(worker->metrics, "caseview_lag_events", labels,
                                          "Records in the log behind the cursor");
    partition->lag_seconds = metrics_gauge(worker->metrics, "caseview_lag_seconds", labels,
                                           "Age of the last record folded while there are more, at most the time since "
                                           "there were none; else 0");
    worker->feed_stale = true;
}

static void handle_revoked(struct worker *worker, const struct record *record)
{
    struct partition *partition = worker_partition(worker, record->topic, record->partition);
    if (partition == NULL)
        return;
    metrics_hide(partition->lag_events);
    metrics_hide(partition->lag_seconds);
    *partition = worker->partitions[--worker->partition_count];
    worker->feed_stale = true;
}

static void log_assigned(const struct worker *worker, const struct consumer_event *events, size_t count)
{
    CV_CLEANUP(cv_free_ptr) struct consumer_partition_id *given = NULL;
    size_t given_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].type != CONSUMER_ASSIGNED)
            continue;
        if (given == NULL)
            given = cv_alloc(count * sizeof *given);
        given[given_count++] = (struct consumer_partition_id){events[i].record.topic, events[i].record.partition};
    }
    if (given_count > 0)
        worker_log_partitions(worker, "gives", given, given_count);
}

enum cv_status worker_take_events(struct worker *worker, struct err *err)
{
    struct consumer_event *events = worker->events;
    size_t room = worker->most_events - worker->collecting->event_count - worker->collecting->parked_count;
    size_t most = room < CONSUMER_POLL_MAX ? room : CONSUMER_POLL_MAX;
    size_t count = consumer_poll(worker->consumer, events, most);
    worker->more = count == most;
    log_assigned(worker, events, count);
    if (count > 0)
        FAIL_POINT("poll.after");
    enum cv_status status = CV_OK;
    for (size_t i = 0; i < count && status == CV_OK; i++) {
        const struct record *record = &events[i].record;
        struct partition *partition = worker_partition(worker, record->topic, record->partition);
        switch (events[i].type) {
        case CONSUMER_RECORD:
            if (partition != NULL)
                status = handle_record(worker, partition, record, err);
            break;
        case CONSUMER_EOF:
            if (partition != NULL)
                handle_eof(worker, partition, record->offset);
            break;
        case CONSUMER_ASSIGNED:
            handle_assigned(worker, record);
            break;
        case CONSUMER_REVOKED:
            handle_revoked(worker, record);
            break;
        case CONSUMER_OUT_OF_RANGE:
            if (partition != NULL)
                handle_out_of_range(worker, partition);
            break;
        case CONSUMER_ERROR:
            metric_add(worker->m.consumer_errors, 1);
            log_warn("kafka: %s", events[i].text);
            break;
        case CONSUMER_FATAL:
            err_set(err, "kafka: %s", events[i].text);
            worker->exit_code = CV_EXIT_USAGE; /* two workers with one group-instance-id */
            return CV_FATAL;
        }
    }
    return status;
}
