/*
 * verify_agents.h: compares agent with the folded history of agents, and its gates with the directory. Private to
 * verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_AGENTS_H
#define CASEVIEW_OPS_VERIFY_AGENTS_H

#include "workers/ops/verify_pages.h"

/* Compares all rows; those whose state differs, and agents without a row, become suspects. CV_OK or CV_RETRY. */
enum cv_status verify_agents(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Keeps copies of the suspects' rows, in the open snapshot. */
enum cv_status verify_agents_fetch(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Compares the suspects with the history of that snapshot, and reports what differs. */
void verify_agents_recheck(struct verify *verify);

#endif
