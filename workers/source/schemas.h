/*
 * schemas.h: writer schemas by fingerprint (from the schema folder, read at the start and by schemas_reload()) and by
 * registry id (asked for when first met, then kept). Nothing here but schemas_wait() blocks: a thread of registry.c
 * asks. For one thread.
 */
#ifndef CASEVIEW_SOURCE_SCHEMAS_H
#define CASEVIEW_SOURCE_SCHEMAS_H

#include "caseview/base.h"
#include "caseview/config.h"
#include "caseview/err.h"

struct schemas;
struct schema_plan; /* a writer's schema compiled against the reader's: decode.h */

/*
 * folder: every *.avsc in it is complete in itself; one that cannot be read or parsed is CV_FATAL. NULL: none.
 * registry: base URL, NULL: none. CV_OK or CV_FATAL.
 */
enum cv_status schemas_open(const char *folder, const char *registry, struct schemas **out_schemas,
                            struct err *err) CV_MUST_CHECK;
/*
 * As the options schema-dir and schema-registry say; without schema-dir the installed folder, if it is there. With
 * neither nothing can be decoded: one log line.
 */
enum cv_status schemas_open_options(const struct config *config, struct schemas **out_schemas,
                                    struct err *err) CV_MUST_CHECK;
/*
 * Reads the folder again and adds the schemas that are new in it; what was read before stays, also when its file has
 * gone. out_added: how many were added, in any case. CV_OK, or CV_FATAL: the folder or a file cannot be read or parsed,
 * the files before it were added.
 */
enum cv_status schemas_reload(struct schemas *schemas, size_t *out_added, struct err *err) CV_MUST_CHECK;
/* Takes at most a second when the registry hangs. */
void schemas_close(struct schemas *schemas);

/* CV_OK, or CV_PARK: no such fingerprint. */
enum cv_status schemas_by_fingerprint(struct schemas *schemas, uint64_t fingerprint,
                                      const struct schema_plan **out_plan, struct err *err) CV_MUST_CHECK;
/*
 * CV_OK; CV_PARK: the registry says that there is no such id (remembered for 3 s only), what it has there is not an
 * Avro schema, or no registry is configured; CV_RETRY: the registry is being asked, or cannot be reached now (err). The
 * question stays open until it is answered.
 */
enum cv_status schemas_by_id(struct schemas *schemas, uint32_t id, const struct schema_plan **out_plan,
                             struct err *err) CV_MUST_CHECK;

/*
 * Whether the registry has answered since the last call: what waits for a schema should be tried again. Try again after
 * a few seconds in any case: a question may not have been taken, since too many were open.
 */
bool schemas_changed(struct schemas *schemas);
/* For commands: waits until nothing is being asked. CV_OK, or CV_RETRY: the time is over. */
enum cv_status schemas_wait(struct schemas *schemas, int timeout_ms) CV_MUST_CHECK;

#endif
