/*
 * registry_lookup.h: one question to a schema registry, with those for all schemas that the answer refers to. Blocks.
 * Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_REGISTRY_LOOKUP_H
#define CASEVIEW_SOURCE_REGISTRY_LOOKUP_H

#include "workers/source/registry.h"

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
