/*
 * decode.h: bytes → event. Knows Avro and the contract's rules for values, no Kafka.
 *
 * The writer's schema is resolved by name against the records that Caseview knows: added fields are ignored, missing ones
 * take their default, numbers are promoted, a payload branch with another name is an unknown type.
 */
#ifndef CASEVIEW_SOURCE_DECODE_H
#define CASEVIEW_SOURCE_DECODE_H

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/fold/event.h"
#include "workers/source/schemas.h"

/*
 * Decodes and checks one record, key and all. Texts and arrays of the event lie in the arena.
 *   CV_OK     out_event is filled
 *   CV_PARK   out_reason and err->text say why
 *   CV_RETRY  its schema cannot be fetched now, or the arena is full (arena_full() tells)
 */
enum cv_status decode_record(struct schemas *schemas, const struct record *record, struct arena *arena,
                             struct event *out_event, enum park_reason *out_reason, struct err *err) CV_MUST_CHECK;

#endif
