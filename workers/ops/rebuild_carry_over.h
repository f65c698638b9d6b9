/*
 * rebuild_carry_over.h: merges into a generation what another one knows beyond the log: cases and agents group of
 * fields by group of fields, by sequence; directory entities by version; parked records that the log no longer holds
 * (contract, section 7). Workers of both generations go on meanwhile: rows are guarded by their revision, and the fold
 * does not depend on the order, so any overlap is right. Works in pages, each a transaction with its step, and goes on
 * there after it was killed.
 */
#ifndef CASEVIEW_OPS_REBUILD_CARRY_OVER_H
#define CASEVIEW_OPS_REBUILD_CARRY_OVER_H

#include "workers/ops/rebuild_command.h"

/*
 * From generation to->carry_over_from into `to`, whose rendering is still deferred: only states are written, workers
 * render them later. CV_OK; CV_RETRY: the database is away, or a stop was requested; CV_FATAL: a state cannot be read.
 */
enum cv_status rebuild_carry_over(struct rebuild *rebuild, const struct generation *to, struct err *err) CV_MUST_CHECK;

#endif
