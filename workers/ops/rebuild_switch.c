/*
 * `caseview rebuild switch N`: the views `caseview` become those of generation N, in one transaction. The cursors of
 * the live generation are locked meanwhile, so its workers wait at their fence and readers never step back in time.
 */
#include <inttypes.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/rebuild_command.h"

#define WAIT_MS      2000  /* for the new generation to reach the live one's cursors */
#define NEAR         20000 /* records: further behind, the live generation is not locked at all */
#define LOOK_MS      10
#define SETTLE_MS    200 /* a statement that was being prepared during the rename is ready by then */
#define TRIES        5
#define LOCK_TIMEOUT "SET LOCAL lock_timeout = '2s'" /* WAIT_MS */

static const struct db_statement lock_statement = {"generation_lock_cursors", sql_generation_lock_cursors};
static const struct db_statement lagging_statement = {"switch_lagging", sql_switch_lagging};
static const struct db_statement names_statement = {"switch_names", sql_switch_names};
static const struct db_statement grants_statement = {"switch_grants", sql_switch_grants};
static const struct db_statement touch_statement = {"switch_touch", sql_switch_touch};
static const struct db_statement clock_statement = {"switch_clock",
                                                    "SELECT no FROM ctl.dir_clock WHERE gen = $1::integer"};

struct change {
    int32_t from, to;
    int64_t names;     /* directory changes that the rows of `to` must show; -1: its directory still lags */
    int64_t locked_ms; /* of all tries */
    bool is_live;      /* refused: `to` is live already */
};

static enum cv_status plan(struct rebuild *rebuild, struct change *change, struct err *err)
{
    const struct generation *to, *from = generation_in_state(&rebuild->list, GENERATION_LIVE);
    enum cv_status status = rebuild_operand(rebuild, &to, err);
    if (status != CV_OK)
        return status;
    if (to->state == GENERATION_LIVE) {
        change->is_live = true;
        err_set(err, "generation %d is live already", to->gen);
        return CV_FATAL;
    }
    if (!to->prepared) {
        err_set(err, "generation %d is not prepared: caseview rebuild prepare", to->gen);
        return CV_FATAL;
    }
    if (from == NULL) {
        err_set(err, "no generation is live");
        return CV_FATAL;
    }
    *change = (struct change){.from = from->gen, .to = to->gen, .names = -1, .locked_ms = change->locked_ms};
    return CV_OK;
}

/* ---- grants ---- */

enum { GRANT_WHAT, GRANT_CHANGE, GRANT_COMMAND }; /* of switch_grants.sql */

static bool has_change(const struct db_result *result, int row, const char *change)
{
    return str_eq(db_str(result, row, GRANT_CHANGE), str_of(change));
}

static enum cv_status change_grants(struct rebuild *rebuild, const struct db_result *result, struct err *err)
{
    enum cv_status status = CV_OK;
    for (int row = 0; row < db_rows(result) && status == CV_OK; row++) {
        struct str text = db_str(result, row, GRANT_COMMAND);
        char *command CV_CLEANUP(cv_free_ptr) = cv_strndup(text.ptr, text.len);
        status = db_script(rebuild->operation.db, command, OPERATION_QUERY_TIMEOUT_MS, err);
    }
    return status;
}

/* Appends the rights with this change; false: there are none. */
static bool put_grants(const struct db_result *result, const char *change, const char *before, struct buf *out)
{
    bool some = false;
    for (int row = 0; row < db_rows(result) && !out->overflow; row++) {
        if (!has_change(result, row, change))
            continue;
        buf_puts(out, some ? ", " : before);
        buf_str(out, db_str(result, row, GRANT_WHAT));
        some = true;
    }
    return some;
}

