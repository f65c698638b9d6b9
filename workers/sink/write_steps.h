/*
 * write_steps.h: a closed batch as a sequence of SQL statements for one pipeline, one statement a call, so that only a
 * small part of a batch is in memory as rendered rows and query arguments. Private to writer.c. One thread.
 *
 * The order is the same in every batch, since it decides who waits for whom: BEGIN, the cursors (fence or claim), rows
 * in key order, the directory's clock last, COMMIT.
 */
#ifndef CASEVIEW_SINK_WRITE_STEPS_H
#define CASEVIEW_SINK_WRITE_STEPS_H

#include "workers/sink/write_step.h"

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
