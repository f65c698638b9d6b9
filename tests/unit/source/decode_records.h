/*
 * decode_records.h: a decoder with the shipped schemas, and writers of the records that its tests decode. For a test
 * program of its own: the fixture is a static variable.
 */
#ifndef CASEVIEW_TESTS_DECODE_RECORDS_H
#define CASEVIEW_TESTS_DECODE_RECORDS_H

#include "tests/unit/source/decode_fixture.h"

static struct fixture fixture;

static inline int setup(void **state CV_UNUSED)
{
    fixture_open(&fixture, SCHEMA_FOLDER, NULL);
    return 0;
}

static inline int teardown(void **state CV_UNUSED)
{
    fixture_close(&fixture);
    return 0;
}

static inline struct buf *begin_case(int payload)
{
    return fixture_begin_case(&fixture, payload);
}

static inline struct buf *begin_agent(int payload)
{
    return fixture_begin_agent(&fixture, payload);
}

static inline struct buf *begin_directory(int payload)
{
    return fixture_begin_directory(&fixture, payload);
}

static inline void write_meeting(const char *json)
{
    struct buf *out = begin_case(MEETING_SET);
    put_long(out, 1);
    put_text(out, json);
    put_long(out, SOME_DAY);
}

static inline void write_unit(const void *name, size_t len)
{
    put_bytes(begin_directory(UNIT_UPSERTED), name, len);
}

#define UNIT_KEY "unit:" ORG_ID ":" ID

#endif
