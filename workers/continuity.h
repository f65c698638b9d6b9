/*
 * continuity.h: whether a partition's log is still the one that its cursor counts in (docs/architecture.md, Claim). A
 * claimed partition is PROVING until the record at last_record_offset was read and compared, or is found to be gone for
 * a good reason; one whose log is another one, or does not reach its cursor, halts. One thread.
 */
#ifndef CASEVIEW_WORKERS_CONTINUITY_H
#define CASEVIEW_WORKERS_CONTINUITY_H

#include "workers/partitions.h"
#include "workers/worker_metrics.h"

/* Compares a record of a PROVING partition. */
void continuity_check_record(struct partitions *partitions, struct partition *partition, const struct record *record,
                             const struct worker_metrics *m);
/*
 * A LIVE partition delivered a record below its position. True: that is a record already folded. Otherwise the log ends
 * before the cursor.
 */
void continuity_check_old_record(struct partitions *partitions, struct partition *partition,
                                 const struct record *record);
/* The end of the log at offset `end` was read. */
void continuity_check_end(struct partitions *partitions, struct partition *partition, int64_t end,
                          const struct worker_metrics *m);
/* The broker says that the position is not in its log. */
void continuity_out_of_range(struct partitions *partitions, struct partition *partition,
                             const struct worker_metrics *m);

#endif
