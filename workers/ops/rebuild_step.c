#include "workers/ops/rebuild_step.h"

#include <inttypes.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define REPORT_MS 5000

static const struct db_statement open_statement = {"rebuild_step_open", sql_rebuild_step_open};
static const struct db_statement save_statement = {"rebuild_step_save", sql_rebuild_step_save};

enum cv_status rebuild_step_open(struct rebuild *rebuild, int32_t gen, const char *name, struct rebuild_step *out_step,
                                 struct err *err)
{
    struct operation *operation = &rebuild->operation;
    struct rebuild_step step = {.gen = gen, .name = name, .reported_ms = clock_mono_ms()};
    struct db_args args;
    struct db_result *result;
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    db_arg_int4(&args, gen);
    db_arg_text(&args, str_of(name));
    enum cv_status status = db_exec(operation->db, &open_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    struct str after = db_str(result, 0, 0);
    step.has_after = after.ptr != NULL;
    step.after_len = after.len;
    assert(after.len <= sizeof step.after_key); /* written by us */
    if (after.len > 0)
        memcpy(step.after_key, after.ptr, after.len);
    step.seen = db_int8(result, 0, 1);
    step.changed = db_int8(result, 0, 2);
    step.finished = db_bool(result, 0, 3);
    db_result_free(result);
    *out_step = step;
    return CV_OK;
}

enum cv_status rebuild_step_save(struct rebuild *rebuild, struct rebuild_step *step, struct err *err)
{
    struct operation *operation = &rebuild->operation;
    struct db_args args;
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    db_arg_int4(&args, step->gen);
    db_arg_text(&args, str_of(step->name));
    db_arg_bytea(&args, step->has_after ? (struct str){(const char *)step->after_key, step->after_len} : STR_NULL);
    db_arg_int8(&args, step->seen);
    db_arg_int8(&args, step->changed);
    db_arg_bool(&args, step->finished);
    return db_exec(operation->db, &save_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

enum cv_status rebuild_step_finish(struct rebuild *rebuild, struct rebuild_step *step, struct err *err)
{
    step->finished = true;
    enum cv_status status = rebuild_step_save(rebuild, step, err);
    if (status == CV_OK)
        log_info("%s: done, %" PRId64 " rows read, %" PRId64 " written", step->name, step->seen, step->changed);
    return status;
}

void rebuild_step_report(struct rebuild_step *step)
{
    int64_t now = clock_mono_ms();
    if (now < step->reported_ms + REPORT_MS)
        return;
    step->reported_ms = now;
    log_info("%s: %" PRId64 " rows read, %" PRId64 " written", step->name, step->seen, step->changed);
}
