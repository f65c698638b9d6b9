/*
 * case_fold.h: folds one case event into its cached state. Private to folder.c.
 */
#ifndef CASEVIEW_SINK_CASE_FOLD_H
#define CASEVIEW_SINK_CASE_FOLD_H

#include "workers/fold/event.h"
#include "workers/sink/batch.h"
#include "workers/sink/fold_scratch.h"
#include "workers/sink/rows.h"

/* The state, loaded, becomes part of the batch if the event changed it. */
struct fold_result case_fold(struct states *cases, struct state *state, int32_t part, const struct case_event *event,
                             struct fold_scratch *scratch, struct batch *batch);
/* Forgets the stored state. The batch corrects the case's rows of active_case of all organizations. */
void case_fold_replace(struct states *cases, struct state *state, const struct uuid *organization_id,
                       struct batch *batch);

#endif
