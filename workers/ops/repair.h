/*
 * repair.h: `caseview repair`: folds a case or an agent again from the log and replaces its rows with the result,
 * while workers run.
 */
#ifndef CASEVIEW_OPS_REPAIR_H
#define CASEVIEW_OPS_REPAIR_H

#include "caseview/config.h"

int repair_main(const struct config *config);

#endif
