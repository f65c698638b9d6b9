/*
 * names.h: what the directory says of entities, as far as this worker had to ask: a bounded cache over the directory
 * table, kept right by the change feed (feed.h). Unknown entities are remembered as such. One thread.
 */
#ifndef CASEVIEW_SINK_NAMES_H
#define CASEVIEW_SINK_NAMES_H

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "caseview/db.h"
#include "caseview/err.h"
#include "workers/fold/render.h"

struct names;

struct names *names_new(size_t max_bytes);
void names_set_max(struct names *names, size_t max_bytes);
size_t names_bytes(const struct names *names);
void names_free(struct names *names);

/* Says that an entity will be asked for. */
void names_want(struct names *names, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);
/* Reads everything wanted and not known yet with one statement. CV_OK or CV_RETRY; memory of the call from arena. */
enum cv_status names_load(struct names *names, struct db *db, struct arena *arena, struct err *err) CV_MUST_CHECK;

/* After names_want and names_load: the texts, or NULL when the directory does not know the entity. Valid until
 * names_trim. */
const struct entity_names *names_get(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                                     const struct uuid *id);
bool names_is_removed(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                      const struct uuid *id);

/* Row `row` of a result with the columns of feed_read.sql: an entity that is cached becomes what the row says. */
void names_update(struct names *names, const struct db_result *result, int row);
void names_trim(struct names *names); /* between batches: back below the ceiling */
void names_clear(struct names *names);

/* The hash by which a row names an entity, never 0. A collision costs one needless rendering. */
int64_t names_hash(const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);
/* Appends the hash to the refs of a row: 8 bytes in the order of the machine, which is the same for all of a database.
 */
void names_put_ref(struct buf *out, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);

#endif
