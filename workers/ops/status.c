#include "workers/ops/commands.h"

#include <math.h>
#include <stdio.h>

#include "caseview/json.h"
#include "caseview/output.h"
#include "caseview/stop.h"
#include "workers/ops/operation.h"
#include "workers/ops/status_advice.h"
#include "workers/ops/status_data.h"

#define OUTPUT_MAX (16u << 20)
#define WATCH_MS   1000

static void put_line(struct json_writer *json, struct buf *table, struct buf *line)
{
    struct str text = {line->data, line->len};
    if (json != NULL)
        json_put_str(json, NULL, text);
    else
        buf_printf(table, "  %.*s\n", (int)text.len, text.ptr);
    buf_reset(line);
}

/* Appends the commands to run next: items of the open array, or lines of the table. */
static void put_next(const struct config *config, const struct status_data *data, struct json_writer *json,
                     struct buf *table)
{
    struct buf line CV_CLEANUP(buf_done);
    buf_init(&line, OUTPUT_MAX);
    if (status_advise_kafka(data, &line))
        put_line(json, table, &line);
    if (status_advise_rebuild(data, &line))
        put_line(json, table, &line);
    for (size_t i = 0; i < data->partition_count; i++)
        if (status_advise_partition(config, &data->partitions[i], &line))
            put_line(json, table, &line);
    if (status_advise_degraded(config, data, &line))
        put_line(json, table, &line);
    if (status_advise_incomplete(config, data, &line))
        put_line(json, table, &line);
}

static void print_json(const struct config *config, const struct status_data *data, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_object(&json, NULL);
    json_put_bool(&json, "healthy", data->healthy);
    json_put_int(&json, "generation", data->gen);
    json_put_str(&json, "generation_state", data->generation_state);
    json_put_int(&json, "parked", data->parked);
    json_put_int(&json, "degraded", data->degraded);
    json_put_int(&json, "incomplete", data->incomplete);
    json_put_int(&json, "listed", data->listed);
    json_put_int(&json, "agents", data->agents);
    json_put_text(&json, "kafka_problem", data->kafka_problem[0] ? data->kafka_problem : NULL);
    json_open_array(&json, "partitions");
    for (size_t i = 0; i < data->partition_count; i++) {
        const struct status_partition *partition = &data->partitions[i];
        json_open_object(&json, NULL);
        json_put_str(&json, "topic", partition->topic);
        json_put_int(&json, "partition", partition->part);
        json_put_str(&json, "state", partition->state);
        json_put_str(&json, "reason", partition->reason);
        json_put_known(&json, "next_offset", partition->has_cursor ? partition->next_offset : -1);
        json_put_known(&json, "end_offset", partition->end_offset);
        json_put_known(&json, "lag", partition->lag);
        json_put_double(&json, "lag_seconds", partition->lag_seconds < 0 ? NAN : partition->lag_seconds);
        json_put_str(&json, "owner", partition->owner);
        json_put_int(&json, "claims", partition->claims);
        json_put_int(&json, "parked", partition->parked);
        json_put_time(&json, "complete_at", partition->complete_at);
        json_put_time(&json, "updated_at", partition->updated_at);
        json_close(&json);
    }
    json_close(&json);
    json_open_array(&json, "next");
    put_next(config, data, &json, NULL);
    json_close(&json);
    json_close(&json);
    buf_byte(out, '\n');
}

static const char *number_or_dash(int64_t number, char text[24])
{
    if (number < 0)
        return "-";
    snprintf(text, 24, "%" PRId64, number);
    return text;
}

static void print_table(const struct config *config, const struct status_data *data, struct buf *out)
{
    buf_printf(out, "generation %d (%.*s)   %s\n", data->gen, (int)data->generation_state.len,
               data->generation_state.ptr != NULL ? data->generation_state.ptr : "",
               data->healthy ? "healthy" : "NOT HEALTHY");
    buf_printf(out,
               "listed cases %" PRId64 "   agents %" PRId64 "   parked %" PRId64 "   degraded %" PRId64
               "   incomplete %" PRId64 "\n\n",
               data->listed, data->agents, data->parked, data->degraded, data->incomplete);
    if (data->kafka_problem[0] != '\0')
        buf_printf(out, "end offsets unavailable: %s\n\n", data->kafka_problem);
    buf_printf(out, "%-20s %4s  %-9s %14s %14s %10s %9s %8s  %-24s %s\n", "topic", "part", "state", "next", "end",
               "lag", "lag s", "parked", "owner", "reason");
    for (size_t i = 0; i < data->partition_count; i++) {
        const struct status_partition *p = &data->partitions[i];
        char next[24], end[24], lag[24], age[24] = "-";
        if (p->lag_seconds >= 0)
            snprintf(age, sizeof age, "%.1f", p->lag_seconds);
        buf_printf(
            out, "%-20.*s %4d  %-9.*s %14s %14s %10s %9s %8" PRId64 "  %-24.*s %.*s\n", (int)p->topic.len, p->topic.ptr,
            p->part, (int)p->state.len, p->state.ptr, number_or_dash(p->has_cursor ? p->next_offset : -1, next),
            number_or_dash(p->end_offset, end), number_or_dash(p->lag, lag), age, p->parked, (int)p->owner.len,
            p->owner.ptr != NULL ? p->owner.ptr : "", (int)p->reason.len, p->reason.ptr != NULL ? p->reason.ptr : "");
    }
    struct buf next CV_CLEANUP(buf_done);
    buf_init(&next, OUTPUT_MAX);
    put_next(config, data, NULL, &next);
    if (next.len > 0)
        buf_printf(out, "\nnext:\n%.*s", (int)next.len, next.data);
}

static enum cv_status show(const struct config *config, struct db *db, struct status_data *data, struct err *err)
{
    struct buf out CV_CLEANUP(buf_done);
    buf_init(&out, OUTPUT_MAX);
    do {
        enum cv_status status = status_read(config, db, data, err);
        if (status != CV_OK)
            return status;
        buf_reset(&out);
        if (config_flag(config, "watch"))
            buf_puts(&out, "\033[H\033[2J");
        if (config_flag(config, "json"))
            print_json(config, data, &out);
        else
            print_table(config, data, &out);
        output_buf(&out);
    } while (output_flush() && config_flag(config, "watch") && !stop_wait(WATCH_MS));
    return CV_OK;
}

int status_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    struct status_data data = {.arena = arena_new(1u << 16, 64u << 20)};
    enum cv_status status = operation_connect(config, "status", &db, &data.gen, &err);
    if (status == CV_OK)
        status = show(config, db, &data, &err);
    int exit_code = config_flag(config, "check") && !data.healthy ? CV_EXIT_NO : CV_EXIT_OK;
    if (status != CV_OK)
        exit_code = operation_failed("status", status, &err);
    db_close(db);
    free(data.partitions);
    arena_free(data.arena);
    return exit_code;
}
