/*
 * decode_fixture.h: writes Avro bytes by hand and decodes them, for the tests of this folder.
 */
#ifndef CASEVIEW_TESTS_DECODE_FIXTURE_H
#define CASEVIEW_TESTS_DECODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "caseview/buf.h"
#include "workers/source/decode.h"
#include "workers/source/fingerprint.h"
#include "workers/source/schemas.h"

#define SCHEMA_FOLDER CASEVIEW_SOURCE_DIR "/schemas/avro"

#define EVENT_ID "0b6e2f3a-1111-4a5b-8c9d-000000000001"
#define ORG_ID   "0b6e2f3a-2222-4a5b-8c9d-000000000002"
#define ID       "0b6e2f3a-3333-4a5b-8c9d-00000000abcd"
#define UNIT_ID  "0b6e2f3a-4444-4a5b-8c9d-000000000004"
#define OTHER_ID "0b6e2f3a-5555-4a5b-8c9d-000000000005"
#define SOME_DAY INT64_C(1712834018008222)

static inline void put_long(struct buf *out, int64_t number)
{
    uint64_t n = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    for (; n > 0x7f; n >>= 7)
        buf_byte(out, (char)(n | 0x80));
    buf_byte(out, (char)n);
}

static inline void put_bytes(struct buf *out, const void *data, size_t len)
{
    put_long(out, (int64_t)len);
    buf_append(out, data, len);
}

