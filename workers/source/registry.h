/*
 * registry.h: a Confluent-compatible schema registry over HTTP: id → schema text, with the types it refers to. Blocks.
 * Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_REGISTRY_H
#define CASEVIEW_SOURCE_REGISTRY_H

#include <jansson.h>

#include "caseview/buf.h"
#include "caseview/err.h"

/*
 * Gets a schema's text, and in out_externals (owned by the caller, NULL: none) the definitions of referenced types.
 *   CV_OK
 *   CV_PARK   the registry says that there is no such id (404 with its own error code), or what it holds is no Avro
 *             schema
 *   CV_RETRY  no answer, or one that says nothing about the id (server errors, refused credentials, the 404 of a path
 *             that is none of the registry's: base is wrong)
 */
enum cv_status registry_get(const char *base, uint32_t id, int timeout_ms, struct buf *out_schema,
                            json_t **out_externals, struct err *err) CV_MUST_CHECK;

#endif
