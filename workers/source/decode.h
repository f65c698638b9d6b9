/*
 * decode.h: bytes → event. Knows Avro and the contract's rules for values, no Kafka.
 *
 * The writer's schema is resolved by name against the records that Caseview knows: added fields are ignored, missing
 * ones take their default, numbers are promoted, a payload branch with another name is an unknown type.
 */
#ifndef CASEVIEW_SOURCE_DECODE_H
#define CASEVIEW_SOURCE_DECODE_H

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/fold/event.h"
#include "workers/source/schemas.h"

#define DECODE_ARENA_MAX (20u << 20)

/*
 * Decodes and checks one record, key and all, but not its headers. Texts and arrays of the event lie in the arena, of
 * which one record takes at most DECODE_ARENA_MAX and a parked one nothing.
 * An event of the directory whose key names a kind that this reader does not know has kind 0 and an unknown type.
 *   CV_OK     out_event is filled
 *   CV_PARK   out_reason and err->text say why
 *   CV_RETRY  its schema cannot be fetched now, or the arena is full (arena_full() tells)
 */
enum cv_status decode_record(struct schemas *schemas, const struct record *record, struct arena *arena,
                             struct event *out_event, enum park_reason *out_reason, struct err *err) CV_MUST_CHECK;

/*
 * The organization of the record that decode_record() has just parked, NULL when it could not be read. Borrowed until
 * the next record.
 */
const struct uuid *decode_organization(const struct schemas *schemas);

#endif
