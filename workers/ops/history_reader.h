/*
 * history_reader.h: what `explain`, `verify` and `repair` share: snapshots of one generation, and Kafka's log
 * decoded, with records marked that are parked or skipped according to a snapshot. Blocking; one thread.
 */
#ifndef CASEVIEW_OPS_HISTORY_READER_H
#define CASEVIEW_OPS_HISTORY_READER_H

#include "caseview/config.h"
#include "caseview/db.h"
#include "workers/fold/event.h"
#include "workers/source/consumer_scan.h"
#include "workers/source/schemas.h"

#define HISTORY_QUERY_TIMEOUT_MS 600000

/* What to say of a generation whose rows for readers are not written; argument: its number. */
#define HISTORY_NOT_RENDERED \
    "the rows for readers of generation %d are not rendered yet: run `caseview rebuild prepare`"

struct history_cursor {
    enum topic topic;
    int32_t part;
    int64_t next_offset, dir_no;
};

/* A record that is parked, or that an operator skipped with `caseview parked skip`. */
struct history_left_out {
    enum topic topic;
    int32_t part;
    int64_t offset;
    int64_t record_ms; /* -1: none */
    int32_t bytes;     /* of key and value */
    bool skipped;
    char reason[24];
};

struct history_reader {
    const struct config *config;
    const char *command;
    int32_t gen;
    int timeout_ms; /* connect-timeout-s */
    const char *topics[TOPIC_COUNT];
    struct db *db; /* search path: the generation */
    bool in_snapshot;
    struct arena *arena; /* of queries */
    struct schemas *schemas;
    struct consumer_scan *scan;
    /* Of the last snapshot: */
    struct history_cursor *cursors;
    size_t cursor_count;
    int64_t dir_clock;
    bool rendered; /* the rows for readers are written; false before `rebuild prepare` has had that done */
    struct history_left_out *left_out; /* read by history_reader_snapshot() only */
    size_t left_out_count;
    bool left_out_shrank; /* a record of the previous list is no longer in it: it was folded meanwhile */
    int64_t progress_ms;
};

/* One record of the log. */
struct history_record {
    const struct record *record;             /* borrowed for the call */
    const struct history_left_out *left_out; /* NULL: it is neither parked nor skipped */
    bool folded;                             /* its offset is below the cursor of the last snapshot */
    enum cv_status decoded;                  /* CV_OK or CV_PARK */
    const struct event *event;               /* CV_OK */
    enum park_reason reason;                 /* CV_PARK */
    const char *text;                        /* CV_PARK */
};

/* What to read, and the callbacks for records. */
struct history_reading {
    unsigned topics;                                                     /* bits 1 << enum topic */
    int64_t (*from)(void *context, enum topic topic, int32_t partition); /* first offset; NULL: all from the start */
    bool (*wants)(void *context, const struct record *record);           /* NULL: all. Asked before decoding */
    enum cv_status (*take)(void *context, const struct history_record *record, struct err *err);
    void *context;
    struct arena *arena; /* holds what is decoded */
    bool keep;           /* false: the arena is reset before each record */
};

/* Connects and reads the schemas. CV_OK, CV_RETRY or CV_FATAL. */
enum cv_status history_reader_open(const struct config *config, const char *command, struct history_reader **out_reader,
                                   struct err *err) CV_MUST_CHECK;
void history_reader_close(struct history_reader *reader);

/*
 * Begins a read-only transaction, after ending the one before, and reads the cursors: all queries on reader->db see
 * the same moment until history_reader_end(). Keep it short: an open snapshot keeps PostgreSQL from removing dead rows.
 */
enum cv_status history_reader_begin(struct history_reader *reader, struct err *err) CV_MUST_CHECK;
/* The same, and reads the list of left-out records. The history of this moment can be read after the snapshot's end. */
enum cv_status history_reader_snapshot(struct history_reader *reader, struct err *err) CV_MUST_CHECK;
enum cv_status history_reader_end(struct history_reader *reader, struct err *err) CV_MUST_CHECK;

/*
 * Reads the topics to the ends that they have when it begins, also beyond the cursors: rows may already contain those
 * records. Prints its progress on standard error once a second.
 */
enum cv_status history_reader_run(struct history_reader *reader, const struct history_reading *reading,
                                  struct err *err) CV_MUST_CHECK;

/* After the run: the partitions as they were read. */
const struct scan_partition *history_reader_partitions(const struct history_reader *reader, size_t *out_count);

/* The entry of the record at this place, with this time and length; NULL: it is neither parked nor skipped. */
const struct history_left_out *history_reader_left_out(const struct history_reader *reader,
                                                       const struct history_left_out *record);
/* -1: the partition has no cursor. */
int64_t history_reader_next_offset(const struct history_reader *reader, enum topic topic, int32_t part);
/* True: the rows of the partition show all names that the directory has in this snapshot. */
bool history_reader_names_current(const struct history_reader *reader, enum topic topic, int32_t part);

#endif
