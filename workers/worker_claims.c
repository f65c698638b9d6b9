#include "workers/worker_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define CLAIMS_MS       2000
#define LOOK_MS         1000 /* whether an operator has paused or resumed a partition */
#define LOOK_TIMEOUT_MS 5000

static const struct db_statement directory_partitions_statement = {"directory_partitions", sql_directory_partitions};
static const struct db_statement cursor_states_statement = {"cursor_states", sql_cursor_states};

void worker_unclaim(struct worker *worker, struct partition *partition)
{
    consumer_pause(worker->consumer, partition->topic, partition->part);
    if (partition->state != PARTITION_UNCLAIMED)
        worker->feed_stale = true;
    partition_set_state(partition, PARTITION_UNCLAIMED);
}

/*
 * The only way back after a failed batch, a lost connection, a refused claim: forget everything that is not in the
 * database, claim again, read the cursors, position the consumer there.
 */
void worker_recover(struct worker *worker, const struct err *err)
{
    bool unborn = err_is_no_schema(err);
    metric_add(worker->m.recoveries, 1);
    FAIL_POINT("recover");
    retry_failed(&worker->reconnect);
    if (retry_worth_logging(&worker->reconnect))
        log_warn("database: %s; %s", err->text,
                 unborn ? "waiting for its schema: run `caseview migrate`" : "starting again from the cursors");
    writer_disconnect(worker->writer);
    worker->connected = false;
    worker_drop_batches(worker);
    for (size_t i = 0; i < worker->partition_count; i++)
        worker_unclaim(worker, &worker->partitions[i]);
}

/* ---- claims ---- */

void worker_postpone(struct worker *worker, struct partition *partition, const struct err *err)
{
    int wait_ms = retry_failed(&partition->hold);
    if (retry_worth_logging(&partition->hold))
        log_warn("partition %.*s/%d: cannot be read yet: %s", (int)partition->topic_name.len, partition->topic_name.ptr,
                 partition->part, err->text);
    worker_unclaim(worker, partition);
    partition->look_again_ms = clock_mono_ms() + wait_ms;
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

static void log_stopped(struct partition *partition)
{
    const struct cursor *cursor = &partition->cursor;
    bool paused = cursor->state == CURSOR_PAUSED;
    partition->known_stopped = true;
    log_warn("partition %.*s/%d: %s%s%s%s at offset %" PRId64 "; %s: caseview resume --topic %.*s --partition %d",
             (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, paused ? "paused" : "halted",
             cursor->reason[0] ? " (" : "", cursor->reason, cursor->reason[0] ? ")" : "", cursor->next_offset,
             paused ? "to go on" : "when its cause is mended", (int)partition->topic_name.len,
             partition->topic_name.ptr, partition->part);
}

static enum cv_status claim_one(struct worker *worker, struct partition *partition, struct err *err)
{
    FAIL_POINT("claim.before");
    worker_take_out(worker, partition); /* what is there was read or rendered under the claim that it had */
    enum cv_status status = cursor_claim(writer_db(worker->writer), writer_loader(worker->writer), worker->scratch,
                                         worker->gen, partition->topic_name, partition->part, worker->owner,
                                         &partition->cursor, err);
    if (status == CV_RETRY && strcmp(err->sqlstate, "55P03") == 0) {
        metric_add(worker->m.claims_refused, 1);
        err_set(err,
                "its cursor is locked by somebody who is no worker; who that is: SELECT pid, usename, state, query "
                "FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start");
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
        if (!partition->known_stopped) /* once, not after every recovery */
            log_stopped(partition);
        partition_set_state(partition, PARTITION_HALTED);
        return CV_OK;
    }
    partition->look_again_ms = 0;
    partition->known_stopped = false;
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
    consumer_pause(worker->consumer, partition->topic, partition->part);
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
            worker_unclaim(worker, partition); /* somebody else's by now */
            continue;
        }
        if (partition->halt_back_to >= 0)
            partition->cursor.next_offset = partition->halt_back_to;
        partition->position = partition->cursor.next_offset;
        memset(partition->flood, 0, sizeof partition->flood);
        partition->cursor.state = CURSOR_HALTED;
        snprintf(partition->cursor.reason, sizeof partition->cursor.reason, "%s", partition->halt_reason);
        partition->known_stopped = true;
        partition_set_state(partition, PARTITION_HALTED);
    }
}

/* Whose cursors are worth a look: the others are about to be claimed or halted. */
static size_t looked_at(const struct worker *worker, struct str *topics, int32_t *parts)
{
    size_t count = 0;
    for (size_t i = 0; i < worker->partition_count; i++) {
        const struct partition *partition = &worker->partitions[i];
        if (partition->state == PARTITION_UNCLAIMED || partition->state == PARTITION_HALTING)
            continue;
        topics[count] = partition->topic_name;
        parts[count++] = partition->part;
    }
    return count;
}

/* Everything before the cursor is committed; what was read beyond it is dropped and will be read again. */
static void stop(struct worker *worker, struct partition *partition)
{
    consumer_pause(worker->consumer, partition->topic, partition->part);
    worker_take_out(worker, partition);
    partition->position = partition->cursor.next_offset;
    partition->at_eof = partition->complete_pending = false;
    partition_set_state(partition, PARTITION_HALTED);
    worker->feed_stale = true; /* it may wait for a batch that is gone */
    log_stopped(partition);
}

