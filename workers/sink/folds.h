/*
 * folds.h: folds one event into its cached state, which has been loaded and becomes part of the batch if the event
 * changed it. folder.c calls it, and carry-over reads entities with it. One thread.
 */
#ifndef CASEVIEW_SINK_FOLDS_H
#define CASEVIEW_SINK_FOLDS_H

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "caseview/db.h"
#include "workers/fold/event.h"
#include "workers/sink/batch.h"

/* Ceilings of one stored state: an event that would make it larger is parked as too-large. */
#define CASE_STATE_MAX  (256u << 10)
#define AGENT_STATE_MAX (1u << 20)

/* Memory that folding one event needs. */
struct fold_scratch {
    struct buf stored;   /* the new stored form */
    struct arena *agent; /* an agent's state while it is folded */
};

void fold_scratch_init(struct fold_scratch *scratch);
void fold_scratch_done(struct fold_scratch *scratch);

/* reason other than PARK_NONE: the event was refused, the state is as before; text is static. */
struct fold_result {
    enum fold_outcome outcome;
    enum park_reason reason;
    const char *text;
};

struct fold_result case_fold(struct states *cases, struct state *state, int32_t part, const struct case_event *event,
                             struct fold_scratch *scratch, struct batch *batch);
/* Forgets the stored state. The batch corrects the case's rows of active_case of all organizations. */
void case_fold_replace(struct states *cases, struct state *state, const struct uuid *organization_id,
                       struct batch *batch);

struct fold_result agent_fold(struct states *agents, struct state *state, int32_t part, const struct agent_event *event,
                              struct fold_scratch *scratch, struct batch *batch);

struct fold_result entity_fold(struct cache *entities, struct entity *entity, const struct directory_event *event,
                               struct batch *batch);
/*
 * Takes a row of directory_load.sql: its entity is in the cache. Of an application the owner's row counts, whichever
 * organization asks; roles are read into the arena.
 */
void entity_load(struct cache *entities, const struct db_result *result, int row, struct arena *arena);

#endif
