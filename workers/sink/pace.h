/*
 * pace.h: how long to wait between two batches. The first statement of each batch, the fence, updates the cursors.
 * While another session holds a snapshot, PostgreSQL keeps all older versions of these rows, and the fence walks over
 * them: it becomes slower with each batch. Then batches follow each other less often, so that fences take a tenth of
 * the time at most and fewer versions come to be (docs/decisions/0016). Pure.
 */
#ifndef CASEVIEW_SINK_PACE_H
#define CASEVIEW_SINK_PACE_H

#include "caseview/base.h"

#define PACE_FENCES 8 /* the shortest of so many counts: others waited for a lock or a processor */

struct pace {
    int64_t fence_us[PACE_FENCES];
    unsigned count; /* of all so far */
};

/* A batch was committed, whose fence took so long on the server. */
void pace_add(struct pace *pace, int64_t fence_us);
/* Least time from the start of one batch to the next one: 0 to 500 ms. */
int64_t pace_gap_us(const struct pace *pace);

#endif
