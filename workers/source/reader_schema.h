/*
 * reader_schema.h: the records that Caseview reads, as tables: which field goes where in struct event, and how long its
 * texts may be (contract, sections 3 and 8). A writer's schema is compiled against these (plan.h). Private to
 * workers/source, except for reader_event_name().
 */
#ifndef CASEVIEW_SOURCE_READER_SCHEMA_H
#define CASEVIEW_SOURCE_READER_SCHEMA_H

#include "workers/fold/event.h"

enum field_type {
    FIELD_GUID,     /* struct uuid */
    FIELD_TEXT,     /* struct str */
    FIELD_MEETING,  /* struct str: a JSON object */
    FIELD_TIME,     /* int64_t */
    FIELD_SEQUENCE, /* int64_t, at least 1 */
    FIELD_INT,      /* int32_t */
    FIELD_RANK,     /* float, finite */
    FIELD_BOOL,     /* bool */
    FIELD_RECORD,
    FIELD_GUIDS, /* an event has at most one list, which is kept in the decoder until its end */
    FIELD_TEXTS,
    FIELD_PAYLOAD, /* the union of a topic's payloads */
};

/* The offset of a value that is checked and not kept. */
#define READER_NOWHERE UINT32_MAX

/* Offsets are relative to the record; `flag` and `present` are one more than the offset of a bool, 0: none. */
struct reader_field {
    const char *name;
    enum field_type type;
    bool nullable; /* and null by default: a writer need not have it */
    uint32_t offset;
    uint32_t flag;  /* becomes true when there is a value */
    uint32_t given; /* groups of case_event.given that a value adds */
    uint32_t max;   /* bytes of UTF-8, of a text or of each item of FIELD_TEXTS */
    const struct reader_record *record;
};

struct reader_record {
    const char *name;
    uint32_t present; /* becomes true when there is such a record */
    const struct reader_field *fields;
    size_t field_count;
};

struct reader_payload {
    const struct reader_record *record;
    int type;              /* of the topic's event type enum */
    enum entity_kind kind; /* directory: the kind that its key must name; 0: any */
    uint32_t base;         /* where in struct event its fields are */
};

struct reader_topic {
    const struct reader_record *record;
    const struct reader_payload *payloads;
    size_t payload_count;
};

extern const struct reader_topic reader_topics[TOPIC_COUNT];

/* Any record with an organizationId, which goes to offset 0: for records that cannot be read otherwise. */
extern const struct reader_record reader_organization;

/* By name without namespace, as Avro resolves records. NULL: none. */
const struct reader_payload *reader_payload_find(const struct reader_topic *topic, const char *name);
const struct reader_field *reader_field_find(const struct reader_record *record, const char *name);

/* The record of a type of event: "CaseMoved"; "unknown": of a newer writer. Of the directory's upserts the first. */
const char *reader_event_name(enum topic topic, int type);

/* Bytes that a value takes in struct event. Not for records and lists. */
size_t reader_field_size(enum field_type type);

/* Whether there is such a record or field. Used for a writer's aliases. */
bool reader_knows_record(const char *name);
bool reader_knows_field(const char *record, const char *field);

#endif
