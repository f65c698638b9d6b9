/*
 * entities.h: folds the directory events of a batch: one row an entity, and which of them changed so that somebody may
 * see it. Rows are read from the table every time, so no row of an earlier batch may still be on its way there; a
 * directory partition has one writer, so there is nothing to fence beyond the cursor. One thread.
 */
#ifndef CASEVIEW_SINK_ENTITIES_H
#define CASEVIEW_SINK_ENTITIES_H

#include "workers/sink/batch.h"
#include "workers/sink/fold_context.h"

/* Fills entities and versions of the batch, and parks events of a foreign application owner. CV_OK, CV_RETRY or
 * CV_FATAL. */
enum cv_status entities_fold(struct batch *batch, struct fold_context *context, struct err *err) CV_MUST_CHECK;

#endif
