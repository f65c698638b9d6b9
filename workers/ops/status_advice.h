/*
 * status_advice.h: what to run next, for each problem that `caseview status` shows.
 */
#ifndef CASEVIEW_OPS_STATUS_ADVICE_H
#define CASEVIEW_OPS_STATUS_ADVICE_H

#include "caseview/buf.h"
#include "workers/ops/status_data.h"

/*
 * Each appends one line without a newline, "WHAT: WHAT TO DO", and returns true; false: there is nothing to do.
 */
bool status_advise_kafka(const struct status_data *data, struct buf *out);
/* A rebuild whose rows for readers are not complete. */
bool status_advise_rebuild(const struct status_data *data, struct buf *out);
bool status_advise_partition(const struct config *config, const struct status_partition *partition, struct buf *out);
/* Cases and agents that lack an event, and cases without a snapshot. */
bool status_advise_degraded(const struct config *config, const struct status_data *data, struct buf *out);
bool status_advise_incomplete(const struct config *config, const struct status_data *data, struct buf *out);

#endif
