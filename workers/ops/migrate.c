#include "workers/ops/commands.h"

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/db.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "sql_schema.h"
#include "workers/ops/generation.h"

/* The shared migrations in order. Each runs once, in a transaction with its row in ctl.migration, found by its name. */
static const struct {
    const char *name;
    const char *sql;
} migrations[] = {
    {"ctl_0001", sql_ctl_0001},
    {"ctl_0002", sql_ctl_0002},
    {"ctl_0003", sql_ctl_0003},
};

#define SCRIPT_MAX (1u << 20)

static enum cv_status exists(struct db *db, struct arena *arena, const struct db_statement *statement, struct str key,
                             bool *out_exists, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    db_args_init(&args, arena);
    db_arg_text(&args, key);
    enum cv_status status = db_exec(db, statement, &args, 0, &result, err);
    if (status != CV_OK)
        return status;
    *out_exists = db_bool(result, 0, 0);
    return CV_OK;
}

static enum cv_status run_script(struct db *db, struct buf *script, struct err *err)
{
    if (script->overflow) {
        err_set(err, "a migration is larger than %u bytes", SCRIPT_MAX);
        return CV_FATAL;
    }
    return db_script(db, script->data, 0, err);
}

static enum cv_status apply_shared(struct db *db, struct arena *arena, struct err *err)
{
    static const struct db_statement has_schema = {"has_schema", "SELECT to_regnamespace($1::text) IS NOT NULL"};
    static const struct db_statement has_migration = {
        "has_migration", "SELECT EXISTS (SELECT FROM ctl.migration WHERE name = $1::text)"};
    for (size_t i = 0; i < ARRAY_LEN(migrations); i++) {
        bool ready, applied = false;
        enum cv_status status = exists(db, arena, &has_schema, STR("ctl"), &ready, err);
        if (status == CV_OK && ready)
            status = exists(db, arena, &has_migration, str_of(migrations[i].name), &applied, err);
        if (status != CV_OK)
            return status;
        if (applied)
            continue;
        struct buf script CV_CLEANUP(buf_done);
        buf_init(&script, SCRIPT_MAX);
        buf_printf(&script, "BEGIN;\n%s\nINSERT INTO ctl.migration (name) VALUES ('%s');\nCOMMIT;", migrations[i].sql,
                   migrations[i].name);
        status = run_script(db, &script, err);
        if (status != CV_OK) {
            err_prefix(err, "migration %s", migrations[i].name);
            return status;
        }
        log_info("applied %s", migrations[i].name);
    }
    return CV_OK;
}

/* The first generation. Later ones are made by `caseview rebuild start`. */
static enum cv_status create_first(struct db *db, struct arena *arena, const struct config *config, struct err *err)
{
    struct generation_list list;
    int32_t gen = (int32_t)config_int(config, "generation");
    enum cv_status status = generation_list_read(db, arena, &list, err);
    if (status == CV_OK && list.count > 0 && config_is_set(config, "generation") &&
        generation_find(&list, gen) == NULL) {
        err_set(err, "generation %d does not exist: `caseview rebuild start` creates the next one", gen);
        return CV_FATAL;
    }
    if (status != CV_OK || list.count > 0)
        return status;
    status = db_script(db, "BEGIN", 0, err);
    if (status == CV_OK)
        status = generation_create(db, gen, false, err);
    if (status == CV_OK)
        status = db_script(db, "COMMIT", 0, err);
    if (status != CV_OK)
        err_prefix(err, "generation %d", gen);
    else
        log_info("created generation %d; its views are in schema caseview", gen);
    return status;
}

static enum cv_status connect_with_retries(const struct config *config, struct db **out_db, struct err *err)
{
    int64_t deadline = clock_mono_ms() + config_int(config, "connect-timeout-s") * 1000;
    struct retry retry;
    retry_init(&retry, 100, 2000);
    for (;;) {
        int64_t left = deadline - clock_mono_ms();
        enum cv_status status = db_open(config_text(config, "database"), "caseview migrate", NULL,
                                        left > 1 ? (int)left : 1, out_db, err);
        if (status != CV_RETRY)
            return status;
        int wait = retry_failed(&retry);
        if (retry.attempts == 1)
            log_warn("waiting for the database: %s", err->text);
        if (clock_mono_ms() + wait >= deadline || stop_wait(wait))
            return CV_RETRY;
    }
}

int migrate_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    enum cv_status status = connect_with_retries(config, &db, &err);
    if (status != CV_OK) {
        log_error("migrate: %s", err.text);
        return status == CV_RETRY ? CV_EXIT_UNREACHABLE : CV_EXIT_USAGE;
    }
    struct arena *arena = arena_new(1u << 14, 1u << 20);
    /* Two migrations at the same time would run the same script twice: one waits for the other. */
    status = db_script(db, "SELECT pg_advisory_lock(hashtext('caseview migrate'))", 0, &err);
    if (status == CV_OK)
        status = apply_shared(db, arena, &err);
    if (status == CV_OK)
        status = create_first(db, arena, config, &err);
    if (status == CV_OK)
        log_info("the database is ready");
    else
        log_error("migrate: %s%s", err.text,
                  strcmp(err.sqlstate, "42501") == 0
                      ? "; run it as the owner of the database, the first time with CREATEROLE"
                      : "");
    arena_free(arena);
    db_close(db);
    if (status == CV_OK)
        return CV_EXIT_OK;
    /* If the server refuses, the configuration or rights must change: a retry cannot help. */
    return status == CV_RETRY && err.sqlstate[0] == '\0' ? CV_EXIT_UNREACHABLE : CV_EXIT_USAGE;
}
