/*
 * plan.h: a writer's schema, compiled once against the reader's records: a tree by which a record's bytes are decoded
 * (avro_decoder.h). Each node has the offset of its value in struct event. Private to workers/source.
 *
 * For example, a writer's field {"name": "lockedBy", "type": ["null", "User"]}, of which the body has the bytes 02 for
 * the branch and then the fields of the User, becomes
 *
 *   PLAN_UNION                             reads the branch's number
 *     PLAN_SKIP, SKIP_NULL                 branch 0
 *     PLAN_RECORD, flag: locked_by.present branch 1: walks its children in the writer's order
 *       PLAN_GUID, offset: locked_by.id    "userId"
 *       PLAN_TEXT, offset: display_name    "displayName"
 *       PLAN_SKIP, SKIP_STRING             "shoeSize": the reader knows no such field
 *
 * Incompatibilities are found here and not while decoding: a schema without a required field, or with a type that
 * cannot be promoted, is incompatible as a whole. Within a union only that branch is, with the records that use it.
 * Immutable once compiled.
 */
#ifndef CASEVIEW_SOURCE_PLAN_H
#define CASEVIEW_SOURCE_PLAN_H

#include <jansson.h>

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/source/value_plan.h"

/* One type that a record's body can be of. */
struct plan_branch {
    const char *name;               /* of the record, else of the type */
    enum topic topic;               /* TOPIC_COUNT: of none */
    const char *incompatible;       /* why no body of this type can be read, NULL: it can */
    struct plan_node *root;         /* NULL: of no topic, or incompatible */
    struct plan_node *organization; /* reads organizationId alone, to offset 0. NULL: it has none that can be read */
    struct plan_node *ignored;      /* skips the whole body */
};

struct schema_plan {
    struct arena *arena; /* holds all of it, the library's schema too */
    bool is_union;       /* a body begins with the number of its branch */
    struct plan_branch *branches;
    size_t branch_count; /* 1 when there is no union */
};

/*
 * externals: types that the schema may name (canonical.h), NULL: none.
 * CV_OK (also for schemas of other records and incompatible ones), or CV_PARK: not an Avro schema.
 * Changes the Avro library's allocator meanwhile, which is global: one thread at a time.
 */
enum cv_status plan_compile(struct str schema_json, const json_t *externals, struct schema_plan **out_plan,
                            struct err *err) CV_MUST_CHECK;
size_t plan_bytes(const struct schema_plan *plan); /* of memory, about */
void plan_free(struct schema_plan *plan);

#endif
