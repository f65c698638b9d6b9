/*
 * rebuild.h: `caseview rebuild start|status|prepare|compare|switch|abort|drop`: a new generation of the view, filled
 * from the log by ordinary workers while the live one keeps serving (contract, section 7; docs/operations.md, Rebuild).
 * Every command is safe to repeat and safe to kill: what it changes, it changes in one transaction or in steps that go
 * on where they were. Exit codes: 0 done, 1 the question was answered "no", 2 refused, 3 a service is away.
 */
#ifndef CASEVIEW_OPS_REBUILD_H
#define CASEVIEW_OPS_REBUILD_H

#include "caseview/config.h"

#define REBUILD_WORDS "start status prepare compare switch abort drop"

int rebuild_main(const struct config *config);

#endif
