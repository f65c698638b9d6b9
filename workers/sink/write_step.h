/*
 * write_step.h: what the steps of write_steps.h have in common: the state of one sequence of statements, and how a step
 * sends its own. Private to write_steps.c and operator_steps.c. One thread.
 */
#ifndef CASEVIEW_SINK_WRITE_STEP_H
#define CASEVIEW_SINK_WRITE_STEP_H

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

/* Sends a statement, unless one failed before: steps->status. kind: for write_steps_kind(). */
void write_step_send(struct write_steps *steps, const struct db_statement *statement, const struct db_args *args,
                     enum write_step kind);
/* The step has no more rows: the next call begins the next one. */
void write_step_end(struct write_steps *steps);
/* So many of the rows that were left have been sent: the next call sends the others, or begins the next step. */
void write_step_advance(struct write_steps *steps, size_t sent, size_t left);

/* A partition of the case or the agent topic. */
struct write_step_part {
    bool agents;
    int32_t part;
};

/* Those that the batch writes to; shown: those alone whose rows show the batch's progress. */
struct write_step_part *write_step_parts(struct write_steps *steps, bool shown, size_t *out_count);
/* Memory until the next statement; never NULL. */
void *write_step_alloc(struct write_steps *steps, size_t size);

#endif
