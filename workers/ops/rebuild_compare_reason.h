/*
 * rebuild_compare_reason.h: why two rows differ, as far as the data of both generations tells. Pure. Private to
 * compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_REASON_H
#define CASEVIEW_OPS_REBUILD_COMPARE_REASON_H

#include "workers/ops/rebuild_compare_suspect.h"

/* What is known of one difference, per generation. */
struct compare_evidence {
    int64_t parked[COMPARE_SIDES]; /* records of its key, in its topic */
    struct str parked_example[COMPARE_SIDES];
    bool skipped[COMPARE_SIDES]; /* of a parked record: an operator has skipped it */
    struct str bodies[COMPARE_SIDES];
    int64_t log_start[COMPARE_SIDES]; /* of its partition, when the generation was made from the log alone; or 0 */
};

/* Appends the reason: one line. gens: of both sides. */
void compare_reason(const struct compare_suspect *suspect, const struct compare_evidence *evidence,
                    const struct compare_moments *moments, const int32_t gens[COMPARE_SIDES], struct buf *out);

#endif