/* changed: by --regrant, and the rights still differ. */
static enum cv_status refuse_grants(const struct db_result *result, const struct change *change, bool changed,
                                    struct err *err)
{
    struct buf names CV_CLEANUP(buf_done);
    buf_init(&names, 400);
    if (put_grants(result, "missing", "", &names)) {
        err_set(err,
                "other roles have rights on relations of schema caseview that caseview_%d does not have: %s%s (create "
                "your own in another schema)",
                change->to, names.len > 0 ? names.data : "", names.overflow ? ", …" : "");
        return CV_FATAL;
    }
    bool lose = put_grants(result, "lose", "would lose: ", &names);
    (void)put_grants(result, "gain", lose ? "; would gain: " : "would gain: ", &names);
    err_set(err, "the rights of other roles on the new views are not those on the present ones. They %s%s (%s)",
            names.len > 0 ? names.data : "", names.overflow ? ", …" : "",
            changed ? "others than the owner have granted them" : "--regrant makes them equal");
    return CV_FATAL;
}

static bool some_missing(const struct db_result *result)
{
    bool found = false;
    for (int row = 0; row < db_rows(result); row++)
        found |= has_change(result, row, "missing");
    return found;
}

static enum cv_status check_grants(struct rebuild *rebuild, const struct change *change, struct err *err)
{
    char views[32];
    struct db_args args;
    struct db_result *result;
    snprintf(views, sizeof views, "caseview_%d", change->to);
    db_args_init(&args, rebuild->arena);
    db_arg_text(&args, STR("caseview"));
    db_arg_text(&args, str_of(views));
    /* Twice: to revoke a right on a view revokes those on its columns, and those that others granted by it. */
    for (int pass = 0;; pass++) {
        enum cv_status status = db_exec(rebuild->operation.db, &grants_statement, &args, OPERATION_QUERY_TIMEOUT_MS,
                                        &result, err);
        if (status != CV_OK)
            return status;
        bool equal = db_rows(result) == 0;
        if (!equal && (pass == 2 || some_missing(result) || !config_flag(rebuild->operation.config, "regrant")))
            status = refuse_grants(result, change, pass > 0, err);
        else
            status = change_grants(rebuild, result, err);
        db_result_free(result);
        if (status != CV_OK || equal)
            return status;
    }
}

/* ---- the new generation reaches the live one ---- */

static void describe_lag(const struct db_result *result, const struct change *change, struct err *err)
{
    struct str topic = db_str(result, 0, 0), state = db_str(result, 0, 4);
    int32_t part = db_int4(result, 0, 1);
    if (db_is_null(result, 0, 3)) {
        err_set(err,
                "generation %d lags: no worker has claimed %.*s/%d, the live generation has reached offset %" PRId64
                ": check its workers (caseview rebuild status --generation %d); if the topic no longer has this "
                "partition: caseview cursor set --generation %d --topic %.*s --partition %d --offset 0 --force",
                change->to, (int)topic.len, topic.ptr, part, db_int8(result, 0, 2), change->to, change->from,
                (int)topic.len, topic.ptr, part);
        return;
    }
    bool stopped = !str_eq(state, STR("live"));
    err_set(err,
            "generation %d lags: %.*s/%d has reached offset %" PRId64 "%s%.*s, the live generation %" PRId64
            ": check its workers (caseview rebuild status --generation %d)",
            change->to, (int)topic.len, topic.ptr, part, db_int8(result, 0, 3), stopped ? " and is " : "",
            stopped ? (int)state.len : 0, stopped ? state.ptr : "", db_int8(result, 0, 2), change->to);
}

