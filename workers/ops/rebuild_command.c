#include "workers/ops/rebuild_command.h"

#include <stdlib.h>

#include "sql_worker.h"

static const struct db_statement audit_statement = {"rebuild_audit", sql_rebuild_audit};

enum cv_status rebuild_read(struct rebuild *rebuild, struct err *err)
{
    return generation_list_read(rebuild->operation.db, rebuild->arena, &rebuild->list, err);
}

enum cv_status rebuild_begin(struct rebuild *rebuild, struct err *err)
{
    enum cv_status status = db_script(rebuild->operation.db,
                                      "BEGIN; LOCK TABLE ctl.generation IN SHARE ROW EXCLUSIVE MODE", err);
    if (status != CV_OK && strcmp(err->sqlstate, "55P03") == 0)
        err_prefix(err, "another command is changing the generations");
    return status == CV_OK ? rebuild_read(rebuild, err) : status;
}

enum cv_status rebuild_commit(struct rebuild *rebuild, struct err *err)
{
    return db_script(rebuild->operation.db, "COMMIT", err);
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

enum cv_status rebuild_choose(struct rebuild *rebuild, const struct generation **out_generation, struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const struct generation *found = generation_in_state(&rebuild->list, GENERATION_WAITING);
    if (config_is_set(config, "generation"))
        found = generation_find(&rebuild->list, (int32_t)config_int(config, "generation"));
    if (found == NULL || found->state == GENERATION_DROPPED) {
        if (config_is_set(config, "generation"))
            err_set(err, "generation %d does not exist", (int)config_int(config, "generation"));
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
