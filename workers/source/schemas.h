/*
 * schemas.h: writer schemas by fingerprint (from the schema folder, read once at the start) and by registry id (read
 * from the registry when first met, then kept for good). One thread.
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
void schemas_close(struct schemas *schemas);

/* CV_OK, or CV_PARK: no such fingerprint. */
enum cv_status schemas_by_fingerprint(struct schemas *schemas, uint64_t fingerprint,
                                      const struct schema_plan **out_plan, struct err *err) CV_MUST_CHECK;
/*
 * CV_OK; CV_PARK: the registry says that there is no such id (remembered for a few seconds only), what it holds is no
 * Avro schema, or no registry is configured; CV_RETRY: the registry cannot be reached now, or not under that
 * URL. May block for up to 5 s; after a failure it answers CV_RETRY at once until its own back-off (≤ 5 s) has passed.
 */
enum cv_status schemas_by_id(struct schemas *schemas, uint32_t id, const struct schema_plan **out_plan,
                             struct err *err) CV_MUST_CHECK;

#endif
