/*
 * verify_cases.h: compares case_state with the folded history of cases. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_CASES_H
#define CASEVIEW_OPS_VERIFY_CASES_H

#include "workers/ops/verify_pages.h"

/* Compares all rows; those that differ, and cases without a row, become suspects. CV_OK or CV_RETRY. */
enum cv_status verify_cases(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Keeps copies of the suspects' rows, in the open snapshot. */
enum cv_status verify_cases_fetch(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Compares the suspects with the history of that snapshot, and reports what differs. */
void verify_cases_recheck(struct verify *verify);

#endif