static bool apply_look(struct worker *worker, struct partition *partition, enum cursor_state state, struct str reason)
{
    struct cursor *cursor = &partition->cursor;
    snprintf(cursor->reason, sizeof cursor->reason, "%.*s", (int)reason.len, reason.ptr ? reason.ptr : "");
    bool was_halted = partition->state == PARTITION_HALTED;
    cursor->state = state;
    if (state == CURSOR_LIVE && was_halted) {
        log_info("partition %.*s/%d: resumed", (int)partition->topic_name.len, partition->topic_name.ptr,
                 partition->part);
        worker_unclaim(worker, partition);
        partition->look_again_ms = 0;
        partition->known_stopped = false; /* stopped once more before the claim, it is news */
    } else if (state != CURSOR_LIVE && !was_halted) {
        stop(worker, partition);
        return true;
    }
    return false;
}

/* An operator's command has written rows of it, or moved its cursor (outside.h, `cursor set`); we are still its owner.
 */
static bool is_taken(const struct worker *worker, const struct partition *partition, const struct db_result *result,
                     int row)
{
    struct uuid claim = db_uuid(result, row, 4);
    return !uuid_eq(&claim, &partition->cursor.claim) && str_eq(db_str(result, row, 5), str_of(worker->owner));
}

/* The consumer group in an owner's text, empty: the default one. */
static struct str group_of(struct str owner)
{
    size_t len = owner.len;
    while (len > 0 && owner.ptr[len - 1] != '@')
        len--;
    return (struct str){owner.ptr, len};
}

/* Not for worker_recover() yet: the fence refuses the next batch, should there be one. */
static void note_rival(struct worker *worker, const struct partition *partition, const struct db_result *result,
                       int row)
{
    struct uuid claim = db_uuid(result, row, 4);
    struct str owner = db_str(result, row, 5);
    if (!uuid_eq(&claim, &partition->cursor.claim) && !str_eq(group_of(owner), group_of(str_of(worker->owner))))
        snprintf(worker->rival, sizeof worker->rival, "partition %.*s/%d belongs to %.*s by now",
                 (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, (int)owner.len, owner.ptr);
}

static enum cv_status look(struct worker *worker, size_t *out_stopped, struct err *err)
{
    size_t room = worker->partition_count + 1;
    arena_reset(worker->scratch);
    struct str *topics = arena_alloc(worker->scratch, room * sizeof *topics);
    int32_t *parts = arena_alloc(worker->scratch, room * sizeof *parts);
    *out_stopped = 0;
    worker->rival[0] = '\0';
    size_t count = topics != NULL && parts != NULL ? looked_at(worker, topics, parts) : 0;
    if (count == 0)
        return CV_OK;
    struct db_args args;
    db_args_init(&args, worker->scratch);
    db_arg_int4(&args, worker->gen);
    db_arg_text_array(&args, topics, sizeof *topics, count);
    db_arg_int4_array(&args, parts, sizeof *parts, count);
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(worker->writer), &cursor_states_statement, &args, LOOK_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    bool taken = false;
    for (int row = 0; row < db_rows(result); row++) {
        struct str topic = db_str(result, row, 0), state = db_str(result, row, 2);
        for (size_t i = 0; i < worker->partition_count; i++) {
            struct partition *partition = &worker->partitions[i];
            if (partition->part != db_int4(result, row, 1) || !str_eq(partition->topic_name, topic) ||
                partition->state == PARTITION_UNCLAIMED || partition->state == PARTITION_HALTING)
                continue;
            taken |= is_taken(worker, partition, result, row);
            note_rival(worker, partition, result, row);
            *out_stopped += apply_look(worker, partition, cursor_state_of(state), db_str(result, row, 3));
        }
    }
    db_result_free(result);
    if (!taken)
        return CV_OK;
    err_set(err, "a claim was taken away by an operator's command");
    return CV_RETRY;
}

size_t worker_stop_paused(struct worker *worker)
{
    struct err err = ERR_INIT;
    size_t stopped;
    return look(worker, &stopped, &err) == CV_OK ? stopped : 0; /* the caller starts again from the cursors then */
}

void worker_look_at_cursors(struct worker *worker)
{
    struct err err = ERR_INIT;
    size_t stopped;
    int64_t now = clock_mono_ms();
    /* Between two batches, since what is stopped is taken out of the one being collected. */
    if (now < worker->next_look_ms || writer_is_busy(worker->writer) || !writer_is_connected(worker->writer))
        return;
    worker->next_look_ms = now + LOOK_MS;
    if (look(worker, &stopped, &err) != CV_OK)
        worker_recover(worker, &err);
}

void worker_retry_held(struct worker *worker)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        struct err err = ERR_INIT;
        if (now < partition->look_again_ms)
            continue;
        if (partition->state == PARTITION_HELD) {
            if (consumer_position(worker->consumer, partition->topic, partition->part, partition->position, &err) ==
                CV_OK)
                partition_set_state(partition, PARTITION_LIVE);
            else
                partition->look_again_ms = now + retry_failed(&partition->hold);
        }
    }
}
