#include "workers/ops/commands.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/json.h"
#include "caseview/output.h"
#include "sql_worker.h"
#include "workers/ops/parked_print.h"
#include "workers/ops/parked_retry.h"
#include "workers/ops/parked_rows.h"
#include "workers/source/decode.h"

#define OUTPUT_MAX  (1u << 30)
#define PAGE        500
#define KEY_COLUMNS 48

static const struct db_statement list_statement = {"parked_list", sql_parked_list};
static const struct db_statement skip_statement = {"parked_skip", sql_parked_skip};

/* The outcome of a sub-command. */
struct found {
    int64_t count;
};

/* ---- list ---- */

enum { COL_TOPIC, COL_PART, COL_OFFSET, COL_REASON, COL_TEXT, COL_ORGANIZATION, COL_KEY, COL_BYTES, COL_PARKED };

static void put_key(struct buf *out, struct str key)
{
    buf_reset(out);
    if (key.ptr == NULL)
        buf_puts(out, "-");
    else
        parked_print_readable(out, (struct str){key.ptr, key.len < KEY_COLUMNS ? key.len : KEY_COLUMNS});
}

static void list_json(const struct db_result *result, int row, struct str key, struct buf *out)
{
    struct json_writer json;
    bool known = !db_is_null(result, row, COL_ORGANIZATION);
    struct uuid organization = known ? db_uuid(result, row, COL_ORGANIZATION) : (struct uuid){{0}};
    json_begin(&json, out);
    json_open_object(&json, NULL);
    json_put_str(&json, "topic", db_str(result, row, COL_TOPIC));
    json_put_int(&json, "partition", db_int4(result, row, COL_PART));
    json_put_int(&json, "offset", db_int8(result, row, COL_OFFSET));
    json_put_str(&json, "reason", db_str(result, row, COL_REASON));
    json_put_str(&json, "text", db_str(result, row, COL_TEXT));
    json_put_uuid(&json, "organization_id", known ? &organization : NULL);
    json_put_str(&json, "key_text", db_is_null(result, row, COL_KEY) ? STR_NULL : key);
    json_put_int(&json, "value_bytes", db_is_null(result, row, COL_BYTES) ? 0 : db_int4(result, row, COL_BYTES));
    json_put_time(&json, "parked_at", db_time(result, row, COL_PARKED));
    json_close(&json);
    buf_byte(out, '\n');
}

static void list_line(const struct db_result *result, int row, struct str key, struct buf *out)
{
    struct str topic = db_str(result, row, COL_TOPIC), reason = db_str(result, row, COL_REASON);
    struct str text = db_str(result, row, COL_TEXT);
    char parked[CLOCK_ISO_MAX + 1];
    parked[clock_iso(db_time(result, row, COL_PARKED) / 1000000 * 1000000, parked)] = '\0';
    if (row == 0)
        buf_printf(out, "%-20s %4s %12s  %-20s  %-14s %9s  %-36s  %s\n", "topic", "part", "offset", "parked at",
                   "reason", "bytes", "key", "text");
    buf_printf(out, "%-20.*s %4d %12" PRId64 "  %-20s  %-14.*s %9d  %-36.*s  %.*s\n", (int)topic.len, topic.ptr,
               db_int4(result, row, COL_PART), db_int8(result, row, COL_OFFSET), parked, (int)reason.len, reason.ptr,
               db_is_null(result, row, COL_BYTES) ? 0 : db_int4(result, row, COL_BYTES), (int)key.len, key.ptr,
               (int)text.len, text.ptr);
}

