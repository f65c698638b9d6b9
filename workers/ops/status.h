/*
 * status.h: `caseview status`: prints cursor and lag per partition, counts of parked, incomplete and degraded, and the
 * commands to run next; as a table, or as one object with --json. --watch repeats it every second, --check exits 1
 * unless healthy. Reads the database and, for the end offsets, Kafka. Without an answer from Kafka it is not healthy,
 * and says why.
 */
#ifndef CASEVIEW_OPS_STATUS_H
#define CASEVIEW_OPS_STATUS_H

#include "caseview/config.h"

int status_main(const struct config *config);

#endif
