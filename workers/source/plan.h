/*
 * plan.h: a writer's schema, compiled once against the reader's records: a tree of consumers for the Avro library's
 * streaming decoder, each of which knows where in struct decoded its value goes. Private to workers/source.
 *
 * What cannot be read is found here, not in the data: a schema without a required field or with a type that cannot be
 * promoted is incompatible as a whole; inside a union only the branch is, and only records that take it.
 * Immutable once compiled.
 */
#ifndef CASEVIEW_SOURCE_PLAN_H
#define CASEVIEW_SOURCE_PLAN_H

#include "workers/source/canonical.h"
#include "workers/source/consume.h"

struct schema_plan {
    struct arena *arena;      /* holds all of it, the library's schema too */
    const char *name;         /* of the top record, else of the type */
    enum topic topic;         /* TOPIC_COUNT: of none */
    const char *incompatible; /* why none of its records can be read, NULL: they can */
    struct plan_node *root;
};

/*
 * externals: types that the schema may name (canonical.h), NULL: none.
 * CV_OK (also for schemas of other records and incompatible ones), or CV_PARK: no Avro schema.
 */
enum cv_status plan_compile(struct str schema_json, const json_t *externals, struct schema_plan **out_plan,
                            struct err *err) CV_MUST_CHECK;
void plan_free(struct schema_plan *plan);

#endif
