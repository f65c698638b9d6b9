/*
 * verify.h: `caseview verify`: folds the log again, in memory, and compares what comes out with the rows of one
 * snapshot. Changes nothing.
 */
#ifndef CASEVIEW_OPS_VERIFY_H
#define CASEVIEW_OPS_VERIFY_H

#include "caseview/config.h"

int verify_main(const struct config *config);

#endif
