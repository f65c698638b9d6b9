#include "workers/ops/verify_report.h"

#include <stdio.h>

#include "caseview/output.h"

#define KEPT_MAX   10000       /* most differences in the JSON object; all are counted */
#define KEPT_BYTES (64u << 20) /* with so many bytes of them no further one is kept */
#define VALUE_MAX  400         /* most bytes of a value in a text line */
#define OUTPUT_MAX (512u << 20)

static const char *const unknown_names[UNKNOWN_COUNT] = {
    [UNKNOWN_HISTORY] = "history",     [UNKNOWN_AHEAD] = "ahead", [UNKNOWN_SWEPT] = "swept",
    [UNKNOWN_COMPACTED] = "compacted", [UNKNOWN_NAMES] = "names",
};

static const char *const unknown_texts[UNKNOWN_COUNT] = {
    [UNKNOWN_HISTORY] =
        "row is newer than the retained log: its start is gone, or too many sequence numbers are missing",
    [UNKNOWN_AHEAD] = "row contains events at or after the cursor: a partition is being read again",
    [UNKNOWN_SWEPT] = "case is over, its row was deleted after tombstone-days",
    [UNKNOWN_COMPACTED] = "directory row has a version that compaction removed from the log",
    [UNKNOWN_NAMES] = "row shows older names, its partition lags: verify again when `caseview status` shows no lag",
};

void report_init(struct verify_report *report, bool as_json)
{
    *report = (struct verify_report){.as_json = as_json};
    buf_init(&report->json, OUTPUT_MAX);
    json_begin(&report->writer, &report->json);
    json_open_object(&report->writer, NULL);
    json_open_array(&report->writer, "differences");
}

void report_done(struct verify_report *report)
{
    buf_done(&report->json);
}

/* The start of a long value, without a cut character. */
static struct str cut(struct str value)
{
    if (value.ptr == NULL)
        return STR("null");
    if (value.len <= VALUE_MAX)
        return value;
    size_t len = VALUE_MAX;
    while (len > 0 && ((unsigned char)value.ptr[len] & 0xC0) == 0x80)
        len--;
    return (struct str){value.ptr, len};
}

void report_difference(struct verify_report *report, const char *key, const char *field, struct str row, struct str log)
{
    report->differences++;
    if (!report->as_json) {
        struct str a = cut(row), b = cut(log);
        printf("%s: %s: the row says %.*s%s, the log says %.*s%s\n", key, field, (int)a.len, a.ptr,
               a.len < row.len ? "…" : "", (int)b.len, b.ptr, b.len < log.len ? "…" : "");
        return;
    }
    if (report->differences > KEPT_MAX || report->json.len > KEPT_BYTES)
        return;
    json_open_object(&report->writer, NULL);
    json_put_text(&report->writer, "key", key);
    json_put_text(&report->writer, "field", field);
    json_put_str(&report->writer, "row", row);
    json_put_str(&report->writer, "log", log);
    json_close(&report->writer);
}

void verify_key_difference(void *context, const char *field, struct str row, struct str log)
{
    const struct verify_key_report *key_report = context;
    report_difference(key_report->report, key_report->key, field, row, log);
}

static void print_json(struct verify_report *report)
{
    struct json_writer *json = &report->writer;
    json_close(json);
    json_put_bool(json, "agrees", report->differences == 0);
    json_put_int(json, "difference_count", report->differences);
    json_put_int(json, "sample", report->sample);
    json_put_int(json, "records", report->records);
    json_put_int(json, "left_out", report->left_out);
    json_open_object(json, "compared");
    json_put_int(json, "cases", report->cases);
    json_put_int(json, "listed", report->listed);
    json_put_int(json, "agents", report->agents);
    json_put_int(json, "entities", report->entities);
    json_close(json);
    json_open_object(json, "unknown");
    for (size_t i = 0; i < UNKNOWN_COUNT; i++)
        json_put_int(json, unknown_names[i], report->unknown[i]);
    json_close(json);
    json_close(json);
    buf_byte(&report->json, '\n');
    output_buf(&report->json);
}

void report_print(struct verify_report *report)
{
    if (report->as_json) {
        print_json(report);
        return;
    }
    printf("compared %" PRId64 " cases (%" PRId64 " listed), %" PRId64 " agents and %" PRId64
           " directory entities with %" PRId64 " records of the log",
           report->cases, report->listed, report->agents, report->entities, report->records);
    if (report->left_out > 0)
        printf(" (%" PRId64 " parked or skipped ones left out)", report->left_out);
    if (report->sample < 100)
        printf("; a sample of %" PRId64 " %%", report->sample);
    printf("\n");
    for (size_t i = 0; i < UNKNOWN_COUNT; i++)
        if (report->unknown[i] > 0)
            printf("unknown, %" PRId64 " times: %s\n", report->unknown[i], unknown_texts[i]);
    if (report->differences == 0)
        printf("no difference\n");
    else
        printf("%" PRId64
               " differences: see `caseview explain`, fix cases and agents with `caseview repair`, directory "
               "rows by publishing the entity with a greater version\n",
               report->differences);
}
