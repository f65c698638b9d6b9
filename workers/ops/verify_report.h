/*
 * verify_report.h: what `caseview verify` finds: differences, printed at once or collected for one JSON object, and
 * what cannot be compared. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_REPORT_H
#define CASEVIEW_OPS_VERIFY_REPORT_H

#include "caseview/buf.h"
#include "caseview/json.h"

/* Why something is not compared, which is no difference. */
enum verify_unknown {
    UNKNOWN_HISTORY,   /* the log's start is gone, or too many sequence numbers are missing */
    UNKNOWN_AHEAD,     /* the partition is being read again: its rows contain events at or after its cursor */
    UNKNOWN_SWEPT,     /* over for longer than tombstone-days: the row was deleted */
    UNKNOWN_COMPACTED, /* the directory's row has a version that compaction removed from the log */
    UNKNOWN_NAMES,     /* the partition has not applied all changes of the directory */
    UNKNOWN_COUNT,     /* it is compared */
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
/* key: "case 3f…". Printed at once; with as_json the first 10,000 or 64 MiB are kept, all are counted. */
void report_difference(struct verify_report *report, const char *key, const char *field, struct str row,
                       struct str log);
/* The same with the signature of struct difference_sink; context is a struct verify_key_report. */
struct verify_key_report {
    struct verify_report *report;
    const char *key;
};
void verify_key_difference(void *context, const char *field, struct str row, struct str log);
/* Prints figures, what is unknown, and the verdict. */
void report_print(struct verify_report *report);

#endif
