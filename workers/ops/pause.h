/*
 * pause.h: `caseview pause`: partitions stand still, with everything before their cursor committed, until `caseview
 * resume`. Their owner notices within a second or two; names of their rows go on being kept.
 */
#ifndef CASEVIEW_OPS_PAUSE_H
#define CASEVIEW_OPS_PAUSE_H

#include "caseview/config.h"

int pause_main(const struct config *config);

#endif