static inline void put_text(struct buf *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

static inline void put_float(struct buf *out, float number)
{
    buf_append(out, &number, sizeof number);
}

/* eventId … actor of a case or agent event, as the contract's files order them. */
static inline void put_envelope(struct buf *out, int64_t sequence)
{
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    put_text(out, ID);
    put_long(out, sequence);
    put_long(out, SOME_DAY);
    put_long(out, 0); /* no actor */
}

static inline uint64_t fingerprint_of_file(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    uint64_t fingerprint;
    assert_int_equal(fingerprint_of((struct str){text, len}, &fingerprint, NULL), CV_OK);
    return fingerprint;
}

static inline void put_frame(struct buf *out, uint64_t fingerprint)
{
    buf_append(out, "\xc3\x01", 2);
    for (int i = 0; i < 8; i++)
        buf_byte(out, (char)(fingerprint >> (8 * i)));
}

static const char *const topic_files[TOPIC_COUNT] = {
    [TOPIC_CASES] = SCHEMA_FOLDER "/case-event.avsc",
    [TOPIC_AGENTS] = SCHEMA_FOLDER "/agent-event.avsc",
    [TOPIC_DIRECTORY] = SCHEMA_FOLDER "/directory-event.avsc",
};

/* A decoder over a folder of schemas, and the outcome of its last record. */
struct fixture {
    struct schemas *schemas;
    struct arena *arena;
    struct buf value; /* the record being written */
    char *copy;       /* of the record decoded last: the event borrows from it */
    struct decode_result result;
    struct err err;
};

static inline void fixture_open(struct fixture *fixture, const char *folder, const char *registry)
{
    *fixture = (struct fixture){.arena = arena_new(1 << 16, DECODE_ARENA_MAX)};
    buf_init(&fixture->value, 4 << 20);
    enum cv_status status = schemas_open(folder, registry, &fixture->schemas, &fixture->err);
    if (status != CV_OK)
        fail_msg("schemas_open: %s", fixture->err.text);
}

static inline void fixture_close(struct fixture *fixture)
{
    schemas_close(fixture->schemas);
    free(fixture->copy);
    arena_free(fixture->arena);
    buf_done(&fixture->value);
}

/* Opens the decoder again over a folder with this one schema, and begins a record of it. */
static inline struct buf *fixture_write_with(struct fixture *fixture, const char *folder, const char *schema)
{
    char path[256];
    snprintf(path, sizeof path, "%s/writer.avsc", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(schema, file);
    assert_int_equal(fclose(file), 0);
    fixture_close(fixture);
    fixture_open(fixture, folder, NULL);
    put_frame(&fixture->value, fingerprint_of_file(path));
    return &fixture->value;
}

/* Begins a record of a topic in the contract's own schema. */
static inline struct buf *fixture_begin(struct fixture *fixture, enum topic topic)
{
    static uint64_t fingerprints[TOPIC_COUNT];
    if (!fingerprints[topic])
        fingerprints[topic] = fingerprint_of_file(topic_files[topic]);
    buf_reset(&fixture->value);
    put_frame(&fixture->value, fingerprints[topic]);
    return &fixture->value;
}

/* Branches of the payload unions, as the contract's files order them. */
enum { QUEUED = 0, RANK_CHANGED = 12, UPDATED = 15, TICKET_PRINTED = 16, MEETING_SET = 17 };
enum { UNIT_SELECTED = 0, UNIT_CLEARED = 1, WORKSPACES_SELECTED = 2 };
enum { UNIT_UPSERTED = 0, INBOX_UPSERTED = 3, APPLICATION_UPSERTED = 8, ENTITY_REMOVED = 9 };

static inline struct buf *fixture_begin_case(struct fixture *fixture, int payload)
{
    struct buf *out = fixture_begin(fixture, TOPIC_CASES);
    put_envelope(out, 7);
    put_long(out, payload);
    return out;
}

static inline struct buf *fixture_begin_agent(struct fixture *fixture, int payload)
{
    struct buf *out = fixture_begin(fixture, TOPIC_AGENTS);
    put_envelope(out, 7);
    put_long(out, payload);
    return out;
}

static inline struct buf *fixture_begin_directory(struct fixture *fixture, int payload)
{
    struct buf *out = fixture_begin(fixture, TOPIC_DIRECTORY);
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    put_text(out, ID);
    put_long(out, 7);
    put_long(out, SOME_DAY);
    put_long(out, payload);
    return out;
}

/* Fills the output with a pattern, so that fields that decoding does not set are visible. */
static inline enum decode_outcome fixture_decode(struct fixture *fixture, enum topic topic, struct str key,
                                                 struct str value)
{
    struct record record = {.topic = topic, .key = key, .value = value};
    arena_reset(fixture->arena);
    memset(&fixture->result, 0xa5, sizeof fixture->result);
    fixture->err.text[0] = '\0';
    return decode_record(fixture->schemas, &record, fixture->arena, &fixture->result, &fixture->err);
}

/* The written bytes in a block of exactly their size, so that a sanitizer detects any read past them. */
static inline enum decode_outcome fixture_decode_written(struct fixture *fixture, enum topic topic, const char *key)
{
    free(fixture->copy);
    fixture->copy = malloc(fixture->value.len ? fixture->value.len : 1);
    memcpy(fixture->copy, fixture->value.data, fixture->value.len);
    return fixture_decode(fixture, topic, str_of(key), (struct str){fixture->copy, fixture->value.len});
}

static inline void assert_decoded(struct fixture *fixture, enum topic topic, const char *key)
{
    enum decode_outcome outcome = fixture_decode_written(fixture, topic, key);
    if (outcome == DECODE_PARK)
        fail_msg("parked as %s: %s", park_reason_name(fixture->result.reason), fixture->err.text);
    assert_int_equal(outcome, DECODE_EVENT);
}

static inline void assert_parked(struct fixture *fixture, enum topic topic, const char *key, enum park_reason reason)
{
    assert_int_equal(fixture_decode_written(fixture, topic, key), DECODE_PARK);
    assert_string_equal(park_reason_name(fixture->result.reason), park_reason_name(reason));
    assert_string_not_equal(fixture->err.text, "");
    assert_int_equal(arena_used(fixture->arena), 0);
}

static inline void assert_err_has(const struct fixture *fixture, const char *text)
{
    if (!strstr(fixture->err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", fixture->err.text, text);
}

static inline void assert_uuid(const struct uuid *uuid, const char *text)
{
    char own[UUID_TEXT_LEN + 1];
    uuid_format(uuid, own);
    assert_string_equal(own, text);
}

/* text NULL: no organization is known. */
static inline void assert_organization(const struct fixture *fixture, const char *text)
{
    assert_int_equal(fixture->result.has_organization, text != NULL);
    if (text != NULL)
        assert_uuid(&fixture->result.organization_id, text);
}

static inline void assert_text(struct str text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

#endif
