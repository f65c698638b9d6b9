/*
 * parked.h: `caseview parked list|show|export|retry|skip`: the events that could not be used, one by one or all that
 * the options name.
 */
#ifndef CASEVIEW_OPS_PARKED_H
#define CASEVIEW_OPS_PARKED_H

#include "caseview/config.h"

int parked_main(const struct config *config);

#endif
