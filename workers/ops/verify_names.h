/*
 * verify_names.h: compares what follows from a row's own state and the directory: the rows of active_case, and the
 * gates of agents. State, row and names are read in one snapshot; the log is not needed. Private to verify.
 *
 * A partition applies changes of the directory to its rows a moment after the directory has them. Until it has applied
 * all, a difference in names is no finding: the row is kept as stale and compared again later.
 */
#ifndef CASEVIEW_OPS_VERIFY_NAMES_H
#define CASEVIEW_OPS_VERIFY_NAMES_H

#include "workers/ops/stored_rows.h"
#include "workers/ops/verify_pages.h"

/* Compares all of active_case with the states in case_state. */
enum cv_status verify_listed(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* In the snapshot of the row, after agent_want_names() and names_load(). */
void verify_gates(struct verify *verify, const struct uuid key[2], const struct stored_agent *row,
                  const struct agent_state *state);
/* Compares stale rows again until their partitions show all names, or timeout_ms has passed. */
enum cv_status verify_stale_names(struct verify *verify, int timeout_ms, struct err *err) CV_MUST_CHECK;

#endif
