/*
 * parked_retry.h: `caseview parked retry`: decodes parked events again and folds those that are valid now, while
 * workers run.
 */
#ifndef CASEVIEW_OPS_PARKED_RETRY_H
#define CASEVIEW_OPS_PARKED_RETRY_H

#include "caseview/config.h"

/* Returns the exit code. */
int parked_retry(const struct config *config);

#endif
