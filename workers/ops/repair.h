/*
 * repair.h: `caseview repair`: folds a case or an agent again from the log and puts the outcome in the place of its
 * rows, beside running workers.
 */
#ifndef CASEVIEW_OPS_REPAIR_H
#define CASEVIEW_OPS_REPAIR_H

#include "caseview/config.h"

int repair_main(const struct config *config);

#endif
