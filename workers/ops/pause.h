/*
 * pause.h: `caseview pause`: stops reading partitions until `caseview resume`. Everything before their cursors
 * is committed. The owner notices within two seconds, and still applies changes of the directory to their rows.
 */
#ifndef CASEVIEW_OPS_PAUSE_H
#define CASEVIEW_OPS_PAUSE_H

#include "caseview/config.h"

int pause_main(const struct config *config);

#endif
