/*
 * agents.h: folds the agents of a batch, as cases.h does the cases: state from the cache or the table, events applied,
 * gates evaluated with what the directory says is removed. One thread.
 */
#ifndef CASEVIEW_SINK_AGENTS_H
#define CASEVIEW_SINK_AGENTS_H

#include "workers/sink/batch.h"
#include "workers/sink/fold_context.h"

struct agents;

struct agents *agents_new(size_t max_bytes);
void agents_free(struct agents *agents);

/* Fills agents of the batch. CV_OK, CV_RETRY or CV_FATAL. */
enum cv_status agents_fold(struct agents *agents, struct batch *batch, struct fold_context *context,
                           struct err *err) CV_MUST_CHECK;
void agents_committed(struct agents *agents, struct batch *batch);
void agents_clear(struct agents *agents);

#endif
