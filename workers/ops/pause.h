/*
 * pause.h: `caseview pause`: partitions are not read until `caseview resume`; everything before their cursors is
 * committed. Their owner notices within two seconds, and still applies changes of the directory to their rows.
 */
#ifndef CASEVIEW_OPS_PAUSE_H
#define CASEVIEW_OPS_PAUSE_H

#include "caseview/config.h"

int pause_main(const struct config *config);

#endif
