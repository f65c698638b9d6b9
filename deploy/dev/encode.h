/*
 * encode.h: encodes an event from JSON as Avro in either framing, with its key. For trying and testing: the worker only
 * decodes.
 *
 * One event is a JSON object {"topic": "case" | "agent" | "directory", "key": text?, "value": object | null}. value has
 * the fields of the contract's records in plain JSON: a nullable field is its value, null or absent; the payload is
 * {"CaseQueued": {…}}; a time is a number of microseconds or ISO 8601 text. Without "key" the key comes from the value
 * (caseId, userId, kind:organizationId:entityId); a null value needs one.
 */
#ifndef CASEVIEW_DEV_ENCODE_H
#define CASEVIEW_DEV_ENCODE_H

#include <jansson.h>

#include "caseview/buf.h"
#include "caseview/err.h"
#include "workers/fold/record.h"

struct encoder;

struct encoder_options {
    const char *schema_dir;            /* holds case-event.avsc, agent-event.avsc, directory-event.avsc */
    const char *registry;              /* NULL: single-object encoding; else a URL where the schemas get registered */
    const char *subjects[TOPIC_COUNT]; /* "<topic>-value" */
};

enum cv_status encoder_open(const struct encoder_options *options, struct encoder **out_encoder,
                            struct err *err) CV_MUST_CHECK;
void encoder_close(struct encoder *encoder);

/*
 * Appends to key and value. *out_null: the record has no value. CV_OK, or CV_PARK: not a valid event, err names the
 * field.
 */
enum cv_status encoder_encode(struct encoder *encoder, const json_t *event, enum topic *out_topic, struct buf *key,
                              struct buf *value, bool *out_null, struct err *err) CV_MUST_CHECK;

#endif
