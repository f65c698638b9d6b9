#include "workers/worker_internal.h"

#include <inttypes.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define CLAIMS_MS     2000
#define LOOK_AGAIN_MS 5000 /* whether an operator has resumed a halted partition */

static const struct db_statement directory_partitions_statement = {"directory_partitions", sql_directory_partitions};

/*
 * The only way back after a failed batch, a lost connection, a refused claim: forget everything that is not in the
 * database, claim again, read the cursors, position the consumer there.
 */
void worker_recover(struct worker *worker, const struct err *err)
{
    bool unborn = strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
    metric_add(worker->m.recoveries, 1);
    FAIL_POINT("recover");
    retry_failed(&worker->reconnect);
    if (retry_worth_logging(&worker->reconnect))
        log_warn("database: %s; %s", err->text,
                 unborn ? "waiting for its schema: run `caseview migrate`" : "starting again from the cursors");
    writer_disconnect(worker->writer);
    worker->connected = false;
    worker_drop_batches(worker);
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        consumer_silence(worker->consumer, partition->topic, partition->part);
        partition_set_state(partition, PARTITION_UNCLAIMED);
    }
    worker->feed_stale = true;
}

/* ---- claims ---- */

void worker_postpone(struct worker *worker, struct partition *partition, const struct err *err)
{
    int wait_ms = retry_failed(&partition->hold);
    if (retry_worth_logging(&partition->hold))
        log_warn("partition %.*s/%d: cannot be read yet: %s", (int)partition->topic_name.len, partition->topic_name.ptr,
                 partition->part, err->text);
    consumer_silence(worker->consumer, partition->topic, partition->part);
    partition->look_again_ms = clock_mono_ms() + wait_ms;
    partition_set_state(partition, PARTITION_UNCLAIMED);
}

static void start_reading(struct worker *worker, struct partition *partition)
{
    struct err err = ERR_INIT;
    const struct cursor *cursor = &partition->cursor;
    /* Once it had been read to its end at 0, what a later beginning leaves out is lost. */
    bool fresh = cursor->next_offset == 0 && !cursor->has_last && !cursor->complete;
    int64_t from = fresh ? CONSUMER_BEGINNING : cursor->has_last ? cursor->last_offset : cursor->next_offset;
    if (consumer_position(worker->consumer, partition->topic, partition->part, from, &err) != CV_OK) {
        worker_postpone(worker, partition, &err);
        return;
    }
    partition_set_state(partition, cursor->has_last ? PARTITION_PROVING : PARTITION_LIVE);
}

/* The directory topic's partition count never changes: a key's history would be spread over two partitions. */
static enum cv_status check_directory(struct worker *worker, int32_t count, int32_t *out_expected, struct err *err)
{
    struct db_args args;
    db_args_init(&args, worker->scratch);
    db_arg_int4(&args, worker->gen);
    db_arg_int4(&args, count);
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(worker->writer), &directory_partitions_statement, &args, 5000,
                                    &result, err);
    if (status != CV_OK)
        return status;
    *out_expected = db_rows(result) == 1 ? db_int4(result, 0, 0) : count;
    db_result_free(result);
    return CV_OK;
}

