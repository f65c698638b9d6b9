/*
 * explain.h: `caseview explain`: prints all events of a case or an agent in the log, the effect of each, and why the
 * case is listed or not, or which gates the agent passes. Changes nothing.
 */
#ifndef CASEVIEW_OPS_EXPLAIN_H
#define CASEVIEW_OPS_EXPLAIN_H

#include "caseview/config.h"

int explain_main(const struct config *config);

#endif
