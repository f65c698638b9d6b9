#include "workers/ops/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "caseview/json.h"
#include "caseview/log.h"
#include "caseview/output.h"
#include "sql_worker.h"
#include "workers/ops/broker_options.h"
#include "workers/ops/operation.h"
#include "workers/source/watermarks.h"

#define OUTPUT_MAX       (1u << 20) /* of a line */
#define KAFKA_TIMEOUT_MS 10000

static const struct db_statement show_statement = {"cursor_show", sql_cursor_show};
static const struct db_statement set_statement = {"cursor_set", sql_cursor_set};

/* ---- show ---- */

enum {
    COL_TOPIC,
    COL_PART,
    COL_NEXT,
    COL_LAST,
    COL_DIR_NO,
    COL_STATE,
    COL_REASON,
    COL_OWNER,
    COL_COMPLETE,
    COL_UPDATED
};

static int64_t time_or_none(const struct db_result *result, int row, int column)
{
    return db_is_null(result, row, column) ? INT64_MIN : db_time(result, row, column);
}

static void show_json(const struct db_result *result, int row, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_object(&json, NULL);
    json_put_str(&json, "topic", db_str(result, row, COL_TOPIC));
    json_put_int(&json, "partition", db_int4(result, row, COL_PART));
    json_put_int(&json, "next_offset", db_int8(result, row, COL_NEXT));
    json_put_known(&json, "last_record_offset",
                   db_is_null(result, row, COL_LAST) ? -1 : db_int8(result, row, COL_LAST));
    json_put_int(&json, "directory_number", db_int8(result, row, COL_DIR_NO));
    json_put_str(&json, "state", db_str(result, row, COL_STATE));
    json_put_str(&json, "reason", db_str(result, row, COL_REASON));
    json_put_str(&json, "owner", db_str(result, row, COL_OWNER));
    json_put_time(&json, "complete_at", time_or_none(result, row, COL_COMPLETE));
    json_put_time(&json, "updated_at", time_or_none(result, row, COL_UPDATED));
    json_close(&json);
    buf_byte(out, '\n');
}

static void show_line(const struct db_result *result, int row, struct buf *out)
{
    struct str topic = db_str(result, row, COL_TOPIC), state = db_str(result, row, COL_STATE);
    struct str owner = db_str(result, row, COL_OWNER), reason = db_str(result, row, COL_REASON);
    if (row == 0)
        buf_printf(out, "%-20s %4s  %-7s %14s %14s  %-24s %s\n", "topic", "part", "state", "next", "last record",
                   "owner", "reason");
    char last[24] = "-";
    if (!db_is_null(result, row, COL_LAST))
        snprintf(last, sizeof last, "%" PRId64, db_int8(result, row, COL_LAST));
    buf_printf(out, "%-20.*s %4d  %-7.*s %14" PRId64 " %14s  %-24.*s %.*s\n", (int)topic.len, topic.ptr,
               db_int4(result, row, COL_PART), (int)state.len, state.ptr, db_int8(result, row, COL_NEXT), last,
               (int)owner.len, owner.ptr != NULL ? owner.ptr : "", (int)reason.len,
               reason.ptr != NULL ? reason.ptr : "");
}