static enum cv_status claim_one(struct worker *worker, struct partition *partition, struct err *err)
{
    FAIL_POINT("claim.before");
    enum cv_status status = cursor_claim(writer_db(worker->writer), writer_loader(worker->writer), worker->scratch,
                                         worker->gen, partition->topic_name, partition->part, worker->owner,
                                         &partition->cursor, err);
    if (status == CV_RETRY && strcmp(err->sqlstate, "55P03") == 0) {
        worker_postpone(worker, partition, err);
        return CV_OK;
    }
    if (status != CV_OK)
        return status;
    metric_add(worker->m.claims, 1);
    FAIL_POINT("claim.committed");
    partition->position = partition->cursor.next_offset;
    partition->at_eof = partition->complete_pending = false;
    partition->halt_reason = NULL;
    worker->feed_stale = true;
    if (partition->cursor.state != CURSOR_LIVE) {
        if (partition->look_again_ms == 0) /* once, not at every look */
            log_warn("partition %.*s/%d: %s at offset %" PRId64
                     "; when its cause is mended: caseview resume --topic %.*s --partition %d",
                     (int)partition->topic_name.len, partition->topic_name.ptr, partition->part,
                     partition->cursor.state == CURSOR_PAUSED ? "paused" : partition->cursor.reason,
                     partition->position, (int)partition->topic_name.len, partition->topic_name.ptr, partition->part);
        partition->look_again_ms = clock_mono_ms() + LOOK_AGAIN_MS;
        partition_set_state(partition, PARTITION_HALTED);
        return CV_OK;
    }
    partition->look_again_ms = 0;
    int32_t expected, count;
    if (partition->topic == TOPIC_DIRECTORY) {
        struct err kafka_err = ERR_INIT;
        if (consumer_partition_count(worker->consumer, TOPIC_DIRECTORY, 2000, &count, &kafka_err) != CV_OK) {
            worker_postpone(worker, partition, &kafka_err);
            return CV_OK;
        }
        status = check_directory(worker, count, &expected, err);
        if (status != CV_OK)
            return status;
        if (expected != count) {
            worker_halt(worker, partition, "directory-repartitioned", -1,
                        "the directory topic has another number of partitions than when it was first read");
            return CV_OK;
        }
    }
    start_reading(worker, partition);
    return CV_OK;
}

static void restart_feed(struct worker *worker)
{
    int64_t dir_no = INT64_MAX;
    int32_t *parts = cv_alloc((2 * worker->partition_count + 1) * sizeof *parts);
    int32_t *agents = parts + worker->partition_count;
    size_t case_count = 0, agent_count = 0;
    for (size_t i = 0; i < worker->partition_count; i++) {
        const struct partition *partition = &worker->partitions[i];
        if (partition->topic == TOPIC_DIRECTORY || partition->state == PARTITION_UNCLAIMED)
            continue; /* its claim makes the feed begin anew */
        if (partition->topic == TOPIC_CASES)
            parts[case_count++] = partition->part;
        else
            agents[agent_count++] = partition->part;
        if (partition->cursor.dir_no < dir_no)
            dir_no = partition->cursor.dir_no;
    }
    names_clear(worker->names);
    feed_restart(worker->feed, case_count + agent_count > 0 ? dir_no : 0, parts, case_count, agents, agent_count);
    worker->dir_no_unsaved = 0;
    worker->feed_stale = false;
    cv_free_ptr(&parts);
}

static bool any_unclaimed(const struct worker *worker)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < worker->partition_count; i++) {
        const struct partition *partition = &worker->partitions[i];
        if (partition->state == PARTITION_UNCLAIMED && partition->look_again_ms <= now)
            return true;
    }
    return false;
}

enum cv_status worker_claim_partitions(struct worker *worker, struct err *err)
{
    bool connected = writer_is_connected(worker->writer);
    if (writer_is_busy(worker->writer) || (connected && !any_unclaimed(worker) && !worker->feed_stale))
        return CV_OK;
    if (!connected && !retry_due(&worker->reconnect))
        return CV_OK;
    arena_reset(worker->scratch);
    if (!connected)
        writer_disconnect(worker->writer); /* half of a pair is none */
    enum cv_status status = writer_connect(worker->writer, err);
    if (status == CV_FATAL) {
        worker->exit_code = CV_EXIT_USAGE;
        return status;
    }
    int64_t now = clock_mono_ms();
    /* Each may wait for the database and the brokers: the rest comes next turn, after a look at Kafka and the signals.
     */
    for (size_t i = 0; i < worker->partition_count && status == CV_OK && clock_mono_ms() < now + CLAIMS_MS; i++) {
        struct partition *partition = &worker->partitions[i];
        if (partition->state == PARTITION_UNCLAIMED && partition->look_again_ms <= now)
            status = claim_one(worker, partition, err);
    }
    if (status != CV_OK) {
        worker_recover(worker, err);
        return CV_OK;
    }
    if (!connected) {
        if (worker->reconnect.attempts > 0)
            log_info("database: connected, %zu partitions claimed", worker->partition_count);
        worker->connected_at_ms = now;
    }
    worker->connected = true;
    if (worker->feed_stale)
        restart_feed(worker);
    return CV_OK;
}

/* ---- halts and holds ---- */

