#include "workers/sink/cursor.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define CLAIM_TIMEOUT_MS 5000
#define CLAIM_TRIES      4

#define PG_TYPE_INT8 20 /* oid of bigint, for a null */

static const struct db_statement begin_statement = {"begin", sql_begin};
static const struct db_statement commit_statement = {"commit", sql_commit};
static const struct db_statement rollback_statement = {"rollback", sql_rollback};
static const struct db_statement settings_statement = {"claim_settings", sql_claim_settings};
static const struct db_statement insert_statement = {"claim_insert", sql_claim_insert};
static const struct db_statement take_statement = {"claim_take", sql_claim_take};
static const struct db_statement evict_statement = {"claim_evict", sql_claim_evict};
static const struct db_statement halt_statement = {"halt", sql_halt};

struct claim_args {
    struct db_args none, insert, take;
};

/* The arguments $1 to $3 of every statement here: the cursor's key. */
static void key_args(struct db_args *args, struct arena *arena, int32_t gen, struct str topic, int32_t part)
{
    db_args_init(args, arena);
    db_arg_int4(args, gen);
    db_arg_text(args, topic);
    db_arg_int4(args, part);
}

static enum cv_status send_claim(struct db *db, const struct claim_args *args, struct err *err)
{
    enum cv_status status = db_pipeline_begin(db, err);
    if (status == CV_OK)
        status = db_pipeline_send(db, &begin_statement, &args->none, err);
    if (status == CV_OK)
        status = db_pipeline_send(db, &settings_statement, &args->none, err);
    if (status == CV_OK)
        status = db_pipeline_send(db, &insert_statement, &args->insert, err);
    if (status == CV_OK)
        status = db_pipeline_send(db, &take_statement, &args->take, err);
    if (status == CV_OK)
        status = db_pipeline_flush(db, err);
    FAIL_POINT("claim.locked"); /* the transaction is open and the row is locked or about to be */
    if (status == CV_OK)
        status = db_pipeline_send(db, &commit_statement, &args->none, err);
    if (status == CV_OK)
        status = db_pipeline_end(db, err);
    FAIL_POINT("claim.begun");
    return status;
}

static enum cv_status wait_for(struct db *db, struct err *err)
{
    int64_t deadline = clock_mono_ms() + CLAIM_TIMEOUT_MS;
    enum cv_status status = db_pipeline_poll(db, err);
    while (status == CV_RETRY && db_pipeline_busy(db)) {
        int64_t left = deadline - clock_mono_ms();
        if (left <= 0) {
            err_set(err, "no answer from the database for %d ms", CLAIM_TIMEOUT_MS);
            return CV_RETRY;
        }
        db_pipeline_wait(db, (int)left);
        status = db_pipeline_poll(db, err);
    }
    return status;
}

enum cursor_state cursor_state_of(struct str name)
{
    return str_eq(name, STR("halted")) ? CURSOR_HALTED : str_eq(name, STR("paused")) ? CURSOR_PAUSED : CURSOR_LIVE;
}

static void read_cursor(const struct db_result *row, struct cursor *out)
{
    struct str reason = db_str(row, 0, 7);
    *out = (struct cursor){
        .claim = db_uuid(row, 0, 0),
        .next_offset = db_int8(row, 0, 1),
        .dir_no = db_int8(row, 0, 2),
        .has_last = !db_is_null(row, 0, 3),
        .state = cursor_state_of(db_str(row, 0, 6)),
        .complete = db_bool(row, 0, 8),
    };
    if (out->has_last) {
        out->last_offset = db_int8(row, 0, 3);
        out->last_at = db_is_null(row, 0, 4) ? -1 : db_int8(row, 0, 4);
        out->last_crc = db_is_null(row, 0, 5) ? 0 : db_int8(row, 0, 5);
    }
    snprintf(out->reason, sizeof out->reason, "%.*s", (int)reason.len, reason.ptr != NULL ? reason.ptr : "");
}

