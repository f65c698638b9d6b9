/*
 * history_reader.h: what `explain`, `verify` and `repair` share: one consistent snapshot of a generation, and the log
 * as that snapshot has it: decoded, with what was parked or skipped marked. Blocking; one thread.
 */
#ifndef CASEVIEW_OPS_HISTORY_READER_H
#define CASEVIEW_OPS_HISTORY_READER_H

#include "caseview/config.h"
#include "caseview/db.h"
#include "workers/fold/event.h"
#include "workers/source/consumer_scan.h"
#include "workers/source/schemas.h"

#define HISTORY_QUERY_TIMEOUT_MS 600000

struct history_cursor {
    enum topic topic;
    int32_t part;
    int64_t next_offset, dir_no;
};

/* A record that was parked, or given up by `caseview parked skip`. */
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
    struct history_cursor *cursors;
    size_t cursor_count;
    int64_t dir_clock;
    struct history_left_out *left_out;
    size_t left_out_count;
    bool to_end; /* read beyond the cursors, to the end of the log */
    bool quiet;  /* no progress */
    int64_t started_ms, shown_ms;
};

/* One record of the log. */
struct history_record {
    const struct record *record;             /* borrowed for the call */
    const struct history_left_out *left_out; /* NULL: it is folded */
    bool folded;                             /* it lies below the partition's cursor */
    enum cv_status decoded;                  /* CV_OK or CV_PARK */
    const struct event *event;               /* CV_OK */
    enum park_reason reason;                 /* CV_PARK */
    const char *text;                        /* CV_PARK */
};

struct history_reading {
    bool (*wants)(void *context, const struct record *record); /* NULL: all. Asked before decoding */
    enum cv_status (*take)(void *context, const struct history_record *record, struct err *err);
    void *context;
    struct arena *arena; /* takes what is decoded */
    bool keep;           /* the arena is not reset before each record */
};

/* Connects and reads the schemas. CV_OK, CV_RETRY or CV_FATAL. */
enum cv_status history_reader_open(const struct config *config, const char *command, struct history_reader **out_reader,
                                   struct err *err) CV_MUST_CHECK;
void history_reader_close(struct history_reader *reader);

/*
 * Begins a read-only transaction, or begins it anew, and reads the cursors and what was left out: everything asked of
 * reader->db from here on is of the same moment.
 */
enum cv_status history_reader_snapshot(struct history_reader *reader, struct err *err) CV_MUST_CHECK;
enum cv_status history_reader_end_snapshot(struct history_reader *reader, struct err *err) CV_MUST_CHECK;

/*
 * Opens the topics (bits 1 << enum topic) and reads each to the snapshot's cursor. Says on standard error how far
 * it is when that takes more than a second.
 */
enum cv_status history_reader_run(struct history_reader *reader, unsigned topics, const struct history_reading *reading,
                                  struct err *err) CV_MUST_CHECK;

/* After the run: the partitions as they were read; records that are gone from the start of some partition of the topic;
 * and from anywhere in it. */
const struct scan_partition *history_reader_partitions(const struct history_reader *reader, size_t *out_count);
bool history_reader_start_gone(const struct history_reader *reader, enum topic topic);
bool history_reader_has_holes(const struct history_reader *reader, enum topic topic);

/* -1: the partition has no cursor. */
int64_t history_reader_next_offset(const struct history_reader *reader, enum topic topic, int32_t part);
int64_t history_reader_dir_no(const struct history_reader *reader, enum topic topic, int32_t part);

/* Logs the one line of a command that failed, with what to do next, and returns its exit code. */
int history_reader_failed(const char *command, enum cv_status status, const struct err *err);

#endif
