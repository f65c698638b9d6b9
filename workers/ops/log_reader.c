#include "workers/ops/log_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/source/consumer_headers.h"
#include "workers/source/decode.h"
#include "workers/source/watermarks.h"

#define SHOW_AFTER_MS    1000
#define SHOW_EVERY_MS    1000
#define SILENCE_MS       30000 /* brokers may be slow to deliver; nothing at all for so long is an error */
#define REGISTRY_WAIT_MS 200
#define ARENA_MAX        (1u << 30)

static const struct db_statement cursors_statement = {"snapshot_cursors", sql_snapshot_cursors};
static const struct db_statement left_out_statement = {"snapshot_left_out", sql_snapshot_left_out};

/* ---- open, close, fail ---- */

enum cv_status log_reader_open(const struct config *config, const char *command, struct log_reader **out_reader,
                               struct err *err)
{
    struct log_reader *reader = cv_zalloc(sizeof *reader);
    char name[48], setup[64];
    reader->config = config;
    reader->command = command;
    reader->gen = (int32_t)config_int(config, "generation");
    reader->timeout_ms = (int)config_int(config, "connect-timeout-s") * 1000;
    reader->topics[TOPIC_CASES] = config_text(config, "case-topic");
    reader->topics[TOPIC_AGENTS] = config_text(config, "agent-topic");
    reader->topics[TOPIC_DIRECTORY] = config_text(config, "directory-topic");
    reader->arena = arena_new(1u << 16, ARENA_MAX);
    snprintf(name, sizeof name, "caseview %s", command);
    snprintf(setup, sizeof setup, "SET search_path = gen_%d, pg_catalog", reader->gen);
    enum cv_status status = schemas_open_options(config, &reader->schemas, err);
    if (status == CV_OK)
        status = db_open(config_text(config, "database"), name, setup, reader->timeout_ms, &reader->db, err);
    if (status != CV_OK) {
        log_reader_close(reader);
        return status;
    }
    *out_reader = reader;
    return CV_OK;
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader)
        return;
    consumer_scan_close(reader->scan);
    schemas_close(reader->schemas);
    db_close(reader->db);
    arena_free(reader->arena);
    free(reader->cursors);
    free(reader->left_out);
    free(reader);
}

int log_reader_failed(const char *command, enum cv_status status, const struct err *err)
{
    const char *next = "";
    if (err_is_no_schema(err))
        next = "; there is no such generation in this database: look at --database and --generation, or run "
               "`caseview migrate`";
    else if (strcmp(err->sqlstate, "42501") == 0)
        next = "; connect as a role that has been granted caseview_worker";
    log_error("%s: %s%s", command, err->text, next);
    return status == CV_RETRY && err->sqlstate[0] == '\0' ? CV_EXIT_UNREACHABLE : CV_EXIT_USAGE;
}

/* ---- snapshot ---- */

/* TOPIC_COUNT: a topic of another name, which is not looked at. */
static enum topic role_of(const struct log_reader *reader, struct str name)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (str_eq(name, str_of(reader->topics[t])))
            return t;
    return TOPIC_COUNT;
}

