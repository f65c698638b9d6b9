/*
 * worker.h: `caseview worker`: Kafka in, PostgreSQL out. Runs until SIGTERM (drains: finishes and commits what is at
 * hand, leaves the group) or until something that no waiting can mend. Services that are away are waited for, for ever.
 */
#ifndef CASEVIEW_WORKER_H
#define CASEVIEW_WORKER_H

#include "caseview/config.h"

/* Returns the exit code. */
int worker_main(const struct config *config);

#endif
