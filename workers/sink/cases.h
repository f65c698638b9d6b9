/*
 * cases.h: folds the cases of a batch: groups its events by case, reads what is not cached, applies, renders what is
 * listed. The cache holds each case as of the last batch folded, committed or not; when a batch fails, cases_clear().
 * One thread.
 */
#ifndef CASEVIEW_SINK_CASES_H
#define CASEVIEW_SINK_CASES_H

#include "workers/sink/batch.h"
#include "workers/sink/fold_context.h"
#include "workers/sink/rows.h"

struct cases;

struct cases *cases_new(size_t max_bytes);
void cases_free(struct cases *cases);

/* Fills cases, active and unlisted of the batch, and parks events of a foreign organization. CV_OK, CV_RETRY or
 * CV_FATAL. */
enum cv_status cases_fold(struct cases *cases, struct batch *batch, struct fold_context *context,
                          struct err *err) CV_MUST_CHECK;
void cases_committed(struct cases *cases, struct batch *batch); /* its entries may be put out of the cache */
void cases_clear(struct cases *cases);

size_t cases_cached(const struct cases *cases);
size_t cases_cached_bytes(const struct cases *cases);

#endif