static enum cv_status read_cursors(struct log_reader *reader, const struct db_args *args, struct err *err)
{
    struct db_result *result;
    enum cv_status status = db_exec(reader->db, &cursors_statement, args, LOG_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    reader->cursors = cv_realloc(reader->cursors, ((size_t)rows + 1) * sizeof *reader->cursors);
    reader->cursor_count = 0;
    for (int row = 0; row < rows; row++) {
        enum topic topic = role_of(reader, db_str(result, row, 0));
        reader->dir_clock = db_int8(result, row, 5);
        if (topic != TOPIC_COUNT)
            reader->cursors[reader->cursor_count++] = (struct log_cursor){
                topic, db_int4(result, row, 1), db_int8(result, row, 2), db_int8(result, row, 3)};
    }
    db_result_free(result);
    return CV_OK;
}

static int compare_left_out(const void *a, const void *b)
{
    const struct log_left_out *x = a, *y = b;
    if (x->topic != y->topic)
        return x->topic < y->topic ? -1 : 1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static enum cv_status read_left_out(struct log_reader *reader, const struct db_args *args, struct err *err)
{
    struct db_result *result;
    enum cv_status status = db_exec(reader->db, &left_out_statement, args, LOG_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    reader->left_out = cv_realloc(reader->left_out, ((size_t)rows + 1) * sizeof *reader->left_out);
    reader->left_out_count = 0;
    for (int row = 0; row < rows; row++) {
        enum topic topic = role_of(reader, db_str(result, row, 0));
        if (topic == TOPIC_COUNT)
            continue;
        struct log_left_out *item = &reader->left_out[reader->left_out_count++];
        struct str reason = db_str(result, row, 4);
        *item = (struct log_left_out){
            .topic = topic,
            .part = db_int4(result, row, 1),
            .offset = db_int8(result, row, 2),
            .skipped = db_bool(result, row, 3),
            .record_ms = db_is_null(result, row, 5) ? -1 : db_time(result, row, 5) / 1000,
            .bytes = db_int4(result, row, 6),
        };
        snprintf(item->reason, sizeof item->reason, "%.*s", (int)reason.len, reason.ptr);
    }
    db_result_free(result);
    qsort(reader->left_out, reader->left_out_count, sizeof *reader->left_out, compare_left_out);
    return CV_OK;
}

enum cv_status log_reader_snapshot(struct log_reader *reader, struct err *err)
{
    struct db_args args;
    enum cv_status status = log_reader_end_snapshot(reader, err);
    if (status == CV_OK)
        status = db_script(reader->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (status != CV_OK)
        return status;
    reader->in_snapshot = true;
    arena_reset(reader->arena);
    db_args_init(&args, reader->arena);
    db_arg_int4(&args, reader->gen);
    status = read_cursors(reader, &args, err);
    return status == CV_OK ? read_left_out(reader, &args, err) : status;
}

enum cv_status log_reader_end_snapshot(struct log_reader *reader, struct err *err)
{
    if (!reader->in_snapshot)
        return CV_OK;
    reader->in_snapshot = false;
    return db_script(reader->db, "ROLLBACK", err);
}

static const struct log_cursor *find_cursor(const struct log_reader *reader, enum topic topic, int32_t part)
{
    for (size_t i = 0; i < reader->cursor_count; i++)
        if (reader->cursors[i].part == part && reader->cursors[i].topic == topic)
            return &reader->cursors[i];
    return NULL;
}

int64_t log_reader_next_offset(const struct log_reader *reader, enum topic topic, int32_t part)
{
    const struct log_cursor *cursor = find_cursor(reader, topic, part);
    return cursor ? cursor->next_offset : -1;
}

int64_t log_reader_dir_no(const struct log_reader *reader, enum topic topic, int32_t part)
{
    const struct log_cursor *cursor = find_cursor(reader, topic, part);
    return cursor ? cursor->dir_no : -1;
}

/* A row of another record at the same offset, of a topic that was made anew, is none of this one's. */
static const struct log_left_out *find_left_out(const struct log_reader *reader, const struct record *record)
{
    const struct log_left_out key = {.topic = record->topic, .part = record->partition, .offset = record->offset};
    size_t low = 0, high = reader->left_out_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_left_out(&reader->left_out[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < reader->left_out_count && compare_left_out(&reader->left_out[low], &key) == 0; low++) {
        const struct log_left_out *item = &reader->left_out[low];
        if ((size_t)item->bytes == record->key.len + record->value.len &&
            (item->record_ms < 0 || item->record_ms == record->timestamp_ms))
            return item;
    }
    return NULL;
}

/* ---- the log ---- */

struct run {
    struct log_reader *reader;
    const struct log_reading *reading;
};

/* A registry that is away is waited for, as workers do, but not for ever. */
static enum cv_status decode(struct run *run, const struct record *record, struct event *event,
                             enum park_reason *reason, struct err *err)
{
    struct log_reader *reader = run->reader;
    int64_t deadline_ms = clock_mono_ms() + reader->timeout_ms;
    if (consumer_headers_size(record) > RECORD_MAX_BYTES) {
        err_set(err, "its headers are larger than 1 MiB");
        *reason = PARK_TOO_LARGE;
        return CV_PARK;
    }
    for (;;) {
        if (!run->reading->keep)
            arena_reset(run->reading->arena);
        enum cv_status status = decode_record(reader->schemas, record, run->reading->arena, event, reason, err);
        if (status != CV_RETRY)
            return status;
        if (arena_full(run->reading->arena)) {
            err_set(err, "the events take more than %u MiB of memory", ARENA_MAX >> 20);
            return CV_FATAL;
        }
        if (clock_mono_ms() >= deadline_ms || stop_wait(REGISTRY_WAIT_MS))
            return CV_RETRY;
    }
}

static enum cv_status take_record(void *context, const struct record *record, struct err *err)
{
    struct run *run = context;
    const struct log_reading *reading = run->reading;
    if (reading->wants && !reading->wants(reading->context, record))
        return CV_OK;
    struct event event;
    struct err why = ERR_INIT;
    struct log_record out = {
        .record = record,
        .left_out = find_left_out(run->reader, record),
        .folded = record->offset < log_reader_next_offset(run->reader, record->topic, record->partition),
        .event = &event,
    };
    out.decoded = decode(run, record, &event, &out.reason, &why);
    if (out.decoded != CV_OK && out.decoded != CV_PARK) {
        *err = why;
        err_prefix(err, "kafka topic %s [%d], offset %" PRId64, run->reader->topics[record->topic], record->partition,
                   record->offset);
        return out.decoded;
    }
    out.text = why.text;
    return reading->take(reading->context, &out, err);
}

static void show_progress(void *context)
{
    struct run *run = context;
    struct log_reader *reader = run->reader;
    int64_t now_ms = clock_mono_ms();
    if (reader->quiet || now_ms - reader->started_ms < SHOW_AFTER_MS || now_ms - reader->shown_ms < SHOW_EVERY_MS)
        return;
    reader->shown_ms = now_ms;
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

/* One of them is not there: with the option to look at. */
static enum cv_status no_topic(const struct log_reader *reader, enum topic topic, struct err *err)
{
    static const char *const options[TOPIC_COUNT] = {"case-topic", "agent-topic", "directory-topic"};
    err_set(err, "kafka topic %s does not exist, or may not be described: look at --%s", reader->topics[topic],
            options[topic]);
    return CV_FATAL;
}

/* The partitions of the topics from their first records to the cursors, or to the ends. *out_list is the caller's. */
static enum cv_status find_partitions(struct log_reader *reader, const struct consumer_options *options,
                                      unsigned topics, struct scan_partition **out_list, size_t *out_count,
                                      struct err *err)
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
        if (!(topics & 1u << mark->topic))
            continue;
        found |= 1u << mark->topic;
        if (mark->low < 0 || mark->end < 0) {
            err_set(err, "kafka topic %s [%d]: its leader did not say in %d s where it begins and ends",
                    reader->topics[mark->topic], mark->partition, reader->timeout_ms / 1000);
            return CV_RETRY;
        }
        int64_t next = log_reader_next_offset(reader, (enum topic)mark->topic, mark->partition);
        list[(*out_count)++] = (struct scan_partition){
            .topic = (enum topic)mark->topic,
            .partition = mark->partition,
            .low = mark->low,
            .end = mark->end,
            .until = reader->to_end || next > mark->end ? mark->end : next,
        };
    }
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (topics & ~found & 1u << t)
            return no_topic(reader, t, err);
    return CV_OK;
}

enum cv_status log_reader_run(struct log_reader *reader, unsigned topics, const struct log_reading *reading,
                              struct err *err)
{
    struct consumer_property *properties CV_CLEANUP(cv_free_ptr) = NULL;
    struct scan_partition *partitions CV_CLEANUP(cv_free_ptr) = NULL;
    size_t property_count = 0, count;
    const char *name, *value;
    consumer_scan_close(reader->scan);
    reader->scan = NULL;
    while (config_pair(reader->config, "kafka", property_count, &name, &value)) {
        properties = cv_realloc(properties, (property_count + 1) * sizeof *properties);
        properties[property_count++] = (struct consumer_property){name, value};
    }
    struct consumer_options options = {
        .properties = properties, .property_count = property_count, .client_id = reader->command};
    memcpy(options.topics, reader->topics, sizeof options.topics);
    enum cv_status status = find_partitions(reader, &options, topics, &partitions, &count, err);
    if (status == CV_OK)
        status = consumer_scan_open(&options, partitions, count, &reader->scan, err);
    if (status != CV_OK)
        return status;
    struct run run = {reader, reading};
    reader->shown_ms = 0;
    reader->started_ms = clock_mono_ms();
    return consumer_scan_run(reader->scan, take_record, show_progress, &run, SILENCE_MS, err);
}

const struct scan_partition *log_reader_partitions(const struct log_reader *reader, size_t *out_count)
{
    return consumer_scan_partitions(reader->scan, out_count);
}

bool log_reader_start_gone(const struct log_reader *reader, enum topic topic)
{
    size_t count;
    const struct scan_partition *partitions = consumer_scan_partitions(reader->scan, &count);
    for (size_t i = 0; i < count; i++)
        if (partitions[i].topic == topic && partitions[i].low > 0)
            return true;
    return false;
}

bool log_reader_has_holes(const struct log_reader *reader, enum topic topic)
{
    size_t count;
    const struct scan_partition *partitions = consumer_scan_partitions(reader->scan, &count);
    for (size_t i = 0; i < count; i++) {
        const struct scan_partition *p = &partitions[i];
        if (p->topic == topic && (p->low > 0 || p->records < p->position - p->low))
            return true;
    }
    return false;
}
