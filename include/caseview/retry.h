/*
 * retry.h: back-off with jitter for services that are unreachable. Each wait is random between half and all of a step,
 * which doubles from base_ms to max_ms.
 */
#ifndef CASEVIEW_RETRY_H
#define CASEVIEW_RETRY_H

#include "caseview/base.h"

struct retry {
    int base_ms;
    int max_ms;
    unsigned attempts;
    int64_t next_at_ms; /* clock_mono_ms() of the next attempt; 0: now */
};

void retry_init(struct retry *retry, int base_ms, int max_ms);
void retry_reset(struct retry *retry);     /* after a success */
int retry_failed(struct retry *retry);     /* after a failure: sets next_at_ms, returns the wait in ms */
bool retry_due(const struct retry *retry); /* next_at_ms is reached */
/* True after failures 1, 2, 4, 8 …: these get a log line. */
bool retry_worth_logging(const struct retry *retry);

#endif
