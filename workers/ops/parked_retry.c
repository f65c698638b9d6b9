#include "workers/ops/parked_retry.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/generation.h"
#include "workers/ops/parked_rows.h"
#include "workers/sink/operator_write.h"
#include "workers/source/decode.h"

#define SLICE         300 /* maximum number of events in one transaction, all of one partition */
#define SHOW_EVERY_MS 1000

static const struct db_statement retried_statement = {"parked_retried", sql_parked_retried};

struct retrying {
    struct operation operation;
    struct schemas *schemas;
    struct operator_write *write;
    int slice;                 /* maximum number of events in the next transaction */
    struct parked_place place; /* after the last event that was tried */
    int64_t all, tried, folded, unknown_topics;
    int64_t started_ms, shown_ms;
    char unknown_topic[256]; /* one of them */
};

static const char *name = "parked retry";

static void show_progress(struct retrying *r)
{
    int64_t now = clock_mono_ms();
    if (now - r->started_ms < SHOW_EVERY_MS || now - r->shown_ms < SHOW_EVERY_MS)
        return;
    r->shown_ms = now;
    fprintf(stderr, "caseview parked retry: %" PRId64 " of %" PRId64 " tried, %" PRId64 " folded\n", r->tried, r->all,
            r->folded);
}

static enum cv_status add(struct retrying *r, const struct parked_row *row, struct err *err)
{
    struct record record;
    struct decode_result result;
    struct err why = ERR_INIT;
    enum decode_outcome outcome = parked_decode(r->operation.config, r->schemas, row, operator_write_arena(r->write),
                                                &record, &result, &why);
    if (outcome == DECODE_WAIT) {
        *err = why;
        return CV_RETRY;
    }
    operator_write_unpark(r->write, &(struct batch_unpark){row->topic, row->part, row->offset});
    if (outcome == DECODE_EVENT)
        operator_write_event(r->write, &record, &result.event);
    if (outcome != DECODE_PARK)
        return CV_OK;                     /* a skipped record is only deleted from `parked` */
    record.key = record.value = STR_NULL; /* the row has them */
    operator_write_still_parked(r->write, &record, row->topic, result.has_organization ? &result.organization_id : NULL,
                                result.reason, why.text);
    return CV_OK;
}

/* Keeps an event parked whose write the database refuses, with that reason. */
static enum cv_status keep_refused(struct retrying *r, const struct parked_row *row, enum operator_outcome *out_outcome,
                                   struct err *err)
{
    enum topic role = parked_role(r->operation.config, row->topic);
    const struct record record = {.topic = role, .partition = row->part, .offset = row->offset, .timestamp_ms = -1};
    operator_write_begin(r->write);
    operator_write_partition(r->write, role, row->part, row->topic);
    operator_write_unpark(r->write, &(struct batch_unpark){row->topic, row->part, row->offset});
    operator_write_still_parked(r->write, &record, row->topic, NULL, PARK_REFUSED_BY_DATABASE, err->text);
    return operator_write_commit(r->write, out_outcome, err);
}

/* Folds the events of the page that are in the partition of its first one. Sets their number and the last place. */
static enum cv_status fold_slice(struct retrying *r, const struct db_result *page, enum topic role,
                                 struct parked_place *out_behind, int64_t *out_count,
                                 enum operator_outcome *out_outcome, struct err *err)
{
    struct parked_row first, row;
    enum cv_status status = CV_OK;
    parked_row(page, 0, &first);
    operator_write_begin(r->write);
    if (role != TOPIC_COUNT)
        operator_write_partition(r->write, role, first.part, first.topic);
    for (int i = 0; i < db_rows(page) && status == CV_OK; i++) {
        parked_row(page, i, &row);
        if (row.part != first.part || !str_eq(row.topic, first.topic))
            break;
        if (role != TOPIC_COUNT)
            status = add(r, &row, err);
        parked_place(&row, out_behind);
        ++*out_count;
    }
    *out_outcome = OPERATOR_WRITTEN;
    if (status == CV_OK && role != TOPIC_COUNT)
        status = operator_write_commit(r->write, out_outcome, err);
    if (status == CV_OK && *out_outcome == OPERATOR_REFUSED && *out_count == 1)
        status = keep_refused(r, &first, out_outcome, err);
    return status;
}

