/*
 * status.h: `caseview status`: per partition cursor and lag, and what is parked, incomplete and degraded; a table for
 * people,
 * --json for machines, --watch draws it again every second, --check exits 1 unless healthy. Asks the database and, for
 * the ends of the logs, Kafka; without an answer from Kafka the ends are unknown, and healthy is false.
 */
#ifndef CASEVIEW_OPS_STATUS_H
#define CASEVIEW_OPS_STATUS_H

#include "caseview/config.h"

int status_main(const struct config *config);

#endif
