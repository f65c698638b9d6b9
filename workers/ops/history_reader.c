#include "workers/ops/history_reader.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/broker_options.h"
#include "workers/ops/generation.h"
#include "workers/ops/operation.h"
#include "workers/source/consumer_headers.h"
#include "workers/source/decode.h"
#include "workers/source/watermarks.h"

#define PROGRESS_MS      1000
#define SILENCE_MS       30000 /* brokers may be slow to deliver, but no record for this long is an error */
#define REGISTRY_WAIT_MS 200
#define ARENA_MAX        (1u << 30)

static const struct db_statement cursors_statement = {"snapshot_cursors", sql_snapshot_cursors};
static const struct db_statement left_out_statement = {"snapshot_left_out", sql_snapshot_left_out};

/* ---- open, close ---- */

enum cv_status history_reader_open(const struct config *config, const char *command, struct history_reader **out_reader,
                                   struct err *err)
{
    struct history_reader *reader = cv_zalloc(sizeof *reader);
    reader->config = config;
    reader->command = command;
    reader->timeout_ms = (int)config_int(config, "connect-timeout-s") * 1000;
    topic_names(config, reader->topics);
    reader->arena = arena_new(1u << 16, ARENA_MAX);
    enum cv_status status = schemas_open_options(config, &reader->schemas, err);
    if (status == CV_OK)
        status = operation_connect(config, command, &reader->db, &reader->gen, err);
    if (status == CV_OK)
        status = generation_check_template(reader->db, reader->gen, err);
    if (status != CV_OK) {
        history_reader_close(reader);
        return status;
    }
    *out_reader = reader;
    return CV_OK;
}

void history_reader_close(struct history_reader *reader)
{
    if (reader == NULL)
        return;
    consumer_scan_close(reader->scan);
    schemas_close(reader->schemas);
    db_close(reader->db);
    arena_free(reader->arena);
    free(reader->cursors);
    free(reader->left_out);
    free(reader);
}

/* ---- snapshots ---- */

