/*
 * `caseview rebuild prepare`: makes a generation that has read the log fit for readers: carry-over, the rows for
 * readers (rendered by its workers), indexes, statistics. Each step goes on where it was; the workers go on meanwhile.
 */
#include <inttypes.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/rebuild_carry_over.h"
#include "workers/ops/rebuild_progress.h"
#include "workers/ops/rebuild_step.h"

#define TRIES     20
#define LOOK_MS   200
#define REPORT_MS 5000

static const struct db_statement begun_statement = {
    "prepare_begun", "UPDATE ctl.generation SET prepare_started_at = coalesce(prepare_started_at, now()) "
                     "WHERE gen = $1::integer AND state = 'waiting'"};
static const struct db_statement prepared_statement = {
    "prepare_done", "UPDATE ctl.generation SET prepared_at = coalesce(prepared_at, now()) "
                    "WHERE gen = $1::integer AND state = 'waiting' RETURNING gen"};
static const struct db_statement carry_over_statement = {"prepare_carry_over", sql_prepare_carry_over};
static const struct db_statement unrendered_statement = {"prepare_unrendered", sql_prepare_unrendered};

/* out_result: NULL, or what the statement returns, as of db_exec(). */
static enum cv_status update(struct rebuild *rebuild, const struct db_statement *statement, int32_t gen,
                             struct db_result **out_result, struct err *err)
{
    struct db_args args;
    arena_reset(rebuild->operation.arena);
    db_args_init(&args, rebuild->operation.arena);
    db_arg_int4(&args, gen);
    return db_exec(rebuild->operation.db, statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
}

static enum cv_status refuse_dropped(int32_t gen, struct err *err)
{
    err_set(err, "generation %d was dropped meanwhile", gen);
    return CV_FATAL;
}

static enum cv_status check_caught_up(int32_t gen, const struct rebuild_progress *progress, struct err *err)
{
    if (progress->caught_up)
        return CV_OK;
    const struct rebuild_partition *behind = rebuild_progress_behind(progress);
    bool stopped = behind->has_cursor && !str_eq(behind->state, STR("live"));
    err_set(err,
            "generation %d has not caught up yet: %s/%d is at %" PRId64 " of %" PRId64
            "%s%.*s: caseview rebuild status shows the rest",
            gen, behind->topic_name, behind->part, behind->next_offset, behind->log_end,
            stopped              ? " and "
            : behind->has_cursor ? ""
                                 : ", and no worker has claimed it",
            stopped ? (int)behind->state.len : 0, stopped ? behind->state.ptr : "");
    return CV_FATAL;
}

/* What generation `from` knows of the records before these log starts is carried over. */
static enum cv_status note_log_starts(struct rebuild *rebuild, int32_t gen, int32_t from,
                                      const struct rebuild_progress *progress, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, rebuild->arena);
    db_arg_int4(&args, gen);
    db_arg_int4(&args, from);
    rebuild_progress_log_args(progress, rebuild->arena, &args);
    enum cv_status status = db_exec(rebuild->operation.db, &carry_over_statement, &args, OPERATION_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    if (db_bool(result, 0, 0))
        log_info("the log or the live generation has changed since the last run: carrying over from the beginning");
    db_result_free(result);
    return CV_OK;
}

/*
 * Workers may have begun to read only after retention had removed something that was there at `rebuild start`, or have
 * been away for longer than retention since an earlier run. Some of it they may have read all the same: a record that
 * is carried over as parked, and was folded, is a duplicate for `parked retry`.
 */
static enum cv_status check_log_starts(struct rebuild *rebuild, const struct generation *generation,
                                       const struct rebuild_progress *progress, struct err *err)
{
    const struct generation *live = generation_in_state(&rebuild->list, GENERATION_LIVE);
    int32_t from = generation->carry_over_from;
    bool missing = false;
    for (size_t i = 0; i < progress->count; i++)
        missing |= progress->partitions[i].log_start > 0;
    if (!missing || generation->log_only || (from == 0 && live == NULL))
        return CV_OK;
    if (live != NULL && from != live->gen) {
        enum cv_status status = generation_check_carry_over(live, err);
        if (status != CV_OK)
            return status;
        log_info("%s since `rebuild start`: carrying over from generation %d",
                 from == 0 ? "the log has lost its start" : "readers were switched to another generation", live->gen);
        from = live->gen;
    }
    return note_log_starts(rebuild, generation->gen, from, progress, err);
}

/* One at a time: the lock ends with the connection. */
static enum cv_status lock_out_others(struct rebuild *rebuild, struct err *err)
{
    static const struct db_statement lock_statement = {
        "prepare_lock", "SELECT pg_try_advisory_lock(hashtext('caseview rebuild prepare'))"};
    struct db_result *result;
    enum cv_status status = db_exec(rebuild->operation.db, &lock_statement, NULL, OPERATION_QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    if (!db_bool(result, 0, 0)) {
        err_set(err, "another `caseview rebuild prepare` is running");
        status = CV_FATAL;
    }
    db_result_free(result);
    return status;
}

/* Of the list as it was read last. */
static enum cv_status check_waiting(const struct rebuild *rebuild, int32_t gen, struct err *err)
{
    enum generation_state state = generation_find(&rebuild->list, gen)->state;
    if (state == GENERATION_WAITING)
        return CV_OK;
    err_set(err, "generation %d is %s, not waiting%s", gen, generation_state_name(state),
            state == GENERATION_DROPPED ? "" : ": it was prepared before");
    return CV_FATAL;
}

/* While nothing is rendered yet, each run sees to it that all is carried over that its workers did not read. */
static enum cv_status check_log(struct rebuild *rebuild, int32_t gen, const struct rebuild_progress *progress,
                                struct err *err)
{
    const struct generation *generation = generation_find(&rebuild->list, gen);
    if (!generation->deferred)
        return CV_OK;
    enum cv_status status = check_caught_up(gen, progress, err);
    return status == CV_OK ? check_log_starts(rebuild, generation, progress, err) : status;
}

/* Reads the generations at its end, too: what is carried over may have changed. */
static enum cv_status begin(struct rebuild *rebuild, int32_t gen, const struct rebuild_progress *progress,
                            struct err *err)
{
    enum cv_status status = rebuild_begin(rebuild, err);
    if (status == CV_OK)
        status = check_waiting(rebuild, gen, err);
    if (status == CV_OK)
        status = check_log(rebuild, gen, progress, err);
    if (status == CV_OK)
        status = rebuild_check_topics(rebuild, gen, err);
    if (status == CV_OK)
        status = update(rebuild, &begun_statement, gen, NULL, err);
    if (status == CV_OK)
        status = rebuild_audit(rebuild, gen, NULL, err);
    if (status == CV_OK)
        status = rebuild_read(rebuild, err);
    FAIL_POINT("prepare.before");
    if (status == CV_OK)
        status = rebuild_commit(rebuild, err);
    FAIL_POINT("prepare.begun");
    return status;
}

/* ---- the rows for readers ---- */

static enum cv_status count_unrendered(struct rebuild *rebuild, int32_t gen, int64_t *out_partitions, struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const struct str topics[] = {str_of(config_text(config, "case-topic")), str_of(config_text(config, "agent-topic"))};
    struct db_args args;
    struct db_result *result;
    arena_reset(rebuild->operation.arena);
    db_args_init(&args, rebuild->operation.arena);
    db_arg_int4(&args, gen);
    db_arg_text_array(&args, topics, sizeof *topics, ARRAY_LEN(topics));
    enum cv_status status = db_exec(rebuild->operation.db, &unrendered_statement, &args, OPERATION_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    *out_partitions = db_int8(result, 0, 0);
    bool waiting = db_bool(result, 0, 1);
    db_result_free(result);
    return waiting ? CV_OK : refuse_dropped(gen, err);
}

/*
 * From now on its workers render. Rows that operators' commands have written before are deleted first: their states may
 * have been changed by carry-over, which writes no rows.
 */
static enum cv_status end_deferral(struct rebuild *rebuild, int32_t gen, struct err *err)
{
    char script[256];
    snprintf(script, sizeof script,
             "WITH ended AS (UPDATE ctl.generation SET deferred = false WHERE gen = $1::integer AND deferred "
             "RETURNING gen) DELETE FROM gen_%d.active_case WHERE EXISTS (SELECT FROM ended)",
             gen);
    const struct db_statement statement = {"prepare_render", script};
    return update(rebuild, &statement, gen, NULL, err);
}

/* Its workers render: each cursor says when the rows of its partition are written. */
static enum cv_status wait_rendered(struct rebuild *rebuild, int32_t gen, struct err *err)
{
    int64_t reported_ms = clock_mono_ms();
    enum cv_status status = end_deferral(rebuild, gen, err);
    FAIL_POINT("prepare.render");
    for (int64_t left = 1; status == CV_OK;) {
        status = count_unrendered(rebuild, gen, &left, err);
        if (status != CV_OK || left == 0)
            return status;
        if (stop_wait(LOOK_MS)) {
            err_set(err, "stopped while workers render; repeat the command to go on");
            return CV_FATAL;
        }
        if (clock_mono_ms() < reported_ms + REPORT_MS)
            continue;
        reported_ms = clock_mono_ms();
        log_info("rendering: %" PRId64 " partitions left; the workers of generation %d render: at least one must run",
                 left, gen);
    }
    return status;
}

/* ---- the steps ---- */

typedef enum cv_status step_fn(struct rebuild *rebuild, int32_t gen, struct err *err);

static enum cv_status make_indexes(struct rebuild *rebuild, int32_t gen, struct err *err)
{
    return generation_create_indexes(rebuild->operation.db, gen, err);
}

static enum cv_status analyze(struct rebuild *rebuild, int32_t gen, struct err *err)
{
    char script[256];
    snprintf(script, sizeof script, "ANALYZE gen_%d.case_state, gen_%d.active_case, gen_%d.agent, gen_%d.directory",
             gen, gen, gen, gen);
    return db_script(rebuild->operation.db, script, 0, err);
}

/* A batch of a worker, or an operator's command, may hold a table's lock for long: the step is run again then. */
static enum cv_status run_again(struct rebuild *rebuild, int32_t gen, step_fn *run, struct err *err)
{
    struct retry retry;
    retry_init(&retry, 50, 1000);
    for (int try = 1;; try++) {
        enum cv_status status = run(rebuild, gen, err);
        if (status != CV_RETRY || !operation_may_repeat(err) || try == TRIES || stop_wait(retry_failed(&retry)))
            return status;
    }
}

static enum cv_status run_step(struct rebuild *rebuild, int32_t gen, const char *name, step_fn *run, struct err *err)
{
    struct rebuild_step step;
    enum cv_status status = rebuild_step_open(rebuild, gen, name, &step, err);
    if (status != CV_OK || step.finished)
        return status;
    int64_t started_ms = clock_mono_ms();
    status = run_again(rebuild, gen, run, err);
    step.finished = true;
    if (status == CV_OK)
        status = rebuild_step_save(rebuild, &step, err);
    if (status == CV_OK)
        log_info("%s: done in %.1f s", name, (double)(clock_mono_ms() - started_ms) / 1000);
    return status;
}

static enum cv_status set_prepared(struct rebuild *rebuild, int32_t gen, struct err *err)
{
    struct db_result *result;
    enum cv_status status = update(rebuild, &prepared_statement, gen, &result, err);
    if (status != CV_OK)
        return status;
    bool done = db_rows(result) == 1;
    db_result_free(result);
    return done ? CV_OK : refuse_dropped(gen, err);
}

static enum cv_status run_steps(struct rebuild *rebuild, const struct generation *generation, struct err *err)
{
    int32_t gen = generation->gen;
    enum cv_status status = CV_OK;
    if (generation->carry_over_from > 0 && generation->deferred)
        status = rebuild_carry_over(rebuild, generation, err);
    FAIL_POINT("prepare.carried");
    if (status == CV_OK)
        status = run_step(rebuild, gen, "render", wait_rendered, err);
    if (status == CV_OK)
        status = run_step(rebuild, gen, "indexes", make_indexes, err);
    FAIL_POINT("prepare.indexed");
    if (status == CV_OK)
        status = run_step(rebuild, gen, "analyze", analyze, err);
    FAIL_POINT("prepare.analyzed");
    return status == CV_OK ? set_prepared(rebuild, gen, err) : status;
}

/* Brokers are asked before the transaction that begins; and not at all when only rows are to be rendered. */
static enum cv_status run(struct rebuild *rebuild, const struct generation *generation, struct err *err)
{
    int32_t gen = generation->gen;
    struct rebuild_progress progress = {0};
    enum cv_status status = CV_OK;
    if (generation->deferred)
        status = rebuild_progress_read_all(rebuild, rebuild->arena, gen, &progress, err);
    if (status == CV_OK)
        status = lock_out_others(rebuild, err);
    if (status == CV_OK)
        status = begin(rebuild, gen, &progress, err);
    if (status == CV_OK)
        status = run_steps(rebuild, generation_find(&rebuild->list, gen), err);
    return status;
}

enum cv_status rebuild_prepare(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    const struct generation *generation;
    enum cv_status status = rebuild_choose(rebuild, &generation, err);
    if (status != CV_OK)
        return status;
    int32_t gen = generation->gen;
    status = check_waiting(rebuild, gen, err);
    if (status == CV_OK)
        status = generation_check_template(rebuild->operation.db, gen, err);
    if (status == CV_OK && !generation->prepared)
        status = run(rebuild, generation, err);
    if (status != CV_OK)
        return status;
    if (config_flag(rebuild->operation.config, "json"))
        printf("{\"generation\":%d,\"phase\":\"ready\"}\n", gen);
    else
        printf("generation %d is ready\nnext: caseview rebuild compare; caseview rebuild switch %d\n", gen, gen);
    *out_exit_code = CV_EXIT_OK;
    return CV_OK;
}
