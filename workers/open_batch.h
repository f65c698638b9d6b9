/*
 * open_batch.h: a partition's entry in the batch that is being filled. One thread.
 */
#ifndef CASEVIEW_WORKERS_OPEN_BATCH_H
#define CASEVIEW_WORKERS_OPEN_BATCH_H

#include "workers/partition.h"
#include "workers/sink/pipeline.h"

/* The entry, created when there is none. Valid until the next entry is created. */
struct batch_cursor *open_batch_cursor(struct pipeline *pipeline, struct partition *partition);
/*
 * Records or names of the partition are in the open batch: its claim and its cursor must not change until that is
 * committed.
 */
bool open_batch_has(const struct pipeline *pipeline, const struct partition *partition);

#endif