/* Advances past the events written. None is written if another command has removed some of them. */
static enum cv_status write_slice(struct retrying *r, const struct db_result *page, struct err *err)
{
    struct parked_row first;
    struct parked_place behind = r->place;
    enum operator_outcome outcome;
    int64_t count = 0;
    parked_row(page, 0, &first);
    enum topic role = parked_role(r->operation.config, first.topic);
    enum cv_status status = fold_slice(r, page, role, &behind, &count, &outcome, err);
    if (status != CV_OK || outcome == OPERATOR_STALE)
        return status;
    if (outcome == OPERATOR_REFUSED && count == 1) {
        err_prefix(err, "the row of the parked event cannot be changed");
        return CV_FATAL;
    }
    if (outcome == OPERATOR_REFUSED) { /* halves the transaction until the refused event is alone in it */
        r->slice = (int)count / 2;
        return CV_OK;
    }
    r->slice = r->slice * 2 < SLICE ? r->slice * 2 : SLICE;
    r->place = behind;
    r->tried += count;
    if (role != TOPIC_COUNT) {
        r->folded += count - (int64_t)operator_write_left(r->write);
    } else {
        r->unknown_topics += count;
        snprintf(r->unknown_topic, sizeof r->unknown_topic, "%.*s", (int)first.topic.len, first.topic.ptr);
    }
    FAIL_POINT("retry.slice");
    return CV_OK;
}

static enum cv_status retry_all(struct retrying *r, struct err *err)
{
    enum cv_status status = parked_count(&r->operation, &r->all, err);
    int rows = 1;
    while (status == CV_OK && rows > 0) {
        struct db_result *page CV_CLEANUP(db_result_done) = NULL;
        if (stop_requested()) {
            err_set(err, "stopped; the events that were not tried stay parked");
            return CV_RETRY;
        }
        status = parked_page(&r->operation, &r->place, r->slice, &page, err);
        if (status != CV_OK)
            return status;
        rows = db_rows(page);
        if (rows > 0)
            status = write_slice(r, page, err);
        show_progress(r);
    }
    return status;
}

static enum cv_status note(struct retrying *r, struct err *err)
{
    struct db_args args;
    if (r->tried == 0)
        return CV_OK;
    operation_args(&r->operation, &args);
    operation_audit_args(&r->operation, &args);
    operation_offset_arg(&r->operation, &args);
    db_arg_int8(&args, r->tried);
    db_arg_int8(&args, r->folded);
    return db_exec(r->operation.db, &retried_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static void print(const struct retrying *r)
{
    int64_t left = r->tried - r->folded;
    if (config_flag(r->operation.config, "json"))
        printf("{\"tried\":%" PRId64 ",\"folded\":%" PRId64 ",\"left\":%" PRId64 "}\n", r->tried, r->folded, left);
    else
        printf("%" PRId64 " tried, %" PRId64 " folded, %" PRId64 " left%s\n", r->tried, r->folded, left,
               left > 0 ? ": `caseview parked list` shows why" : "");
    if (r->unknown_topics > 0)
        fprintf(stderr,
                "caseview parked retry: %" PRId64
                " of them were not decoded, since their topic, \"%s\" for instance, is "
                "not case-topic, agent-topic or directory-topic\n",
                r->unknown_topics, r->unknown_topic);
}

static int finish(struct retrying *r, enum cv_status status, struct err *err)
{
    struct err note_err = ERR_INIT;
    if (r->operation.db != NULL && note(r, &note_err) != CV_OK && status == CV_OK) {
        *err = note_err;
        status = CV_RETRY;
    }
    if (status != CV_OK) {
        if (r->tried > 0)
            err_prefix(err, "after %" PRId64 " tried and %" PRId64 " folded", r->tried, r->folded);
        return operation_failed(name, status, err);
    }
    if (r->tried == 0)
        return parked_none(r->operation.config, name);
    print(r);
    return r->folded == r->tried ? CV_EXIT_OK : CV_EXIT_NO;
}

int parked_retry(const struct config *config)
{
    struct err err = ERR_INIT;
    struct retrying r = {.slice = SLICE, .place = {.part = -1}, .started_ms = clock_mono_ms()};
    int timeout_ms = (int)config_int(config, "connect-timeout-s") * 1000;
    enum cv_status status = operation_open(&r.operation, config, name, &err);
    if (status == CV_OK)
        status = generation_check_template(r.operation.db, r.operation.gen, &err);
    if (status == CV_OK)
        status = schemas_open_options(config, &r.schemas, &err);
    if (status == CV_OK)
        status = operator_write_open(config_text(config, "database"), r.operation.gen, timeout_ms, &r.write, &err);
    if (status == CV_OK)
        status = retry_all(&r, &err);
    int exit_code = finish(&r, status, &err);
    operator_write_close(r.write);
    schemas_close(r.schemas);
    operation_close(&r.operation);
    return exit_code;
}