static enum cv_status evict(const struct db *writer, struct db *other, struct arena *arena, int32_t gen,
                            struct str topic, int32_t part, bool *out_evicted, struct err *err)
{
    struct db_args args;
    key_args(&args, arena, gen, topic, part);
    db_arg_int4(&args, db_backend_pid(writer));
    struct db_result *result;
    enum cv_status status = db_exec(other, &evict_statement, &args, CLAIM_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_evicted = db_int4(result, 0, 0) > 0;
    if (*out_evicted)
        log_warn(
            "partition %.*s/%d: the previous owner held the cursor's lock while unresponsive; terminated its backend",
            (int)topic.len, topic.ptr, part);
    db_result_free(result);
    return CV_OK;
}

/* No cursor could be claimed. Says why. */
static enum cv_status no_generation(struct db *other, struct arena *arena, int32_t gen, struct err *err)
{
    static const struct db_statement statement = {
        "claim_dropped", "SELECT EXISTS (SELECT FROM ctl.generation WHERE gen = $1::integer AND state = 'dropped')"};
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, arena);
    db_arg_int4(&args, gen);
    enum cv_status status = db_exec(other, &statement, &args, CLAIM_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    err_set(err, "generation %d does not exist: %s", gen,
            db_bool(result, 0, 0) ? "it was dropped; stop its workers" : "run `caseview migrate`");
    db_result_free(result);
    return CV_RETRY;
}

enum cv_status cursor_claim(struct db *writer, struct db *other, struct arena *arena, int32_t gen, struct str topic,
                            int32_t part, const char *owner, struct cursor *out_cursor, struct err *err)
{
    struct claim_args args;
    db_args_init(&args.none, arena);
    key_args(&args.insert, arena, gen, topic, part);
    args.take = args.insert;
    db_arg_text(&args.take, str_of(owner));

    for (int try = 1;; try++) {
        enum cv_status status = send_claim(writer, &args, err);
        if (status != CV_OK)
            return status;
        status = wait_for(writer, err);
        if (status == CV_OK) {
            const struct db_result *taken = db_pipeline_result(writer, 3);
            if (db_rows(taken) != 1)
                return no_generation(other, arena, gen, err);
            read_cursor(taken, out_cursor);
            return CV_OK;
        }
        if (err->sqlstate[0] == '\0')
            return status; /* the connection is lost */
        struct err rollback_err = ERR_INIT;
        if (db_exec(writer, &rollback_statement, NULL, CLAIM_TIMEOUT_MS, NULL, &rollback_err) != CV_OK) {
            *err = rollback_err;
            return CV_RETRY;
        }
        bool evicted, blocked = strcmp(err->sqlstate, "55P03") == 0;
        if (!blocked || try == CLAIM_TRIES)
            return status;
        struct err evict_err = ERR_INIT;
        if (evict(writer, other, arena, gen, topic, part, &evicted, &evict_err) != CV_OK) {
            *err = evict_err;
            if (err->sqlstate[0] != '\0')
                err_prefix(err, "the previous owner holds the cursor's lock, and its backend could not be terminated");
            return CV_RETRY;
        }
        if (!evicted)
            return status; /* another session than the owner holds the lock */
    }
}

enum cv_status cursor_halt(struct db *db, struct arena *arena, int32_t gen, struct str topic, int32_t part,
                           const struct cursor *cursor, const char *reason, int64_t back_to, bool *out_halted,
                           struct err *err)
{
    struct db_args args;
    key_args(&args, arena, gen, topic, part);
    db_arg_uuid(&args, &cursor->claim);
    db_arg_int8(&args, cursor->next_offset);
    db_arg_text(&args, str_of(reason));
    if (back_to >= 0)
        db_arg_int8(&args, back_to);
    else
        db_arg_null(&args, PG_TYPE_INT8);
    struct db_result *result;
    enum cv_status status = db_exec(db, &halt_statement, &args, CLAIM_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_halted = db_int4(result, 0, 0) == 1;
    db_result_free(result);
    return CV_OK;
}
