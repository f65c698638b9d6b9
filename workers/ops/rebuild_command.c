#include "workers/ops/rebuild_command.h"

#include <stdlib.h>

#include "caseview/retry.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/broker_options.h"

static const struct db_statement topics_statement = {"rebuild_topics", sql_rebuild_topics};
static const struct db_statement audit_statement = {"rebuild_audit", sql_rebuild_audit};

enum cv_status rebuild_read(struct rebuild *rebuild, struct err *err)
{
    return generation_list_read(rebuild->operation.db, rebuild->arena, &rebuild->list, err);
}

enum cv_status rebuild_begin(struct rebuild *rebuild, struct err *err)
{
    enum cv_status status = db_script(rebuild->operation.db,
                                      "BEGIN; LOCK TABLE ctl.generation IN SHARE UPDATE EXCLUSIVE MODE",
                                      OPERATION_QUERY_TIMEOUT_MS, err);
    if (status != CV_OK && strcmp(err->sqlstate, "55P03") == 0)
        err_prefix(err, "another command is changing the generations");
    return status == CV_OK ? rebuild_read(rebuild, err) : status;
}

enum cv_status rebuild_repeat(struct rebuild *rebuild, rebuild_transaction_fn *run, void *context, int tries,
                              struct err *err)
{
    struct retry retry;
    retry_init(&retry, 50, 1000);
    for (int try = 1;; try++) {
        struct err ignored = ERR_INIT;
        enum cv_status status = run(rebuild, context, err);
        if (status != CV_RETRY || !operation_may_repeat(err) || try == tries || stop_wait(retry_failed(&retry)) ||
            db_script(rebuild->operation.db, "ROLLBACK", OPERATION_QUERY_TIMEOUT_MS, &ignored) != CV_OK)
            return status;
    }
}

enum cv_status rebuild_commit(struct rebuild *rebuild, struct err *err)
{
    return db_script(rebuild->operation.db, "COMMIT", OPERATION_QUERY_TIMEOUT_MS, err);
}

enum cv_status rebuild_audit(struct rebuild *rebuild, int32_t gen, const char *detail, struct err *err)
{
    struct operation *operation = &rebuild->operation;
    struct db_args args;
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    db_arg_int4(&args, gen);
    operation_audit_args(operation, &args);
    db_arg_text(&args, str_of(detail));
    return db_exec(operation->db, &audit_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

enum cv_status rebuild_check_topics(struct rebuild *rebuild, int32_t gen, struct err *err)
{
    struct operation *operation = &rebuild->operation;
    struct str topics[TOPIC_COUNT];
    struct db_args args;
    struct db_result *result;
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        topics[i] = str_of(config_text(operation->config, topic_options[i]));
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    db_arg_int4(&args, gen);
    db_arg_text_array(&args, topics, sizeof *topics, ARRAY_LEN(topics));
    enum cv_status status = db_exec(operation->db, &topics_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    if (db_rows(result) > 0) {
        struct str topic = db_str(result, 0, 0);
        err_set(err,
                "no worker of generation %d has read topic %.*s: check --case-topic, --agent-topic and "
                "--directory-topic",
                gen, (int)topic.len, topic.ptr);
        status = CV_FATAL;
    }
    db_result_free(result);
    return status;
}

int32_t rebuild_named(const struct rebuild *rebuild)
{
    const struct config *config = rebuild->operation.config;
    return config_is_argument(config, "generation") ? (int32_t)config_int(config, "generation") : 0;
}

enum cv_status rebuild_choose(struct rebuild *rebuild, const struct generation **out_generation, struct err *err)
{
    int32_t named = rebuild_named(rebuild);
    const struct generation *found = named > 0 ? generation_find(&rebuild->list, named)
                                               : generation_in_state(&rebuild->list, GENERATION_WAITING);
    if (found == NULL || found->state == GENERATION_DROPPED) {
        if (named > 0)
            err_set(err, "generation %d %s", named, found == NULL ? "does not exist" : "was dropped");
        else
            err_set(err, "no generation is waiting: `caseview rebuild start` creates one");
        return CV_FATAL;
    }
    *out_generation = found;
    return CV_OK;
}

enum cv_status rebuild_operand(struct rebuild *rebuild, const struct generation **out_generation, struct err *err)
{
    const char *text = config_operand(rebuild->operation.config, 1);
    int32_t gen = (int32_t)strtol(text, NULL, 10); /* digits, checked at the start */
    const struct generation *found = generation_find(&rebuild->list, gen);
    if (found == NULL || found->state == GENERATION_DROPPED) {
        err_set(err, "generation %d %s", gen, found == NULL ? "does not exist" : "was dropped");
        return CV_FATAL;
    }
    *out_generation = found;
    return CV_OK;
}