/* One look. *out_behind: records of the partition that lags most, which err names; 0: none lags. */
static enum cv_status look_at_cursors(struct rebuild *rebuild, const struct change *change, int64_t *out_behind,
                                      struct err *err)
{
    struct db_args args;
    struct db_result *result;
    struct arena *arena = rebuild->operation.arena;
    arena_reset(arena);
    db_args_init(&args, arena);
    db_arg_int4(&args, change->from);
    db_arg_int4(&args, change->to);
    enum cv_status status = db_exec(rebuild->operation.db, &lagging_statement, &args, OPERATION_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    *out_behind = db_rows(result) > 0 ? db_int8(result, 0, 5) : 0;
    if (*out_behind > 0)
        describe_lag(result, change, err);
    db_result_free(result);
    return CV_OK;
}

/*
 * Its directory is read as far as the live one's: what its rows must show. Later changes do not count, or a busy
 * directory would never let the switch happen.
 */
static enum cv_status note_names(struct rebuild *rebuild, struct change *change, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, rebuild->operation.arena);
    db_arg_int4(&args, change->to);
    enum cv_status status = db_exec(rebuild->operation.db, &clock_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    change->names = db_rows(result) == 1 ? db_int8(result, 0, 0) : 0;
    db_result_free(result);
    return CV_OK;
}

static enum cv_status look_at_names(struct rebuild *rebuild, const struct change *change, bool *out_behind,
                                    struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const struct str topics[] = {str_of(config_text(config, "case-topic")), str_of(config_text(config, "agent-topic"))};
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, rebuild->operation.arena);
    db_arg_int4(&args, change->to);
    db_arg_int8(&args, change->names);
    db_arg_text_array(&args, topics, sizeof *topics, ARRAY_LEN(topics));
    enum cv_status status = db_exec(rebuild->operation.db, &names_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    *out_behind = db_rows(result) > 0;
    if (*out_behind) {
        struct str topic = db_str(result, 0, 0);
        err_set(err,
                "generation %d lags: the rows of %.*s/%d show the directory up to change %" PRId64 ", not %" PRId64
                ": check its workers",
                change->to, (int)topic.len, topic.ptr, db_int4(result, 0, 1), db_int8(result, 0, 2), change->names);
    }
    db_result_free(result);
    return CV_OK;
}

/* Before anything is locked: a generation that cannot be level soon costs the live one nothing. */
static enum cv_status check_near(struct rebuild *rebuild, const struct change *change, struct err *err)
{
    int64_t behind;
    enum cv_status status = look_at_cursors(rebuild, change, &behind, err);
    return status == CV_OK && behind > NEAR ? CV_FATAL : status;
}

/* One look with the live cursors locked. *out_level false: err says what lags. */
static enum cv_status look(struct rebuild *rebuild, struct change *change, bool *out_level, struct err *err)
{
    int64_t behind;
    bool names_behind = false;
    enum cv_status status = look_at_cursors(rebuild, change, &behind, err);
    *out_level = false;
    if (status != CV_OK || behind > 0)
        return status;
    if (change->names < 0)
        status = note_names(rebuild, change, err);
    if (status == CV_OK)
        status = look_at_names(rebuild, change, &names_behind, err);
    *out_level = !names_behind;
    return status;
}

/* With the live cursors locked. CV_FATAL: it lags for too long. */
static enum cv_status wait_until_level(struct rebuild *rebuild, struct change *change, int64_t deadline_ms,
                                       struct err *err)
{
    for (;;) {
        bool level;
        enum cv_status status = look(rebuild, change, &level, err);
        if (status != CV_OK || level)
            return status;
        if (clock_mono_ms() >= deadline_ms || stop_wait(LOOK_MS))
            return CV_FATAL;
    }
}

/* ---- the switch ---- */

static enum cv_status rename_views(struct rebuild *rebuild, const struct change *change, struct err *err)
{
    char script[640];
    snprintf(script, sizeof script,
             "ALTER SCHEMA caseview RENAME TO caseview_%d;\n"
             "ALTER SCHEMA caseview_%d RENAME TO caseview;\n"
             "UPDATE ctl.generation SET state = 'past' WHERE gen = %d;\n"
             "UPDATE ctl.generation SET state = 'live', switched_at = now() WHERE gen = %d;\n"
             "SELECT pg_notify('caseview', 'generation %d');\n",
             change->from, change->to, change->from, change->to, change->to);
    return db_script(rebuild->operation.db, script, OPERATION_QUERY_TIMEOUT_MS, err);
}

/* All that needs no lock. */
static enum cv_status check(struct rebuild *rebuild, struct change *change, struct err *err)
{
    enum cv_status status = plan(rebuild, change, err);
    if (status == CV_OK)
        status = rebuild_check_topics(rebuild, change->to, err);
    if (status == CV_OK)
        status = check_grants(rebuild, change, err);
    return status == CV_OK ? check_near(rebuild, change, err) : status;
}

/* From the first lock on a cursor to the commit: for so long the workers of the live generation wait. */
static enum cv_status lock_and_rename(struct rebuild *rebuild, struct change *change, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct db_args args;
    char detail[64];
    db_args_init(&args, rebuild->arena);
    db_arg_int4(&args, change->from);
    enum cv_status status = db_exec(rebuild->operation.db, &lock_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL,
                                    err);
    FAIL_POINT("switch.locked");
    if (status == CV_OK)
        status = wait_until_level(rebuild, change, deadline_ms, err);
    if (status == CV_OK)
        status = rename_views(rebuild, change, err);
    snprintf(detail, sizeof detail, "{\"from\": %d, \"to\": %d}", change->from, change->to);
    if (status == CV_OK)
        status = rebuild_audit(rebuild, change->to, detail, err);
    FAIL_POINT("switch.renamed");
    return status == CV_OK ? rebuild_commit(rebuild, err) : status;
}

static enum cv_status switch_once(struct rebuild *rebuild, void *context, struct err *err)
{
    struct change *change = context;
    enum cv_status status = rebuild_begin(rebuild, err);
    if (status == CV_OK)
        status = check(rebuild, change, err);
    /* One worker's cursor may be locked for long while those of others are held already. */
    if (status == CV_OK)
        status = db_script(rebuild->operation.db, LOCK_TIMEOUT, OPERATION_QUERY_TIMEOUT_MS, err);
    if (status != CV_OK)
        return status;
    FAIL_POINT("switch.before");
    int64_t started_ms = clock_mono_ms();
    status = lock_and_rename(rebuild, change, err);
    change->locked_ms += clock_mono_ms() - started_ms;
    FAIL_POINT("switch.after");
    return status;
}

/*
 * A reader that prepares its statement during the rename may resolve the names before it and plan after it: the server
 * then has taken the message of the rename already, and keeps a plan for the views of before. A second change of the
 * schema, when that plan is known, makes the server plan again.
 */
static enum cv_status touch_schema(struct rebuild *rebuild, struct err *err)
{
    struct db_result *result;
    enum cv_status status = db_exec(rebuild->operation.db, &touch_statement, NULL, OPERATION_QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    if (db_rows(result) == 1) {
        char *command CV_CLEANUP(cv_free_ptr) = cv_strndup(db_str(result, 0, 0).ptr, db_str(result, 0, 0).len);
        status = db_script(rebuild->operation.db, command, OPERATION_QUERY_TIMEOUT_MS, err);
    } else {
        err_set(err, "no role has rights on schema caseview");
        status = CV_FATAL;
    }
    db_result_free(result);
    return status;
}

static void invalidate_plans(struct rebuild *rebuild)
{
    struct err err = ERR_INIT;
    (void)stop_wait(SETTLE_MS);
    if (touch_schema(rebuild, &err) != CV_OK)
        log_warn("rebuild switch: %s; a reader that connected during the switch may still read the generation before: "
                 "restart it",
                 err.text);
}

/* As after a switch: the command that made it live may have been killed in between. */
static void invalidate_again(struct rebuild *rebuild)
{
    struct err ignored = ERR_INIT;
    if (db_script(rebuild->operation.db, "ROLLBACK", OPERATION_QUERY_TIMEOUT_MS, &ignored) == CV_OK)
        invalidate_plans(rebuild);
}

static void print(const struct rebuild *rebuild, const struct change *change)
{
    if (config_flag(rebuild->operation.config, "json"))
        printf("{\"generation\":%d,\"past\":%d,\"locked_ms\":%" PRId64 "}\n", change->to, change->from,
               change->locked_ms);
    else
        printf("generation %d is live, generation %d is past; its workers waited for at most %" PRId64
               " ms\nRollback: caseview rebuild switch %d, as long as workers of generation %d run. Afterwards: "
               "caseview rebuild drop %d\n",
               change->to, change->from, change->locked_ms, change->from, change->from, change->from);
}

enum cv_status rebuild_switch(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    struct change change = {0};
    enum cv_status status = rebuild_repeat(rebuild, switch_once, &change, TRIES, err);
    if (change.is_live)
        invalidate_again(rebuild);
    if (status != CV_OK)
        return status;
    invalidate_plans(rebuild);
    print(rebuild, &change);
    *out_exit_code = CV_EXIT_OK;
    return CV_OK;
}
