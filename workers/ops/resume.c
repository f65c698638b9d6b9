#include "workers/ops/resume.h"

#include <inttypes.h>
#include <stdio.h>

#include "caseview/db.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define PG_TYPE_INT4 23

static const struct db_statement resume_statement = {"resume", sql_resume};

static enum cv_status resume(struct db *db, const struct config *config, struct arena *arena, int *out_count,
                             struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, arena);
    db_arg_int4(&args, (int32_t)config_int(config, "generation"));
    db_arg_text(&args, str_of(config_text(config, "topic")));
    if (config_is_set(config, "partition"))
        db_arg_int4(&args, (int32_t)config_int(config, "partition"));
    else
        db_arg_null(&args, PG_TYPE_INT4);
    enum cv_status status = db_exec(db, &resume_statement, &args, 10000, &result, err);
    if (status != CV_OK)
        return status;
    *out_count = db_rows(result);
    for (int row = 0; row < *out_count; row++) {
        struct str topic = db_str(result, row, 0);
        printf("%.*s/%d goes on at offset %" PRId64 "\n", (int)topic.len, topic.ptr, db_int4(result, row, 1),
               db_int8(result, row, 2));
    }
    db_result_free(result);
    return CV_OK;
}

int resume_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    int count = 0;
    struct arena *arena = arena_new(1u << 12, 1u << 16);
    enum cv_status status = db_open(config_text(config, "database"), "caseview resume", NULL,
                                    (int)config_int(config, "connect-timeout-s") * 1000, &db, &err);
    if (status == CV_OK)
        status = resume(db, config, arena, &count, &err);
    db_close(db);
    arena_free(arena);
    if (status != CV_OK) {
        log_error("resume: %s", err.text);
        return status == CV_FATAL ? CV_EXIT_USAGE : CV_EXIT_UNREACHABLE;
    }
    if (count == 0)
        printf("no partition of that name is halted or paused\n");
    return count > 0 ? CV_EXIT_OK : CV_EXIT_NO;
}
