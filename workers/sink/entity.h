/*
 * entity.h: a directory entity in memory, from its first event until the batch that holds it is committed, and its row
 * of the directory table. Not kept longer: another worker may own the partition of its next event, and the rows of the
 * directory have no revision. One thread.
 */
#ifndef CASEVIEW_SINK_ENTITY_H
#define CASEVIEW_SINK_ENTITY_H

#include "caseview/arena.h"
#include "caseview/db.h"
#include "workers/fold/directory.h"
#include "workers/sink/cache.h"
#include "workers/sink/entity_key.h"

struct entity {
    struct cache_entry entry; /* its key begins with ENTITY_KEY bytes */
    bool loaded;              /* the state below is valid; otherwise the row must be read */
    bool dirty;               /* part of the open batch */
    bool visible;             /* … and texts or status changed */
    unsigned counted;         /* bytes of it that the open batch has counted */
    struct directory_state state;
    char *texts; /* owned: the texts and roles of the state */
};

struct entity_row {
    int16_t kind;
    int16_t status;
    struct uuid organization_id, entity_id;
    int64_t version;
    int64_t nth; /* place among the visible changes of a batch, counted from the last: 0 … */
    struct str name, detail, picture;
    bool has_parent;
    struct uuid parent_id;
    struct str roles; /* JSON array or null */
    bool enabled;
};

struct cache *entities_new(void);
enum entity_kind entity_kind_of(const struct entity *entity);
struct uuid entity_id_of(const struct entity *entity);

/* The columns of the table as statements return them; change_no only where it is needed. Roles are a JSON array. */
enum entity_column {
    ENTITY_KIND,
    ENTITY_ORGANIZATION,
    ENTITY_ID,
    ENTITY_STATUS,
    ENTITY_VERSION,
    ENTITY_NAME,
    ENTITY_DETAIL,
    ENTITY_PICTURE,
    ENTITY_PARENT,
    ENTITY_ROLES,
    ENTITY_ENABLED,
    ENTITY_CHANGE,
};

/* Texts are borrowed from the result, roles are copied into the arena. */
void entity_read(const struct db_result *result, int row, struct arena *arena, struct directory_state *out_state);
/* Adds the arguments of directory_write.sql after the generation. */
void entity_row_args(struct db_args *args, const struct entity_row *rows, size_t n);

/* The entity's state becomes a copy of `state`, texts included. */
void entity_set(struct cache *entities, struct entity *entity, const struct directory_state *state);
/* Texts are copied into the arena. */
void entity_make_row(const struct entity *entity, struct arena *arena, struct entity_row *out_row);

#endif
