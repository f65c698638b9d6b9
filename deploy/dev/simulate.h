/*
 * simulate.h: `caseview-dev simulate`: simulates organizations at work; produces their events, or writes JSON lines.
 */
#ifndef CASEVIEW_DEV_SIMULATE_H
#define CASEVIEW_DEV_SIMULATE_H

#include "caseview/config.h"

int simulate_main(struct config *config); /* an exit code */

#endif
