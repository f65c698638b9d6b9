/*
 * write_steps.h: a closed batch as a sequence of SQL statements for one pipeline, one statement a call, so that only a
 * small part of a batch is in memory as rendered rows and query arguments. Private to writer.c. One thread.
 *
 * The order is the same in every batch, since it decides who waits for whom: BEGIN, the cursors (fence or claim), rows
 * in key order, the directory's clock last, COMMIT.
 */
#ifndef CASEVIEW_SINK_WRITE_STEPS_H
#define CASEVIEW_SINK_WRITE_STEPS_H

#include "caseview/db.h"
#include "workers/sink/batch.h"
#include "workers/sink/names.h"
#include "workers/sink/rows.h"

/* What a statement is for: tells what its refusal means. */
enum write_step {
    STEP_OTHER,
    STEP_FENCE,  /* 22012: a claim or an offset is not ours any more */
    STEP_ROWS,   /* 22012, 23505: a row was written by another writer */
    STEP_CLAIM,  /* of an operator's command; 22012: a partition's names are newer, or its directory rows changed */
    STEP_UNPARK, /* 22012: a parked event is no longer parked */
};

/* A parked event that an operator's command folds: its row leaves `parked` in the same transaction. */
struct batch_unpark {
    struct str topic_name; /* borrowed */
    int32_t part;
    int64_t offset;
};

/* What an operator's command (operator_write.h) does besides writing the rows of its batch. */
struct operator_steps {
    int lock_timeout_ms;
    int64_t clock; /* number of the directory change that its names show at least */
    const struct batch_unpark *unparks;
    size_t unpark_count;
    bool unparking; /* the batch's parked records are parked already: only their reasons change */
};

struct write_steps;
typedef void (*write_step_fn)(struct write_steps *steps);

struct write_steps {
    int32_t gen;
    struct db *db, *loader;
    struct arena *arena; /* of one statement */
    struct listed_row listed;
    struct gate_row gates;

    const struct batch *batch;
    struct names *names;
    const struct operator_steps *command;
    const write_step_fn *step; /* the next one */
    size_t at;                 /* its next row */
    size_t sent;               /* statements */
    uint8_t kinds[DB_PIPELINE_MAX];
    enum cv_status status;
    struct err *err; /* during a call */
};

void write_steps_init(struct write_steps *steps, int32_t gen);
void write_steps_done(struct write_steps *steps);

/* command: NULL for a worker's batch. batch, names and command are borrowed until the end. */
void write_steps_begin(struct write_steps *steps, struct db *db, struct db *loader, const struct batch *batch,
                       struct names *names, const struct operator_steps *command);
/* Before COMMIT everything else should be on its way (db_pipeline_flush()). */
bool write_steps_at_commit(const struct write_steps *steps);
bool write_steps_ended(const struct write_steps *steps);
/*
 * Sends the next statement; names that its rows show and that are not cached are read first. CV_OK, CV_RETRY (a
 * connection is lost, or names could not be read) or CV_FATAL.
 */
enum cv_status write_steps_next(struct write_steps *steps, struct err *err) CV_MUST_CHECK;
/* Of statement i of the pipeline. */
enum write_step write_steps_kind(const struct write_steps *steps, int i);

#endif
