/*
 * encode.h: an event as JSON → Avro bytes in either framing, with its key. For trying and testing; the worker never
 * encodes.
 *
 * One event is a JSON object {"topic": "case" | "agent" | "directory", "key": text?, "value": object | null}. value has
 * the fields of the contract's records in plain JSON: a nullable field is its value, null or left out; the payload is
 * {"CaseQueued": {…}}; a time is a number of microseconds or ISO 8601 text. Without "key" the key is made from the
 * value (caseId, userId, kind:organizationId:entityId); a null value needs one.
 */
#ifndef CASEVIEW_DEV_ENCODE_H
#define CASEVIEW_DEV_ENCODE_H

#include <jansson.h>

#include "caseview/buf.h"
#include "caseview/err.h"
#include "workers/fold/record.h"

struct encoder;

struct encoder_options {
    const char *schema_dir;              /* holds case-event.avsc, agent-event.avsc, directory-event.avsc */
    const char *registry;                /* NULL: single-object encoding; else the schemas are registered there */
    const char *subjects[TOPIC_COUNT];   /* "<topic>-value" */
};

enum cv_status encoder_open(const struct encoder_options *options, struct encoder **out_encoder,
                            struct err *err) CV_MUST_CHECK;
void encoder_close(struct encoder *encoder);

/* Appends to key and value; *out_null: the record has no value. CV_PARK: the event is no such record, err says which
 * field; else CV_OK. */
enum cv_status encoder_encode(struct encoder *encoder, const json_t *event, enum topic *out_topic, struct buf *key,
                              struct buf *value, bool *out_null, struct err *err) CV_MUST_CHECK;

#endif
