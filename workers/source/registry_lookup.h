/*
 * registry_lookup.h: one question to a schema registry, with those for all schemas that the answer refers to. Blocks.
 * Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_REGISTRY_LOOKUP_H
#define CASEVIEW_SOURCE_REGISTRY_LOOKUP_H

#include <jansson.h>

#include "caseview/buf.h"
#include "caseview/err.h"

struct registry_answer {
    uint32_t id;
    bool found;        /* false: the registry has no such id, or what it holds is not an Avro schema (err) */
    struct buf schema; /* the schema's text */
    json_t *externals; /* definitions of the types that it refers to: canonical.h. NULL: none */
    struct err err;
};

/*
 * Fills schema, externals, found and err of the answer, which the caller releases with any status.
 *   CV_OK
 *   CV_PARK   the registry says that there is no such id (404 with an error code of its own), or what it has there is
 *             not an Avro schema
 *   CV_RETRY  no answer, or one that is not a registry's (server errors, refused credentials, a page, the 404 of a path
 *             that the server does not have: base may be wrong)
 */
enum cv_status registry_lookup(const char *base, uint32_t id, int timeout_ms,
                               struct registry_answer *out_answer) CV_MUST_CHECK;

#endif
