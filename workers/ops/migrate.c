#include "workers/ops/migrate.h"

#include <stdio.h>
#include <stdlib.h>

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/db.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "sql_schema.h"

/* The shared migrations in order. Each runs once, in a transaction with its row in ctl.migration, found by its name. */
static const struct {
    const char *name;
    const char *sql;
} migrations[] = {
    {"ctl_0001", sql_ctl_0001},
    {"ctl_0002", sql_ctl_0002},
};

#define GEN_TEMPLATE_VERSION 2
#define SCRIPT_MAX           (1u << 20)

static enum cv_status exists(struct db *db, struct arena *arena, const struct db_statement *statement, struct str key,
                             bool *out_exists, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, arena);
    db_arg_text(&args, key);
    enum cv_status status = db_exec(db, statement, &args, 0, &result, err);
    if (status != CV_OK)
        return status;
    *out_exists = db_bool(result, 0, 0);
    db_result_free(result);
    return CV_OK;
}

static enum cv_status run_script(struct db *db, struct buf *script, struct err *err)
{
    if (script->overflow) {
        err_set(err, "a migration is larger than %u bytes", SCRIPT_MAX);
        return CV_FATAL;
    }
    return db_script(db, script->data, err);
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

/* Appends the template with gen_N and caseview_N replaced. */
static void expand_template(struct buf *out, const char *template, const char *schema, const char *views)
{
    const char *at = template;
    for (const char *mark; (mark = strstr(at, "_N")) != NULL; at = mark + 2) {
        bool is_gen = mark - template >= 3 && memcmp(mark - 3, "gen", 3) == 0;
        bool is_view = mark - template >= 8 && memcmp(mark - 8, "caseview", 8) == 0;
        size_t name_len = is_gen ? 3 : is_view ? 8 : 0;
        buf_append(out, at, (size_t)(mark - at) - name_len);
        buf_puts(out, is_gen ? schema : is_view ? views : "_N");
    }
    buf_puts(out, at);
}

static enum cv_status create_generation(struct db *db, struct arena *arena, int gen, struct err *err)
{
    static const struct db_statement has_generation = {
        "has_generation", "SELECT EXISTS (SELECT FROM ctl.generation WHERE gen = $1::text::integer)"};
    static const struct db_statement has_live = {"has_live",
                                                 "SELECT EXISTS (SELECT FROM ctl.generation WHERE state = $1::text)"};
    char number[16], schema[32], views[32];
    bool made, live = false;
    snprintf(number, sizeof number, "%d", gen);
    snprintf(schema, sizeof schema, "gen_%d", gen);
    enum cv_status status = exists(db, arena, &has_generation, str_of(number), &made, err);
    if (status == CV_OK && !made)
        status = exists(db, arena, &has_live, STR("live"), &live, err);
    if (status != CV_OK || made)
        return status;
    if (live)
        snprintf(views, sizeof views, "caseview_%d", gen);
    else
        snprintf(views, sizeof views, "caseview");
    struct buf script CV_CLEANUP(buf_done);
    buf_init(&script, SCRIPT_MAX);
    buf_printf(
        &script,
        "BEGIN;\nINSERT INTO ctl.generation (gen, schema_name, template_version, state) VALUES (%d, '%s', %d, '%s');\n"
        "INSERT INTO ctl.dir_clock (gen) VALUES (%d);\n",
        gen, schema, GEN_TEMPLATE_VERSION, live ? "waiting" : "live", gen);
    expand_template(&script, sql_gen, schema, views);
    buf_puts(&script, "\nCOMMIT;");
    status = run_script(db, &script, err);
    if (status != CV_OK)
        err_prefix(err, "generation %d", gen);
    else
        log_info("created generation %d; its views are in schema %s", gen, views);
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
    status = db_script(db, "SELECT pg_advisory_lock(hashtext('caseview migrate'))", &err);
    if (status == CV_OK)
        status = apply_shared(db, arena, &err);
    if (status == CV_OK)
        status = create_generation(db, arena, (int)config_int(config, "generation"), &err);
    if (status == CV_OK)
        log_info("the database is ready for generation %d", (int)config_int(config, "generation"));
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
