/*
 * fold_scratch.h: memory that folding one event needs, and what came of it. Private to folder.c and the folds.
 */
#ifndef CASEVIEW_SINK_FOLD_SCRATCH_H
#define CASEVIEW_SINK_FOLD_SCRATCH_H

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "workers/fold/event.h"

/* Ceilings of one stored state: an event that would make it larger is parked as too-large. */
#define CASE_STATE_MAX  (256u << 10)
#define AGENT_STATE_MAX (1u << 20)

struct fold_scratch {
    struct buf stored;   /* the new stored form */
    struct arena *agent; /* an agent's state while it is folded */
};

/* reason other than PARK_NONE: the event was refused, the state is as before; text is static. */
struct fold_result {
    enum fold_outcome outcome;
    enum park_reason reason;
    const char *text;
};

void fold_scratch_init(struct fold_scratch *scratch);
void fold_scratch_done(struct fold_scratch *scratch);

#endif
