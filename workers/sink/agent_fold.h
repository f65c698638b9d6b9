/*
 * agent_fold.h: folds one agent event into its cached state. Private to folder.c.
 */
#ifndef CASEVIEW_SINK_AGENT_FOLD_H
#define CASEVIEW_SINK_AGENT_FOLD_H

#include "workers/fold/event.h"
#include "workers/sink/batch.h"
#include "workers/sink/fold_scratch.h"

/* The state, loaded, becomes part of the batch if the event changed it. */
struct fold_result agent_fold(struct states *agents, struct state *state, int32_t part, const struct agent_event *event,
                              struct fold_scratch *scratch, struct batch *batch);

#endif
