/*
 * worker.h: `caseview worker`: Kafka in, PostgreSQL out. Runs until SIGTERM (drains: commits the records read so far
 * and leaves the group) or until a permanent error. Waits indefinitely for unavailable services.
 */
#ifndef CASEVIEW_WORKER_H
#define CASEVIEW_WORKER_H

#include "caseview/config.h"

/* Returns the exit code. */
int worker_main(const struct config *config);

#endif
