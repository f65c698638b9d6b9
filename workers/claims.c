#include "workers/claims.h"

#include <inttypes.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "sql_worker.h"
#include "workers/open_batch.h"

#define CLAIMS_MS        2000
#define QUERY_TIMEOUT_MS 5000
#define QUESTION_MS      2000 /* to the brokers */

static const struct db_statement directory_partitions_statement = {"directory_partitions", sql_directory_partitions};
static const struct db_statement flood_statement = {"flood_recent", sql_flood_recent};

void claims_init(struct claims *claims, int32_t gen, const char *owner, struct partitions *partitions,
                 struct pipeline *pipeline)
{
    *claims = (struct claims){.gen = gen, .owner = owner, .partitions = partitions, .pipeline = pipeline};
    claims->arena = arena_new(1u << 16, 4u << 20);
    retry_init(&claims->reconnect, 100, 5000);
}

void claims_done(struct claims *claims)
{
    arena_free(claims->arena);
}

/* Logs that the cursor says paused or halted, once. */
static void report_stopped(const struct partitions *partitions, struct partition *partition)
{
    const struct cursor *cursor = &partition->cursor;
    bool paused = cursor->state == CURSOR_PAUSED;
    if (partition->stop_reported)
        return;
    partition->stop_reported = true;
    log_warn("partition %.*s/%d: %s%s%s%s at offset %" PRId64 "; %s: caseview resume%s --topic %.*s --partition %d",
             (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, paused ? "paused" : "halted",
             cursor->reason[0] ? " (" : "", cursor->reason, cursor->reason[0] ? ")" : "", cursor->next_offset,
             paused ? "to continue" : "once the cause is fixed", partitions->option, (int)partition->topic_name.len,
             partition->topic_name.ptr, partition->part);
}

/* ---- one claim ---- */

/* The directory topic's partition count never changes: a key's history would be spread over two partitions. */
static enum cv_status check_directory(struct claims *claims, int32_t count, bool *out_same, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, claims->arena);
    db_arg_int4(&args, claims->gen);
    db_arg_int4(&args, count);
    enum cv_status status = db_exec(writer_loader(claims->writer), &directory_partitions_statement, &args,
                                    QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_same = db_rows(result) != 1 || db_int4(result, 0, 0) == count;
    db_result_free(result);
    return CV_OK;
}

/* A flood that began under the previous owner goes on counting. */
static enum cv_status read_flood(struct claims *claims, struct partition *partition, bool *out_flooded, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    int64_t now = clock_mono_ms();
    db_args_init(&args, claims->arena);
    db_arg_text(&args, partition->topic_name);
    db_arg_int4(&args, partition->part);
    enum cv_status status = db_exec(writer_loader(claims->writer), &flood_statement, &args, QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    poison_flood_reset(&partition->flood);
    *out_flooded = false;
    for (int row = db_rows(result) - 1; row >= 0; row--) {
        int64_t parked = db_int8(result, row, 1), first = db_int8(result, row, 2);
        /* How many good ones came between: at most what the offsets leave room for. */
        int64_t next = row > 0 ? db_int8(result, row - 1, 2) : partition->cursor.next_offset;
        int64_t records = next - first > parked ? next - first : parked;
        *out_flooded = poison_flood_add(&partition->flood, now - db_int4(result, row, 0) * INT64_C(1000), records,
                                        parked, first, &partition->halt_back_to);
    }
    db_result_free(result);
    return CV_OK;
}

static void start_reading(struct claims *claims, struct partition *partition)
{
    struct err err = ERR_INIT;
    const struct cursor *cursor = &partition->cursor;
    enum cv_status status;
    if (cursor->has_last) /* read once more, to be compared */
        status = consumer_position(claims->partitions->consumer, partition->topic, partition->part, cursor->last_offset,
                                   &err);
    else
        status = partitions_position(claims->partitions, partition, &err);
    if (status != CV_OK) {
        partitions_postpone(claims->partitions, partition, &err);
        return;
    }
    partition_set_state(partition, cursor->has_last ? PARTITION_PROVING : PARTITION_LIVE);
}

static enum cv_status start_directory(struct claims *claims, struct partition *partition, struct err *err)
{
    struct err kafka_err = ERR_INIT;
    int32_t count;
    bool same;
    if (consumer_partition_count(claims->partitions->consumer, TOPIC_DIRECTORY, QUESTION_MS, &count, &kafka_err) !=
        CV_OK) {
        partitions_postpone(claims->partitions, partition, &kafka_err);
        return CV_OK;
    }
    enum cv_status status = check_directory(claims, count, &same, err);
    if (status != CV_OK)
        return status;
    if (same)
        start_reading(claims, partition);
    else
        partitions_halt(claims->partitions, partition, HALT_DIRECTORY_REPARTITIONED, NULL);
    return CV_OK;
}

/* The server refused this one claim, and the connection is good: the others go on. */
static void refused(struct claims *claims, struct partition *partition, struct err *err)
{
    metric_add(claims->m->claims_refused, 1);
    if (strcmp(err->sqlstate, "55P03") == 0)
        err_set(err, "its cursor is locked by a session that is no worker; to find it: SELECT pid, usename, state, "
                     "query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start");
    partitions_postpone(claims->partitions, partition, err);
}

static enum cv_status claim_one(struct claims *claims, struct partition *partition, struct err *err)
{
    FAIL_POINT("claim.before");
    enum cv_status status = cursor_claim(writer_db(claims->writer), writer_loader(claims->writer), claims->arena,
                                         claims->gen, partition->topic_name, partition->part, claims->owner,
                                         &partition->cursor, err);
    if (status == CV_RETRY && err->sqlstate[0] != '\0' && !err_is_no_schema(err) &&
        writer_is_connected(claims->writer)) {
        refused(claims, partition, err);
        return CV_OK;
    }
    if (status != CV_OK)
        return status;
    metric_add(claims->m->claims, 1);
    FAIL_POINT("claim.committed");
    partition->position = partition->cursor.next_offset;
    claims->partitions->changed = true;
    if (partition->cursor.state != CURSOR_LIVE) {
        report_stopped(claims->partitions, partition);
        partition_set_state(partition, PARTITION_HALTED);
        return CV_OK;
    }
    partition->stop_reported = false;
    bool flooded;
    status = read_flood(claims, partition, &flooded, err);
    if (status != CV_OK)
        return status;
    if (flooded) { /* the previous owner ended before it could say so */
        partitions_halt(claims->partitions, partition, HALT_POISON_FLOOD, NULL);
        return CV_OK;
    }
    partition->halt_back_to = -1;
    if (partition->topic == TOPIC_DIRECTORY)
        return start_directory(claims, partition, err);
    start_reading(claims, partition);
    return CV_OK;
}

/* ---- all of them ---- */

static bool is_due(const struct claims *claims, const struct partition *partition, int64_t now)
{
    /* What is in the open batch was read under the old claim. */
    return partition->state == PARTITION_UNCLAIMED && partition->try_at_ms <= now &&
           !open_batch_has(claims->pipeline, partition);
}

static enum cv_status connect(struct claims *claims, struct err *err)
{
    writer_disconnect(claims->writer); /* one of the two may still be open */
    enum cv_status status = writer_connect(claims->writer, err);
    if (status != CV_OK)
        return status;
    if (claims->reconnect.attempts > 0)
        log_info("database: connected");
    claims->connected_at_ms = clock_mono_ms();
    claims->connected = true;
    return CV_OK;
}

enum cv_status claims_connect(struct claims *claims, struct err *err)
{
    if (pipeline_is_busy(claims->pipeline) || writer_is_connected(claims->writer) || !retry_due(&claims->reconnect))
        return CV_OK;
    return connect(claims, err);
}

enum cv_status claims_advance(struct claims *claims, struct err *err)
{
    enum cv_status status = CV_OK;
    int64_t now = clock_mono_ms();
    if (pipeline_is_busy(claims->pipeline) || !writer_is_connected(claims->writer) || now < claims->not_before_ms)
        return CV_OK;
    arena_reset(claims->arena);
    /* Each may wait for the database and the brokers: the rest comes next turn, after Kafka was polled. */
    for (size_t i = 0; i < claims->partitions->count && status == CV_OK && clock_mono_ms() < now + CLAIMS_MS; i++)
        if (is_due(claims, claims->partitions->all[i], now))
            status = claim_one(claims, claims->partitions->all[i], err);
    return status;
}

/* ---- halts ---- */

static enum cv_status write_halt(struct claims *claims, struct partition *partition, struct err *err)
{
    bool halted;
    arena_reset(claims->arena);
    FAIL_POINT("halt.before");
    enum cv_status status = cursor_halt(writer_db(claims->writer), claims->arena, claims->gen, partition->topic_name,
                                        partition->part, &partition->cursor, halt_reason_name(partition->halt_reason),
                                        partition->halt_back_to, &halted, err);
    if (status != CV_OK)
        return status;
    FAIL_POINT("halt.after");
    if (!halted) {
        partitions_release(claims->partitions, partition); /* another worker has claimed it */
        return CV_OK;
    }
    if (partition->halt_back_to >= 0)
        partition->cursor.next_offset = partition->halt_back_to;
    partition->position = partition->cursor.next_offset;
    poison_flood_reset(&partition->flood);
    partition->cursor.state = CURSOR_HALTED;
    snprintf(partition->cursor.reason, sizeof partition->cursor.reason, "%s", halt_reason_name(partition->halt_reason));
    partition->stop_reported = true;
    partition_set_state(partition, PARTITION_HALTED);
    return CV_OK;
}

enum cv_status claims_write_halts(struct claims *claims, struct err *err)
{
    enum cv_status status = CV_OK;
    if (pipeline_is_busy(claims->pipeline) || !writer_is_connected(claims->writer))
        return CV_OK;
    for (size_t i = 0; i < claims->partitions->count && status == CV_OK; i++) {
        struct partition *partition = claims->partitions->all[i];
        /* Its last good records are committed first: a batch that holds it would meet a halted cursor. */
        if (partition->state == PARTITION_HALTING && !open_batch_has(claims->pipeline, partition))
            status = write_halt(claims, partition, err);
    }
    return status;
}
