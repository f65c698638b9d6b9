/*
 * names.h: a bounded cache of the directory's texts, kept up to date by the change feed (feed.h). It also caches that
 * an entity is unknown. One thread.
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

/* Marks an entity as needed by the next names_load(). */
void names_want(struct names *names, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);
/* Reads all marked entities that are not cached, with one statement. CV_OK or CV_RETRY. arena: for the call only. */
enum cv_status names_load(struct names *names, struct db *db, struct arena *arena, struct err *err) CV_MUST_CHECK;

/*
 * After names_want() and names_load(): the texts, or NULL if the directory does not know the entity. Valid until
 * names_trim().
 */
const struct entity_names *names_get(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                                     const struct uuid *id);
bool names_is_removed(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                      const struct uuid *id);

/*
 * The table `named` has the entities that rows name, for the change feed (feed_changes.h). After names_load():
 * names_mark() notes an entity that a row will name, names_save_marks() writes those that were not noted before. It has
 * to be committed before that row. CV_OK or CV_RETRY.
 */
void names_mark(struct names *names, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);
enum cv_status names_save_marks(struct names *names, struct db *db, struct arena *arena, struct err *err) CV_MUST_CHECK;

/* Updates the entity of row `row` if it is cached. The result has the columns of feed_read.sql. */
void names_update(struct names *names, const struct db_result *result, int row);
void names_trim(struct names *names); /* between batches: evicts down to the ceiling */
void names_clear(struct names *names);

/* The hash that identifies an entity in rows, never 0. A collision only causes a needless rendering. */
int64_t names_hash(const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);
/* Appends the hash to the refs of a row: 8 bytes in the machine's byte order, which all workers of a database share. */
void names_put_ref(struct buf *out, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id);

#endif
