/*
 * status_advice.h: what to run next, for each thing that `caseview status` shows and somebody should look at.
 */
#ifndef CASEVIEW_OPS_STATUS_ADVICE_H
#define CASEVIEW_OPS_STATUS_ADVICE_H

#include "caseview/buf.h"
#include "workers/ops/status_data.h"

/* Appends one line without an end, "WHAT: COMMAND"; false: the partition needs nobody. */
bool status_advise_partition(const struct config *config, const struct status_partition *partition, struct buf *out);
/* Likewise for cases and agents that lack an event, and for cases without a snapshot. */
bool status_advise_degraded(const struct config *config, const struct status_data *data, struct buf *out);
bool status_advise_incomplete(const struct config *config, const struct status_data *data, struct buf *out);

#endif