static enum cv_status list(struct operation *operation, struct found *found, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    bool json = config_flag(operation->config, "json");
    enum cv_status status = parked_count(operation, &found->count, err);
    if (status != CV_OK)
        return status;
    parked_args(operation, &args);
    db_arg_int8(&args, config_int(operation->config, "limit"));
    status = db_exec(operation->db, &list_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    struct buf out CV_CLEANUP(buf_done), key CV_CLEANUP(buf_done);
    buf_init(&out, OUTPUT_MAX);
    buf_init(&key, 2 * KEY_COLUMNS);
    int rows = db_rows(result);
    for (int row = 0; row < rows; row++) {
        buf_reset(&out);
        put_key(&key, db_str(result, row, COL_KEY));
        struct str text = {key.data != NULL ? key.data : "", key.len};
        if (json)
            list_json(result, row, text, &out);
        else
            list_line(result, row, text, &out);
        output_buf(&out);
    }
    if (!json && found->count > rows)
        printf("%" PRId64 " in all, %d shown: --limit shows more, --topic and --partition select\n", found->count,
               rows);
    else if (!json && rows > 0)
        printf("%" PRId64 " in all\n", found->count);
    return CV_OK;
}

/* ---- show and export ---- */

/* Decodes the event as a worker would now; out: the outcome in one line. */
static enum cv_status decoding_now(const struct config *config, const struct parked_row *row, char *out, size_t size,
                                   struct err *err)
{
    struct schemas *schemas;
    struct record record;
    struct decode_result result;
    struct err why = ERR_INIT;
    if (parked_role(config, row->topic) == TOPIC_COUNT) {
        snprintf(out, size, "not tried: the topic is not case-topic, agent-topic or directory-topic");
        return CV_OK;
    }
    enum cv_status status = schemas_open_options(config, &schemas, err);
    if (status != CV_OK)
        return status;
    struct arena *arena = arena_new(1u << 16, 2 * DECODE_ARENA_MAX);
    switch (parked_decode(config, schemas, row, arena, &record, &result, &why)) {
    case DECODE_EVENT:
        snprintf(out, size, "good: `caseview parked retry` folds it");
        break;
    case DECODE_SKIP:
        snprintf(out, size, "of an unknown type: `caseview parked retry` removes it without effect");
        break;
    case DECODE_PARK:
        snprintf(out, size, "%s: %s", park_reason_name(result.reason), why.text);
        break;
    case DECODE_WAIT:
        snprintf(out, size, "not known: %s", why.text);
        break;
    }
    arena_free(arena);
    schemas_close(schemas);
    return CV_OK;
}

static enum cv_status show(struct operation *operation, struct found *found, struct err *err)
{
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    const struct parked_place beginning = {.part = -1};
    enum cv_status status = parked_page(operation, &beginning, 1, &result, err);
    if (status != CV_OK)
        return status;
    found->count = db_rows(result);
    if (found->count > 0) {
        struct parked_row row;
        char decoding[700];
        struct buf out CV_CLEANUP(buf_done);
        buf_init(&out, OUTPUT_MAX);
        parked_row(result, 0, &row);
        status = decoding_now(operation->config, &row, decoding, sizeof decoding, err);
        if (status == CV_OK) {
            parked_print_show(&row, decoding, config_flag(operation->config, "json"), &out);
            output_buf(&out);
        }
    }
    return status;
}

static enum cv_status export_pages(struct operation *operation, struct found *found, struct err *err)
{
    struct parked_place place = {.part = -1};
    struct buf out CV_CLEANUP(buf_done);
    buf_init(&out, OUTPUT_MAX);
    for (;;) {
        struct db_result *result CV_CLEANUP(db_result_done) = NULL;
        enum cv_status status = parked_page(operation, &place, PAGE, &result, err);
        if (status != CV_OK)
            return status;
        int rows = db_rows(result);
        for (int i = 0; i < rows; i++) {
            struct parked_row row;
            buf_reset(&out);
            parked_row(result, i, &row);
            parked_print_export(&row, &out);
            output_buf(&out);
            parked_place(&row, &place);
        }
        if (rows == 0)
            return CV_OK;
        if (!output_flush()) {
            err_set(err, "standard output cannot be written");
            return CV_FATAL;
        }
        found->count += rows;
    }
}

/* ---- skip ---- */

static void skip_json(const struct db_result *result, int row)
{
    struct buf line CV_CLEANUP(buf_done);
    struct json_writer json;
    buf_init(&line, OUTPUT_MAX);
    json_begin(&json, &line);
    json_open_object(&json, NULL);
    json_put_str(&json, "topic", db_str(result, row, 0));
    json_put_int(&json, "partition", db_int4(result, row, 1));
    json_put_int(&json, "offset", db_int8(result, row, 2));
    json_put_str(&json, "reason", db_str(result, row, 3));
    json_close(&json);
    buf_byte(&line, '\n');
    output_buf(&line);
}

static enum cv_status skip(struct operation *operation, struct found *found, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    operation_args(operation, &args);
    operation_audit_args(operation, &args);
    operation_offset_arg(operation, &args);
    enum cv_status status = operation_run(operation, &skip_statement, &args, &result, err);
    if (status != CV_OK)
        return status;
    found->count = db_rows(result);
    for (int row = 0; row < db_rows(result); row++) {
        struct str topic = db_str(result, row, 0), reason = db_str(result, row, 3);
        if (config_flag(operation->config, "json"))
            skip_json(result, row);
        else
            printf("%.*s/%d offset %" PRId64 " (%.*s) skipped\n", (int)topic.len, topic.ptr, db_int4(result, row, 1),
                   db_int8(result, row, 2), (int)reason.len, reason.ptr);
    }
    return CV_OK;
}

/* ---- the command ---- */

static const struct subcommand {
    const char *word, *name;
    enum cv_status (*run)(struct operation *operation, struct found *found, struct err *err);
    const char *needs[3]; /* required options */
} subcommands[] = {
    {"list", "parked list", list, {NULL}},
    {"show", "parked show", show, {"topic", "partition", "offset"}},
    {"export", "parked export", export_pages, {NULL}},
    {"skip", "parked skip", skip, {"topic", "reason", NULL}},
};

static int run(const struct config *config, const struct subcommand *subcommand)
{
    struct err err = ERR_INIT;
    struct operation operation;
    struct found found = {0};
    for (size_t i = 0; i < ARRAY_LEN(subcommand->needs) && subcommand->needs[i] != NULL; i++) {
        if (!config_is_set(config, subcommand->needs[i])) {
            fprintf(stderr, "caseview %s: needs --%s\n", subcommand->name, subcommand->needs[i]);
            return CV_EXIT_USAGE;
        }
    }
    enum cv_status status = operation_open(&operation, config, subcommand->name, &err);
    if (status == CV_OK)
        status = subcommand->run(&operation, &found, &err);
    int exit_code = status != CV_OK    ? operation_failed(subcommand->name, status, &err)
                    : found.count == 0 ? parked_none(config, subcommand->name)
                                       : CV_EXIT_OK;
    operation_close(&operation);
    return exit_code;
}

int parked_main(const struct config *config)
{
    const char *word = config_operand(config, 0);
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++)
        if (strcmp(word, subcommands[i].word) == 0)
            return run(config, &subcommands[i]);
    return parked_retry(config);
}