static enum cv_status show(struct operation *operation, int *out_count, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    struct buf out CV_CLEANUP(buf_done);
    buf_init(&out, OUTPUT_MAX);
    operation_args(operation, &args);
    enum cv_status status = db_exec(operation->db, &show_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_count = db_rows(result);
    for (int row = 0; row < *out_count; row++) {
        buf_reset(&out);
        if (config_flag(operation->config, "json"))
            show_json(result, row, &out);
        else
            show_line(result, row, &out);
        output_buf(&out);
    }
    db_result_free(result);
    return CV_OK;
}

/* ---- set ---- */

/* Wrong usage is reported before connecting. */
static bool may_set(const struct config *config)
{
    const char *topic = config_text(config, "topic");
    if (topic == NULL || !config_is_set(config, "partition") || !config_is_set(config, "offset")) {
        fprintf(stderr, "caseview cursor set: needs --topic, --partition and --offset\n");
        return false;
    }
    if (!config_flag(config, "force")) {
        fprintf(
            stderr,
            "caseview cursor set: skipped records are never folded, stored or counted; while a directory topic is read "
            "again, its entities may show an older state: add --force to do it\n");
        return false;
    }
    return true;
}

static enum cv_status check_range(const struct config *config, const struct watermark *ends, size_t count,
                                  struct err *err)
{
    const char *topic = config_text(config, "topic");
    int64_t offset = config_int(config, "offset"), part = config_int(config, "partition");
    for (size_t i = 0; i < count; i++) {
        if (ends[i].partition != part || ends[i].end < 0)
            continue;
        /* 0 is always allowed: the worker starts at the first retained record. */
        if (offset == 0 || (offset >= ends[i].low && offset <= ends[i].end))
            return CV_OK;
        err_set(err,
                "offset %" PRId64 " is not in the log: %s/%" PRId64 " has %" PRId64 " to %" PRId64 " (0: its start)",
                offset, topic, part, ends[i].low, ends[i].end);
        return CV_FATAL;
    }
    log_warn("cursor set: %s/%" PRId64 ": offset %" PRId64 " is not checked: the partition has no leader now", topic,
             part, offset);
    return CV_OK;
}

/* Offsets outside the log are refused, if a broker is given and answers. */
static enum cv_status check_log(const struct config *config, struct err *err)
{
    struct watermark *ends CV_CLEANUP(cv_free_ptr) = NULL;
    size_t count, end_count = 0;
    const char *topic = config_text(config, "topic");
    if (!broker_is_given(config)) {
        log_warn("cursor set: the offset is not checked against the log: no broker was given (--kafka "
                 "bootstrap.servers=HOST:PORT)");
        return CV_OK;
    }
    const struct config_property *properties = config_pairs(config, "kafka", &count);
    enum cv_status status = watermarks_read(properties, count, &topic, 1, KAFKA_TIMEOUT_MS, &ends, &end_count, err);
    if (status == CV_RETRY) {
        log_warn("cursor set: the offset is not checked against the log: %s", err->text);
        return CV_OK;
    }
    return status == CV_OK ? check_range(config, ends, end_count, err) : status;
}

static void print_set(const struct operation *operation, const struct db_result *result)
{
    struct str topic = db_str(result, 0, 0), state = db_str(result, 0, 4);
    if (config_flag(operation->config, "json")) {
        struct buf line CV_CLEANUP(buf_done);
        struct json_writer json;
        buf_init(&line, OUTPUT_MAX);
        json_begin(&json, &line);
        json_open_object(&json, NULL);
        json_put_str(&json, "topic", topic);
        json_put_int(&json, "partition", db_int4(result, 0, 1));
        json_put_int(&json, "old_offset", db_int8(result, 0, 2));
        json_put_int(&json, "next_offset", db_int8(result, 0, 3));
        json_put_str(&json, "state", state);
        json_close(&json);
        buf_byte(&line, '\n');
        output_buf(&line);
        return;
    }
    printf("%.*s/%d: offset %" PRId64 ", it was %" PRId64 "\n", (int)topic.len, topic.ptr, db_int4(result, 0, 1),
           db_int8(result, 0, 3), db_int8(result, 0, 2));
    if (str_eq(state, STR("live")))
        return;
    struct buf command CV_CLEANUP(buf_done);
    buf_init(&command, 128);
    operation_put_command(operation->config, &command, "resume");
    printf("the partition is %.*s: %s --topic %.*s --partition %d\n", (int)state.len, state.ptr, command.data,
           (int)topic.len, topic.ptr, db_int4(result, 0, 1));
}

static enum cv_status set(struct operation *operation, int *out_count, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    enum cv_status status = check_log(operation->config, err);
    if (status != CV_OK)
        return status;
    operation_args(operation, &args);
    operation_audit_args(operation, &args);
    db_arg_int8(&args, config_int(operation->config, "offset"));
    status = operation_run(operation, &set_statement, &args, &result, err);
    if (status != CV_OK)
        return status;
    *out_count = db_rows(result);
    if (*out_count > 0)
        print_set(operation, result);
    db_result_free(result);
    return CV_OK;
}

int cursor_main(const struct config *config)
{
    bool sets = strcmp(config_operand(config, 0), "set") == 0;
    const char *command = sets ? "cursor set" : "cursor show";
    struct err err = ERR_INIT;
    struct operation operation;
    int count = 0;
    if (sets && !may_set(config))
        return CV_EXIT_USAGE;
    enum cv_status status = operation_open(&operation, config, command, &err);
    if (status == CV_OK)
        status = sets ? set(&operation, &count, &err) : show(&operation, &count, &err);
    int exit_code = count > 0 ? CV_EXIT_OK : CV_EXIT_NO;
    if (status != CV_OK) {
        exit_code = operation_failed(command, status, &err);
    } else if (count == 0) {
        char what[300];
        operation_describe(&operation, what, sizeof what);
        fprintf(stderr, "caseview %s: generation %d has no cursor of %s: no worker has read it yet\n", command,
                operation.gen, what);
    }
    operation_close(&operation);
    return exit_code;
}