static int compare_cursors(const void *a, const void *b)
{
    const struct history_cursor *x = a, *y = b;
    if (x->topic != y->topic)
        return x->topic < y->topic ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

static enum cv_status read_cursors(struct history_reader *reader, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    db_args_init(&args, reader->arena);
    db_arg_int4(&args, reader->gen);
    enum cv_status status = db_exec(reader->db, &cursors_statement, &args, HISTORY_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    reader->cursors = cv_realloc(reader->cursors, ((size_t)rows + 1) * sizeof *reader->cursors);
    reader->cursor_count = 0;
    reader->rendered = true;
    for (int row = 0; row < rows; row++) {
        enum topic topic = topic_role(reader->topics, db_str(result, row, 0));
        reader->dir_clock = db_int8(result, row, 4);
        reader->rendered &= !db_bool(result, row, 5);
        if (topic == TOPIC_COUNT)
            continue;
        const struct history_cursor cursor = {topic, db_int4(result, row, 1), db_int8(result, row, 2),
                                              db_int8(result, row, 3)};
        reader->rendered &= topic == TOPIC_DIRECTORY || cursor.dir_no >= 0;
        reader->cursors[reader->cursor_count++] = cursor;
    }
    if (reader->cursor_count > 0)
        qsort(reader->cursors, reader->cursor_count, sizeof *reader->cursors, compare_cursors);
    return CV_OK;
}

static int compare_left_out(const void *a, const void *b)
{
    const struct history_left_out *x = a, *y = b;
    if (x->topic != y->topic)
        return x->topic < y->topic ? -1 : 1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Both lists are sorted. True: a record that was left out before no longer is. */
static bool lacks_one_of(const struct history_left_out *list, size_t count, const struct history_left_out *before,
                         size_t before_count)
{
    size_t i = 0;
    for (size_t k = 0; k < before_count; k++) {
        while (i < count && compare_left_out(&list[i], &before[k]) < 0)
            i++;
        if (i == count || compare_left_out(&list[i], &before[k]) != 0)
            return true;
    }
    return false;
}

static enum cv_status read_left_out(struct history_reader *reader, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    db_args_init(&args, reader->arena);
    db_arg_int4(&args, reader->gen);
    enum cv_status status = db_exec(reader->db, &left_out_statement, &args, HISTORY_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    struct history_left_out *list = cv_alloc(((size_t)rows + 1) * sizeof *list);
    size_t count = 0;
    for (int row = 0; row < rows; row++) {
        enum topic topic = topic_role(reader->topics, db_str(result, row, 0));
        if (topic == TOPIC_COUNT)
            continue;
        struct history_left_out *item = &list[count++];
        struct str reason = db_str(result, row, 4);
        *item = (struct history_left_out){
            .topic = topic,
            .part = db_int4(result, row, 1),
            .offset = db_int8(result, row, 2),
            .skipped = db_bool(result, row, 3),
            .record_ms = db_is_null(result, row, 5) ? -1 : db_time(result, row, 5) / 1000,
            .bytes = db_int4(result, row, 6),
        };
        snprintf(item->reason, sizeof item->reason, "%.*s", (int)reason.len, reason.ptr);
    }
    if (count > 0)
        qsort(list, count, sizeof *list, compare_left_out);
    reader->left_out_shrank = lacks_one_of(list, count, reader->left_out, reader->left_out_count);
    free(reader->left_out);
    reader->left_out = list;
    reader->left_out_count = count;
    return CV_OK;
}

enum cv_status history_reader_begin(struct history_reader *reader, struct err *err)
{
    enum cv_status status = history_reader_end(reader, err);
    if (status == CV_OK)
        status = db_script(reader->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", HISTORY_QUERY_TIMEOUT_MS,
                           err);
    if (status != CV_OK)
        return status;
    reader->in_snapshot = true;
    arena_reset(reader->arena);
    return read_cursors(reader, err);
}

enum cv_status history_reader_snapshot(struct history_reader *reader, struct err *err)
{
    enum cv_status status = history_reader_begin(reader, err);
    return status == CV_OK ? read_left_out(reader, err) : status;
}

enum cv_status history_reader_end(struct history_reader *reader, struct err *err)
{
    if (!reader->in_snapshot)
        return CV_OK;
    reader->in_snapshot = false;
    return db_script(reader->db, "ROLLBACK", HISTORY_QUERY_TIMEOUT_MS, err);
}

/* Called for each record of the log. */
static const struct history_cursor *find_cursor(const struct history_reader *reader, enum topic topic, int32_t part)
{
    const struct history_cursor key = {.topic = topic, .part = part};
    if (reader->cursor_count == 0)
        return NULL;
    return bsearch(&key, reader->cursors, reader->cursor_count, sizeof key, compare_cursors);
}

int64_t history_reader_next_offset(const struct history_reader *reader, enum topic topic, int32_t part)
{
    const struct history_cursor *cursor = find_cursor(reader, topic, part);
    return cursor != NULL ? cursor->next_offset : -1;
}

bool history_reader_names_current(const struct history_reader *reader, enum topic topic, int32_t part)
{
    const struct history_cursor *cursor = find_cursor(reader, topic, part);
    return cursor != NULL && cursor->dir_no >= reader->dir_clock;
}

/* In a recreated topic another record may have the same offset: length and time must agree, too. */
const struct history_left_out *history_reader_left_out(const struct history_reader *reader,
                                                       const struct history_left_out *record)
{
    size_t low = 0, high = reader->left_out_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_left_out(&reader->left_out[middle], record) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < reader->left_out_count && compare_left_out(&reader->left_out[low], record) == 0; low++) {
        const struct history_left_out *item = &reader->left_out[low];
        if (item->bytes == record->bytes && (item->record_ms < 0 || item->record_ms == record->record_ms))
            return item;
    }
    return NULL;
}

/* ---- the log ---- */

struct run {
    struct history_reader *reader;
    const struct history_reading *reading;
};

/* An event that outlives the call must not borrow its texts from the message. */
static enum cv_status keep_record(const struct run *run, struct record *record, struct err *err)
{
    struct arena *arena = run->reading->arena;
    if (!run->reading->keep)
        return CV_OK;
    record->key = arena_str(arena, record->key);
    record->value = arena_str(arena, record->value);
    if (!arena_full(arena))
        return CV_OK;
    err_set(err, "the events take more than %u MiB of memory", ARENA_MAX >> 20);
    return CV_FATAL;
}

/* Waits for an unreachable registry, as workers do, but not indefinitely. */
static enum cv_status decode(struct run *run, const struct record *record, struct decode_result *result,
                             enum decode_outcome *out_outcome, struct err *err)
{
    struct history_reader *reader = run->reader;
    int64_t deadline_ms = clock_mono_ms() + reader->timeout_ms;
    struct record kept = *record;
    enum cv_status status = keep_record(run, &kept, err);
    if (status != CV_OK)
        return status;
    for (;;) {
        if (!run->reading->keep)
            arena_reset(run->reading->arena);
        *out_outcome = decode_record(reader->schemas, &kept, run->reading->arena, result, err);
        if (*out_outcome != DECODE_WAIT)
            break;
        if (clock_mono_ms() >= deadline_ms || stop_requested())
            return CV_RETRY;
        status = schemas_wait(reader->schemas, REGISTRY_WAIT_MS);
        (void)status; /* tries again in either case */
    }
    if (*out_outcome != DECODE_SKIP && consumer_record_is_too_large(record)) {
        err_set(err, "key, value and headers together are larger than 1 MiB");
        result->reason = PARK_TOO_LARGE;
        *out_outcome = DECODE_PARK;
    }
    return CV_OK;
}

static enum cv_status on_record(void *context, const struct record *record, struct err *err)
{
    struct run *run = context;
    const struct history_reading *reading = run->reading;
    if (reading->wants != NULL && !reading->wants(reading->context, record))
        return CV_OK;
    struct decode_result result;
    enum decode_outcome outcome = DECODE_WAIT;
    struct err why = ERR_INIT;
    const struct history_left_out place = {
        .topic = record->topic,
        .part = record->partition,
        .offset = record->offset,
        .record_ms = record->timestamp_ms,
        .bytes = (int32_t)(record->key.len + record->value.len),
    };
    struct history_record out = {
        .record = record,
        .left_out = history_reader_left_out(run->reader, &place),
        .folded = record->offset < history_reader_next_offset(run->reader, record->topic, record->partition),
        .event = &result.event,
    };
    enum cv_status status = decode(run, record, &result, &outcome, &why);
    if (status != CV_OK) {
        *err = why;
        err_prefix(err, "kafka topic %s [%d], offset %" PRId64, run->reader->topics[record->topic], record->partition,
                   record->offset);
        return status;
    }
    if (outcome == DECODE_SKIP)
        return CV_OK; /* not of an entity */
    out.decoded = outcome == DECODE_EVENT ? CV_OK : CV_PARK;
    out.reason = result.reason;
    out.text = why.text;
    return reading->take(reading->context, &out, err);
}

static void print_progress(void *context)
{
    struct run *run = context;
    struct history_reader *reader = run->reader;
    int64_t now_ms = clock_mono_ms();
    if (now_ms - reader->progress_ms < PROGRESS_MS)
        return;
    reader->progress_ms = now_ms;
    int64_t done = 0, all = 0;
    size_t count;
    const struct scan_partition *partitions = consumer_scan_partitions(reader->scan, &count);
    for (size_t i = 0; i < count; i++) {
        if (partitions[i].until <= partitions[i].low)
            continue;
        done += partitions[i].position - partitions[i].low;
        all += partitions[i].until - partitions[i].low;
    }
    fprintf(stderr, "%s: read %" PRId64 " of %" PRId64 " records, %d %%\n", reader->command, done, all,
            all > 0 ? (int)(done * 100 / all) : 100);
}

static enum cv_status missing_topic(const struct history_reader *reader, enum topic topic, struct err *err)
{
    err_set(err, "kafka topic %s does not exist, or this client may not describe it: check --%s", reader->topics[topic],
            topic_options[topic]);
    return CV_FATAL;
}

static int64_t start_of(const struct history_reading *reading, const struct watermark *mark)
{
    int64_t from = 0;
    if (reading->from != NULL)
        from = reading->from(reading->context, (enum topic)mark->topic, mark->partition);
    return from < mark->low ? mark->low : from > mark->end ? mark->end : from;
}

/* Lists the offsets to read of each partition. The caller frees *out_list. */
static enum cv_status find_partitions(struct history_reader *reader, const struct consumer_options *options,
                                      const struct history_reading *reading, struct scan_partition **out_list,
                                      size_t *out_count, struct err *err)
{
    struct watermark *marks CV_CLEANUP(cv_free_ptr) = NULL;
    size_t count;
    enum cv_status status = watermarks_read(options->properties, options->property_count, reader->topics, TOPIC_COUNT,
                                            reader->timeout_ms, &marks, &count, err);
    if (status != CV_OK)
        return status;
    unsigned found = 0;
    struct scan_partition *list = cv_zalloc((count + 1) * sizeof *list);
    *out_list = list;
    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct watermark *mark = &marks[i];
        if (!(reading->topics & 1u << mark->topic))
            continue;
        found |= 1u << mark->topic;
        if (mark->low < 0 || mark->end < 0) {
            err_set(err, "kafka topic %s [%d]: its leader did not return its start and end offsets within %d s",
                    reader->topics[mark->topic], mark->partition, reader->timeout_ms / 1000);
            return CV_RETRY;
        }
        list[(*out_count)++] = (struct scan_partition){
            .topic = (enum topic)mark->topic,
            .partition = mark->partition,
            .low = start_of(reading, mark),
            .end = mark->end,
            .until = mark->end,
        };
    }
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (reading->topics & ~found & 1u << t)
            return missing_topic(reader, t, err);
    return CV_OK;
}

enum cv_status history_reader_run(struct history_reader *reader, const struct history_reading *reading, struct err *err)
{
    struct scan_partition *partitions CV_CLEANUP(cv_free_ptr) = NULL;
    size_t property_count, count;
    consumer_scan_close(reader->scan);
    reader->scan = NULL;
    const struct config_property *properties = config_pairs(reader->config, "kafka", &property_count);
    struct consumer_options options = {
        .properties = properties, .property_count = property_count, .client_id = reader->command};
    memcpy(options.topics, reader->topics, sizeof options.topics);
    enum cv_status status = find_partitions(reader, &options, reading, &partitions, &count, err);
    if (status == CV_OK)
        status = consumer_scan_open(&options, partitions, count, &reader->scan, err);
    if (status != CV_OK)
        return status;
    struct run run = {reader, reading};
    reader->progress_ms = clock_mono_ms();
    return consumer_scan_run(reader->scan, on_record, print_progress, &run, SILENCE_MS, err);
}

const struct scan_partition *history_reader_partitions(const struct history_reader *reader, size_t *out_count)
{
    return consumer_scan_partitions(reader->scan, out_count);
}
