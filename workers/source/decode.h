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

/* Bytes that one record takes of the arena, at most. */
#define DECODE_ARENA_MAX (32u << 10)

enum decode_outcome {
    DECODE_EVENT, /* out->event is filled */
    DECODE_PARK,  /* out->reason and err->text say why */
    DECODE_WAIT, /* its schema is being asked for, or the registry cannot be reached now (err->text): hold the partition
                    and try again */
    DECODE_SKIP, /* a branch of the writer's schema that is not the topic's record: counts as an unknown type, changes
                    nothing; it has no sequence and no organization */
};

/*
 * The organization is that of the event, and of a parked record wherever its body, or a forgotten entity's key, can be
 * decoded so far.
 * Of a case event only the fields that its type sets are filled (contract, section 3); the others are undefined, as the
 * fold does not read them. An event of an unknown type has its ids and its sequence.
 */
struct decode_result {
    struct event event;
    enum park_reason reason;
    bool has_organization;
    struct uuid organization_id;
};

/*
 * Decodes and checks one record, key and all, but not its headers: the caller counts them into RECORD_MAX_BYTES.
 * Texts of the event are borrowed from record->value and record->key; lists (workspaces, roles) come from the arena.
 * A record whose list does not fit into the arena is parked as too-large.
 * An event of the directory whose key names a kind that this reader does not know has kind 0 and an unknown type.
 * Never blocks: DECODE_WAIT comes at once, and schemas_changed() tells when to try again.
 */
enum decode_outcome decode_record(struct schemas *schemas, const struct record *record, struct arena *arena,
                                  struct decode_result *out, struct err *err) CV_MUST_CHECK;

#endif
