#include "workers/ops/operation.h"

#include <stdio.h>
#include <unistd.h>

#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"

#define ARENA_MAX (64u << 20)
#define TRIES     10

static const struct db_statement live_statement = {"generation_live",
                                                   "SELECT gen FROM ctl.generation WHERE state = 'live'"};

enum cv_status operation_use_generation(struct db *db, int32_t gen, struct err *err)
{
    char text[64];
    snprintf(text, sizeof text, DB_SEARCH_PATH_FMT, gen);
    return db_script(db, text, OPERATION_QUERY_TIMEOUT_MS, err);
}

/* The live generation; 1 when there is none or no schema yet: the statement that follows then says so. */
static enum cv_status find_live(struct db *db, int32_t *out_gen, struct err *err)
{
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = db_exec(db, &live_statement, NULL, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    *out_gen = 1;
    if (status != CV_OK)
        return status == CV_RETRY && err_is_no_schema(err) ? CV_OK : status;
    if (db_rows(result) == 1)
        *out_gen = db_int4(result, 0, 0);
    return CV_OK;
}

enum cv_status operation_connect(const struct config *config, const char *command, struct db **out_db, int32_t *out_gen,
                                 struct err *err)
{
    char name[64];
    struct db *db;
    int32_t gen = 0;
    snprintf(name, sizeof name, "caseview %s", command);
    enum cv_status status = db_open(config_text(config, "database"), name,
                                    "SET timezone = 'UTC'; SET lock_timeout = '5s'",
                                    (int)config_int(config, "connect-timeout-s") * 1000, &db, err);
    if (status != CV_OK)
        return status;
    if (config_is_set(config, "generation"))
        gen = (int32_t)config_int(config, "generation");
    else
        status = find_live(db, &gen, err);
    if (status == CV_OK)
        status = operation_use_generation(db, gen, err);
    if (status != CV_OK) {
        db_close(db);
        return status;
    }
    *out_db = db;
    *out_gen = gen;
    return CV_OK;
}

enum cv_status operation_open(struct operation *operation, const struct config *config, const char *command,
                              struct err *err)
{
    char host[64] = "?";
    gethostname(host, sizeof host - 1);
    *operation = (struct operation){.config = config, .command = command, .arena = arena_new(1u << 16, ARENA_MAX)};
    snprintf(operation->client, sizeof operation->client, "%s:%d", host, (int)getpid());
    return operation_connect(config, command, &operation->db, &operation->gen, err);
}

void operation_close(struct operation *operation)
{
    db_close(operation->db);
    arena_free(operation->arena);
}

int operation_failed(const char *command, enum cv_status status, const struct err *err)
{
    const char *next = "";
    if (err_is_no_schema(err))
        next = "; this generation, or this version's schema, is not in the database: check --database and "
               "--generation, or run `caseview migrate`";
    else if (strcmp(err->sqlstate, "42501") == 0)
        next = "; connect as a role that has been granted caseview_worker";
    log_error("%s: %s%s", command, err->text, next);
    if (status == CV_RETRY)
        return err->sqlstate[0] == '\0' || strncmp(err->sqlstate, "57", 2) == 0 ? CV_EXIT_UNREACHABLE : CV_EXIT_USAGE;
    return CV_EXIT_USAGE;
}

void operation_args(struct operation *operation, struct db_args *args)
{
    const struct config *config = operation->config;
    arena_reset(operation->arena);
    db_args_init(args, operation->arena);
    db_arg_int4(args, operation->gen);
    db_arg_text(args, str_of(config_text(config, "topic")));
    if (config_is_set(config, "partition"))
        db_arg_int4(args, (int32_t)config_int(config, "partition"));
    else
        db_arg_null(args, DB_INT4);
}

void operation_audit_args(struct operation *operation, struct db_args *args)
{
    db_arg_text(args, str_of(config_text(operation->config, "reason")));
    db_arg_text(args, str_of(operation->client));
    db_arg_text(args, str_of(operation->command));
}

bool operation_may_repeat(const struct err *err)
{
    return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "55P03") == 0 ||
           strcmp(err->sqlstate, "40001") == 0;
}

enum cv_status operation_run(struct operation *operation, const struct db_statement *statement,
                             const struct db_args *args, struct db_result **out_result, struct err *err)
{
    struct retry retry;
    retry_init(&retry, 20, 1000);
    for (int try = 1;; try++) {
        enum cv_status status = db_exec(operation->db, statement, args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
        if (status != CV_RETRY || !operation_may_repeat(err) || try == TRIES || stop_wait(retry_failed(&retry)))
            return status;
    }
}

void operation_offset_arg(struct operation *operation, struct db_args *args)
{
    if (config_is_set(operation->config, "offset"))
        db_arg_int8(args, config_int(operation->config, "offset"));
    else
        db_arg_null(args, DB_INT8);
}

void operation_put_command(const struct config *config, struct buf *out, const char *command)
{
    buf_printf(out, "caseview %s", command);
    if (config_is_set(config, "generation"))
        buf_printf(out, " --generation %" PRId64, config_int(config, "generation"));
}

void operation_put_case(struct buf *out, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    buf_printf(out, " --case %s", text);
}

void operation_put_agent(struct buf *out, const struct uuid *organization_id, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1], organization[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    uuid_format(organization_id, organization);
    buf_printf(out, " --user %s --organization %s", text, organization);
}

void operation_describe(const struct operation *operation, char *out, size_t size)
{
    const char *topic = config_text(operation->config, "topic");
    int used = snprintf(out, size, "%s%s", topic != NULL ? "topic " : "any topic", topic != NULL ? topic : "");
    if (config_is_set(operation->config, "partition") && used > 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used, ", partition %" PRId64, config_int(operation->config, "partition"));
}
