/*
 * value_plan.h: the tree by which a record's bytes are walked: what is done with each value, and where it goes.
 * Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_VALUE_PLAN_H
#define CASEVIEW_SOURCE_VALUE_PLAN_H

#include "workers/source/reader_schema.h"

/* What is done with a writer's value. */
enum plan_op {
    PLAN_SKIP,       /* nothing: node->skip says what it is */
    PLAN_GUID,       /* text */
    PLAN_GUID_BYTES, /* text, or 16 bytes as they are */
    PLAN_GUID_FIXED, /* 16 bytes as they are */
    PLAN_TEXT,
    PLAN_MEETING,
    PLAN_TIME,
    PLAN_SEQUENCE,
    PLAN_INT,
    PLAN_RANK,
    PLAN_RANK_INTEGER,
    PLAN_BOOL,
    PLAN_RECORD,
    PLAN_UNION,
    PLAN_GUIDS,
    PLAN_TEXTS,
};

/* What the writer's type is, for values that the reader does not use. float and double are fixed. */
enum skip_op {
    SKIP_NULL,
    SKIP_BOOLEAN,
    SKIP_INT,
    SKIP_LONG,
    SKIP_STRING, /* bytes too */
    SKIP_FIXED,
    SKIP_ENUM,
    SKIP_ARRAY,
    SKIP_MAP,
    SKIP_UNION,
    SKIP_RECORD,
};

enum plan_time { TIME_MICROS, TIME_MILLIS, TIME_NANOS };

/* Bytes of struct event. */
struct plan_range {
    uint32_t offset, len;
};

struct plan_node {
    enum plan_op op;
    enum skip_op skip;
    enum plan_time time_unit;
    bool complete;        /* a skipped value: its types within are compiled */
    bool is_int;          /* the writer's type is int, not long */
    uint32_t offset;      /* of the value in struct event; READER_NOWHERE: it is checked only */
    uint32_t flag;        /* one more than the offset of a bool to set; 0: none */
    uint32_t given;       /* groups to add to case_event.given */
    uint32_t max;         /* bytes of a text */
    uint32_t size;        /* SKIP_FIXED: bytes; SKIP_ENUM: symbols */
    uint32_t child_count; /* fields, branches, or one item */
    struct plan_node **children;
    const char *path;                     /* "payload.CaseMoved.rank", for texts */
    const char **mismatches;              /* of a union: why a branch cannot be read, NULL where it can */
    const struct reader_payload *payload; /* the record is this payload; NULL: none */
    const struct plan_range *clear;       /* what must be zero before the payload's fields are read */
    size_t clear_count;
};

#endif
