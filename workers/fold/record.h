/*
 * record.h: one Kafka record, and the reasons for parking one (contract, section 4).
 */
#ifndef CASEVIEW_FOLD_RECORD_H
#define CASEVIEW_FOLD_RECORD_H

#include "caseview/base.h"

/* The three topics by role; their names are options. */
enum topic { TOPIC_CASES, TOPIC_AGENTS, TOPIC_DIRECTORY, TOPIC_COUNT };

struct record {
    enum topic topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* the record's own, -1: none */
    struct str key;       /* ptr NULL: no key */
    struct str value;     /* ptr NULL: no value */
    void *handle;         /* the library's message, for consumer_headers_json() */
    const char *behind;   /* where other bytes begin in memory, which the headers end before; NULL: not known */
};

/* A larger value, key or header set is not decoded: the record is parked as too-large, and stored completely. */
#define RECORD_MAX_BYTES (1u << 20)

enum park_reason {
    PARK_NONE,
    PARK_NOT_AVRO,
    PARK_UNKNOWN_SCHEMA,
    PARK_WRONG_TYPE,
    PARK_BAD_GUID,
    PARK_BAD_TEXT,
    PARK_BAD_RANK,
    PARK_BAD_JSON,
    PARK_BAD_TIME,
    PARK_BAD_SEQUENCE,
    PARK_MISSING_KEY,
    PARK_KEY_MISMATCH,
    PARK_NO_VALUE,
    PARK_TOO_LARGE,
    PARK_REFUSED_BY_DATABASE, /* PostgreSQL refuses the record's write, even alone in its batch */
    PARK_REASON_COUNT,
};

/* The contract's name of the reason: "not-avro" … */
const char *park_reason_name(enum park_reason reason);

/*
 * Whether the record's timestamp can be its time: not before Kafka existed, and in a year that can be written.
 * Producers with a wrong clock, and those that give seconds or microseconds for milliseconds, are outside.
 */
bool record_has_time(const struct record *record);

#endif
