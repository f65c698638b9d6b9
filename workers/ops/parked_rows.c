#include "workers/ops/parked_rows.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/broker_options.h"
#include "workers/source/decode.h"

#define REGISTRY_WAIT_MS 200

static const struct db_statement count_statement = {"parked_count", sql_parked_count};
static const struct db_statement page_statement = {"parked_page", sql_parked_page};

void parked_args(struct operation *operation, struct db_args *args)
{
    operation_args(operation, args);
    operation_offset_arg(operation, args);
}

enum cv_status parked_count(struct operation *operation, int64_t *out_count, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    parked_args(operation, &args);
    enum cv_status status = db_exec(operation->db, &count_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_count = db_int8(result, 0, 0);
    return CV_OK;
}

enum cv_status parked_page(struct operation *operation, const struct parked_place *place, int most,
                           struct db_result **out_result, struct err *err)
{
    struct db_args args;
    parked_args(operation, &args);
    db_arg_text(&args, str_of(place->topic));
    db_arg_int4(&args, place->part);
    db_arg_int8(&args, place->offset);
    db_arg_int8(&args, most);
    return db_exec(operation->db, &page_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
}

void parked_row(const struct db_result *result, int row, struct parked_row *out_row)
{
    *out_row = (struct parked_row){
        .topic = db_str(result, row, 0),
        .part = db_int4(result, row, 1),
        .offset = db_int8(result, row, 2),
        .reason = db_str(result, row, 3),
        .text = db_str(result, row, 4),
        .has_organization = !db_is_null(result, row, 5),
        .key = db_str(result, row, 6),
        .value = db_str(result, row, 7),
        .record_us = db_is_null(result, row, 8) ? INT64_MIN : db_time(result, row, 8),
        .parked_us = db_time(result, row, 9),
        .headers = db_str(result, row, 10),
    };
    if (out_row->has_organization)
        out_row->organization_id = db_uuid(result, row, 5);
}

void parked_place(const struct parked_row *row, struct parked_place *out_place)
{
    snprintf(out_place->topic, sizeof out_place->topic, "%.*s", (int)row->topic.len, row->topic.ptr);
    out_place->part = row->part;
    out_place->offset = row->offset;
}

int parked_none(const struct config *config, const char *command)
{
    bool chosen = config_is_set(config, "topic") || config_is_set(config, "partition") ||
                  config_is_set(config, "offset");
    fprintf(stderr, "caseview %s: %s\n", command,
            chosen ? "no parked event matches; `caseview parked list` lists all" : "nothing is parked");
    return chosen ? CV_EXIT_NO : CV_EXIT_OK;
}

enum topic parked_role(const struct config *config, struct str topic_name)
{
    const char *names[TOPIC_COUNT];
    topic_names(config, names);
    return topic_role(names, topic_name);
}

/* Headers are not decoded: an event that was too large and decodes now is too large because of its headers. */
static bool has_too_many_headers(const struct parked_row *row)
{
    return str_eq(row->reason, STR("too-large"));
}

enum decode_outcome parked_decode(const struct config *config, struct schemas *schemas, const struct parked_row *row,
                                  struct arena *arena, struct record *out_record, struct decode_result *out,
                                  struct err *err)
{
    *out_record = (struct record){
        .topic = parked_role(config, row->topic),
        .partition = row->part,
        .offset = row->offset,
        .timestamp_ms = row->record_us == INT64_MIN ? -1 : row->record_us / 1000,
        .key = row->key,
        .value = row->value,
    };
    assert(out_record->topic != TOPIC_COUNT);
    int64_t deadline_ms = clock_mono_ms() + config_int(config, "connect-timeout-s") * 1000;
    enum decode_outcome outcome = decode_record(schemas, out_record, arena, out, err);
    while (outcome == DECODE_WAIT && clock_mono_ms() < deadline_ms && !stop_requested()) {
        enum cv_status waited = schemas_wait(schemas, REGISTRY_WAIT_MS);
        (void)waited; /* tries again in either case */
        outcome = decode_record(schemas, out_record, arena, out, err);
    }
    if (outcome == DECODE_EVENT && has_too_many_headers(row)) {
        out->reason = PARK_TOO_LARGE;
        err_set(err, "%.*s", (int)row->text.len, row->text.ptr);
        return DECODE_PARK;
    }
    return outcome;
}
