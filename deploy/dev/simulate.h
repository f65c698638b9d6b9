/*
 * simulate.h: `caseview-dev simulate`: believable organizations at work, as events into Kafka or as JSON lines.
 */
#ifndef CASEVIEW_DEV_SIMULATE_H
#define CASEVIEW_DEV_SIMULATE_H

#include "caseview/config.h"

int simulate_main(struct config *config); /* an exit code */

#endif
