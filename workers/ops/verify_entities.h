/*
 * verify_entities.h: compares directory with the folded history of its entities. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_ENTITIES_H
#define CASEVIEW_OPS_VERIFY_ENTITIES_H

#include "workers/ops/verify_pages.h"

/* Compares all rows; those that differ, and entities without a row, become suspects. CV_OK or CV_RETRY. */
enum cv_status verify_entities(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Keeps copies of the suspects' rows, in the open snapshot. */
enum cv_status verify_entities_fetch(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Compares the suspects with the history of that snapshot, and reports what differs. */
void verify_entities_recheck(struct verify *verify);

#endif