void worker_halt(struct worker *worker, struct partition *partition, const char *reason, int64_t back_to,
                 const char *detail)
{
    consumer_silence(worker->consumer, partition->topic, partition->part);
    partition->halt_reason = reason;
    partition->halt_back_to = back_to;
    partition_set_state(partition, PARTITION_HALTING);
    log_error("partition %.*s/%d halts (%s): %s; when its cause is mended: caseview resume --topic %.*s --partition %d",
              (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, reason, detail,
              (int)partition->topic_name.len, partition->topic_name.ptr, partition->part);
}

void worker_halt_partitions(struct worker *worker)
{
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        /* Its last good records are committed first: a batch that holds it would meet a halted cursor. */
        if (partition->state != PARTITION_HALTING || writer_is_busy(worker->writer) ||
            !writer_is_connected(worker->writer) ||
            batch_find_cursor(worker->collecting, partition->topic, partition->part) != NULL)
            continue;
        struct err err = ERR_INIT;
        bool halted;
        arena_reset(worker->scratch);
        FAIL_POINT("halt.before");
        if (cursor_halt(writer_db(worker->writer), worker->scratch, worker->gen, partition->topic_name, partition->part,
                        &partition->cursor, partition->halt_reason, partition->halt_back_to, &halted, &err) != CV_OK) {
            worker_recover(worker, &err);
            return;
        }
        FAIL_POINT("halt.after");
        if (!halted) {
            partition_set_state(partition, PARTITION_UNCLAIMED); /* somebody else's by now */
            continue;
        }
        if (partition->halt_back_to >= 0)
            partition->cursor.next_offset = partition->halt_back_to;
        partition->position = partition->cursor.next_offset;
        memset(partition->flood, 0, sizeof partition->flood);
        partition->look_again_ms = clock_mono_ms() + LOOK_AGAIN_MS;
        partition_set_state(partition, PARTITION_HALTED);
    }
}

/* Claims it again once its cursor says live. False: the database is gone, everything starts again. */
static bool look_at_halted(struct worker *worker, struct partition *partition)
{
    struct err err = ERR_INIT;
    enum cursor_state state;
    arena_reset(worker->scratch);
    if (cursor_look(writer_loader(worker->writer), worker->scratch, worker->gen, partition->topic_name, partition->part,
                    &state, &err) != CV_OK) {
        worker_recover(worker, &err);
        return false;
    }
    partition->look_again_ms = state == CURSOR_LIVE ? 0 : clock_mono_ms() + LOOK_AGAIN_MS;
    if (state == CURSOR_LIVE)
        partition_set_state(partition, PARTITION_UNCLAIMED);
    return true;
}

void worker_retry_held(struct worker *worker)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        struct err err = ERR_INIT;
        if (now < partition->look_again_ms)
            continue;
        if (partition->state == PARTITION_HALTED && writer_is_connected(worker->writer)) {
            if (!look_at_halted(worker, partition))
                return;
        } else if (partition->state == PARTITION_HELD) {
            if (consumer_position(worker->consumer, partition->topic, partition->part, partition->position, &err) ==
                CV_OK)
                partition_set_state(partition, PARTITION_LIVE);
            else
                partition->look_again_ms = now + retry_failed(&partition->hold);
        }
    }
}

/*
 * The group takes partitions away: what is being committed is finished if it may be, what is being collected is dropped
 * (it will be read again, by whoever gets the partition). All partitions are claimed anew afterwards, kept ones too.
 */
void worker_before_revoke(void *context, bool lost, int budget_ms)
{
    struct worker *worker = context;
    struct err err = ERR_INIT;
    int64_t deadline = clock_mono_ms() + (lost ? 0 : budget_ms);
    enum writer_outcome outcome = writer_poll(worker->writer, &err);
    while (outcome == WRITER_BUSY && clock_mono_ms() < deadline) {
        db_pipeline_wait(writer_db(worker->writer), 20);
        outcome = writer_poll(worker->writer, &err);
    }
    if (outcome == WRITER_COMMITTED)
        worker_count_commit(worker, worker->writing);
    else if (outcome != WRITER_IDLE)
        writer_disconnect(worker->writer);
    worker_drop_batches(worker);
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        consumer_silence(worker->consumer, partition->topic, partition->part);
        partition->look_again_ms = 0;
        partition_set_state(partition, PARTITION_UNCLAIMED);
    }
    worker->feed_stale = true;
}
