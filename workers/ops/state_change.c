#include "workers/ops/commands.h"

#include <stdio.h>

#include "caseview/json.h"
#include "caseview/output.h"
#include "sql_worker.h"
#include "workers/ops/operation.h"

#define LINE_MAX_BYTES 4096

/* A command that changes the state of partitions. */
struct state_change {
    const char *command;
    const struct db_statement *statement; /* returns topic, part, next_offset */
    const char *outcome;                  /* "resumed at" */
    const char *from;                     /* the states that are changed */
};

static const struct db_statement pause_statement = {"pause", sql_pause};
static const struct db_statement resume_statement = {"resume", sql_resume};

static void print_json(const struct db_result *result, int row)
{
    struct buf line CV_CLEANUP(buf_done);
    struct json_writer json;
    buf_init(&line, LINE_MAX_BYTES);
    json_begin(&json, &line);
    json_open_object(&json, NULL);
    json_put_str(&json, "topic", db_str(result, row, 0));
    json_put_int(&json, "partition", db_int4(result, row, 1));
    json_put_int(&json, "next_offset", db_int8(result, row, 2));
    json_close(&json);
    buf_byte(&line, '\n');
    output_buf(&line);
}

static enum cv_status change_and_print(struct operation *operation, const struct state_change *change, int *out_count,
                                       struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    operation_args(operation, &args);
    operation_audit_args(operation, &args);
    enum cv_status status = operation_run(operation, change->statement, &args, &result, err);
    if (status != CV_OK)
        return status;
    *out_count = db_rows(result);
    for (int row = 0; row < *out_count; row++) {
        struct str topic = db_str(result, row, 0);
        if (config_flag(operation->config, "json"))
            print_json(result, row);
        else
            printf("%.*s/%d %s offset %" PRId64 "\n", (int)topic.len, topic.ptr, db_int4(result, row, 1),
                   change->outcome, db_int8(result, row, 2));
    }
    return CV_OK;
}

/* Changes the partitions that the options select, records that in ctl.audit, and prints them. Returns the exit code. */
static int run(const struct config *config, const struct state_change *change)
{
    struct err err = ERR_INIT;
    struct operation operation;
    int count = 0;
    enum cv_status status = operation_open(&operation, config, change->command, &err);
    if (status == CV_OK)
        status = change_and_print(&operation, change, &count, &err);
    int exit_code = count > 0 ? CV_EXIT_OK : CV_EXIT_NO;
    if (status != CV_OK) {
        exit_code = operation_failed(change->command, status, &err);
    } else if (count == 0) {
        char what[300];
        operation_describe(&operation, what, sizeof what);
        fprintf(stderr, "caseview %s: no partition of %s is %s; `caseview cursor show` lists them\n", change->command,
                what, change->from);
    }
    operation_close(&operation);
    return exit_code;
}

int pause_main(const struct config *config)
{
    static const struct state_change pause = {"pause", &pause_statement, "paused at", "live"};
    return run(config, &pause);
}

int resume_main(const struct config *config)
{
    static const struct state_change resume = {"resume", &resume_statement, "resumed at", "halted or paused"};
    return run(config, &resume);
}
