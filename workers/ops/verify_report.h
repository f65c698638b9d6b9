/*
 * verify_report.h: what `caseview verify` finds: differences, told as they come or collected for one JSON object, and
 * what it cannot know. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_REPORT_H
#define CASEVIEW_OPS_VERIFY_REPORT_H

#include "caseview/buf.h"
#include "caseview/json.h"

/* Why something is not compared, which is no difference. */
enum verify_unknown {
    UNKNOWN_HISTORY,   /* the log's start is gone, or too many numbers are missing */
    UNKNOWN_AHEAD,     /* the partition is being read again: its rows know more than lies below its cursor */
    UNKNOWN_SWEPT,     /* over for longer than tombstone-days: the row was deleted */
    UNKNOWN_COMPACTED, /* the directory's row has a version that compaction took from the log */
    UNKNOWN_NAMES,     /* names are still being brought up to date */
    UNKNOWN_COUNT,
};

struct verify_report {
    bool as_json;
    int64_t differences;
    int64_t unknown[UNKNOWN_COUNT];
    int64_t records, left_out;
    int64_t cases, listed, agents, entities; /* rows compared */
    int64_t sample;
    struct buf json; /* the array of differences so far */
    struct json_writer writer;
};

void report_init(struct verify_report *report, bool as_json);
void report_done(struct verify_report *report);
/* key: "case 3f…"; printed at once unless as_json, in which only the first thousands are kept. */
void report_difference(struct verify_report *report, const char *key, const char *field, struct str row,
                       struct str log);
/* The same with the signature of struct difference_sink; context is a struct verify_key_report. */
struct verify_key_report {
    struct verify_report *report;
    const char *key;
};
void verify_key_difference(void *context, const char *field, struct str row, struct str log);
/* The end: figures, what could not be known, the verdict. */
void report_print(struct verify_report *report);

#endif
