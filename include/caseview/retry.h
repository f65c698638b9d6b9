/*
 * retry.h: back-off with jitter, for services that are away. Each wait is random in [half, whole] of a step that
 * doubles from base_ms to max_ms.
 */
#ifndef CASEVIEW_RETRY_H
#define CASEVIEW_RETRY_H

#include "caseview/base.h"

struct retry {
    int base_ms;
    int max_ms;
    unsigned attempts;
    int64_t next_at_ms; /* clock_mono_ms() of the next try; 0: now */
};

void retry_init(struct retry *retry, int base_ms, int max_ms);
void retry_reset(struct retry *retry);               /* it worked */
int retry_failed(struct retry *retry);               /* it failed: returns the wait in ms and sets next_at_ms */
bool retry_due(const struct retry *retry);           /* next_at_ms has come */
/* True for failures 1, 2, 4, 8 … : the ones worth a log line. */
bool retry_worth_logging(const struct retry *retry);

#endif
