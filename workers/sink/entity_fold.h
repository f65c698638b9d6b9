/*
 * entity_fold.h: folds one directory event into its entity. Private to folder.c.
 */
#ifndef CASEVIEW_SINK_ENTITY_FOLD_H
#define CASEVIEW_SINK_ENTITY_FOLD_H

#include "caseview/db.h"
#include "workers/fold/event.h"
#include "workers/sink/batch.h"
#include "workers/sink/fold_scratch.h"

/* The entity, loaded, becomes part of the batch if the event changed it. */
struct fold_result entity_fold(struct cache *entities, struct entity *entity, const struct directory_event *event,
                               struct batch *batch);
/*
 * Takes a row of directory_load.sql: its entity is in the cache. Of an application the owner's row counts, whichever
 * organization asks; roles are read into the arena.
 */
void entity_load(struct cache *entities, const struct db_result *result, int row, struct arena *arena);

#endif
