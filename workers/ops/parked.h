/*
 * parked.h: `caseview parked list|show|export|retry|skip`: shows, exports, folds or skips the parked events that the
 * options select.
 */
#ifndef CASEVIEW_OPS_PARKED_H
#define CASEVIEW_OPS_PARKED_H

#include "caseview/config.h"

int parked_main(const struct config *config);

#endif
