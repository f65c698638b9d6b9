/*
 * Any bytes as a record's value, in a schema with everything that a newer writer could add (maps, enums, recursion), as
 * a key, as a schema and as texts: never a crash, and a decoded event satisfies event.h. The first byte chooses.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "workers/source/avro_decoder.h"
#include "workers/source/decode.h"
#include "workers/source/fingerprint.h"
#include "workers/source/plan.h"
#include "workers/source/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FOLDER CASEVIEW_SOURCE_DIR "/schemas/avro"
#define ORG    "0b6e2f3a-2222-4a5b-8c9d-000000000002"
#define ID     "0b6e2f3a-3333-4a5b-8c9d-00000000abcd"

#define NEWER                                                                                                          \
    "{\"type\":\"record\",\"name\":\"AgentEvent\",\"fields\":[{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":"  \
    "[\"bytes\",\"double\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}]}},{\"name\":\"tree\",\"type\":{"    \
    "\"type\":\"record\",\"name\":\"Tree\",\"fields\":[{\"name\":\"c\",\"type\":{\"type\":\"array\",\"items\":"        \
    "[\"null\",\"Tree\"]}},{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}}]}},"               \
    "{\"name\":\"eventId\",\"type\":\"string\"},{\"name\":\"organizationId\",\"type\":\"bytes\"},{\"name\":"           \
    "\"userId\","                                                                                                      \
    "\"type\":\"string\"},{\"name\":\"sequence\",\"type\":[\"int\",\"string\"]},{\"name\":\"occurredAt\",\"type\":"    \
    "\"long\"},{\"name\":\"payload\",\"type\":[{\"type\":\"record\",\"name\":\"AgentWorkspacesSelected\",\"fields\":[" \
    "{\"name\":\"unitId\",\"type\":\"string\"},{\"name\":\"workspaceIds\",\"type\":{\"type\":\"array\",\"items\":"     \
    "\"string\"}}]},\"Tree\"]}]}"

static struct schemas *schemas;
static struct arena *arena;
static struct schema_plan *newer;
static uint64_t fingerprints[TOPIC_COUNT];

static void open_all(void)
{
    static const char *const files[TOPIC_COUNT] = {FOLDER "/case-event.avsc", FOLDER "/agent-event.avsc",
                                                   FOLDER "/directory-event.avsc"};
    struct err err = ERR_INIT;
    arena = arena_new(1 << 16, DECODE_ARENA_MAX);
    if (schemas_open(FOLDER, NULL, &schemas, &err) != CV_OK || plan_compile(STR(NEWER), NULL, &newer, &err) != CV_OK)
        abort();
    for (int i = 0; i < TOPIC_COUNT; i++) {
        static char text[1 << 16];
        FILE *file = fopen(files[i], "re");
        if (!file)
            abort();
        size_t len = fread(text, 1, sizeof text, file);
        fclose(file);
        if (fingerprint_of((struct str){text, len}, &fingerprints[i], &err) != CV_OK)
            abort();
    }
}

static void check_text(struct str text)
{
    assert(text.ptr || text.len == 0);
    assert(!text.ptr || utf8_valid_no_nul(text));
}

static void check_event(const struct event *event)
{
    if (event->topic == TOPIC_CASES) {
        const struct case_fields *f = &event->c.fields;
        assert(event->c.sequence >= 1 && isfinite(f->rank));
        assert(f->case_timestamp >= CLOCK_MIN_US && f->case_timestamp <= CLOCK_MAX_US);
        check_text(f->status);
        check_text(f->customer.display_name);
        check_text(f->online_meeting);
        assert(!f->online_meeting.ptr || f->online_meeting.ptr[0] == '{');
    } else if (event->topic == TOPIC_AGENTS) {
        assert(event->a.sequence >= 1);
        assert(event->a.workspace_ids || event->a.workspace_count == 0);
    } else {
        check_text(event->d.fields.name);
        for (size_t i = 0; i < event->d.fields.role_count; i++)
            check_text(event->d.fields.roles[i]);
    }
}

static void decode(enum topic topic, struct str key, struct str value)
{
    struct record record = {.topic = topic, .key = key, .value = value};
    struct decode_result result;
    struct err err = ERR_INIT;
    arena_reset(arena);
    enum decode_outcome outcome = decode_record(schemas, &record, arena, &result, &err);
    assert(outcome == DECODE_EVENT || outcome == DECODE_PARK);
    assert((outcome == DECODE_EVENT) == (result.reason == PARK_NONE));
    if (outcome == DECODE_EVENT)
        check_event(&result.event);
    else
        assert(err.text[0]);
}

/* The body of a record, its key the one that it must have. */
static void decode_body(enum topic topic, struct str body)
{
    static const char *const keys[TOPIC_COUNT] = {ID, ID, "application:" ORG ":" ID};
    char *value = malloc(body.len + 10);
    value[0] = (char)0xc3;
    value[1] = 1;
    for (int i = 0; i < 8; i++)
        value[2 + i] = (char)(fingerprints[topic] >> (8 * i));
    memcpy(value + 10, body.ptr, body.len);
    decode(topic, str_of(keys[topic]), (struct str){value, body.len + 10});
    free(value);
}

static void decode_newer(struct str body)
{
    struct avro_decoder decoder;
    struct event event = {.topic = TOPIC_AGENTS};
    struct err err = ERR_INIT;
    arena_reset(arena);
    if (avro_decoder_run(&decoder, newer->branches[0].root, body, &event, &err) == CV_OK &&
        avro_decoder_keep_list(&decoder, arena, &event))
        check_event(&event);
}

static void compile(struct str schema)
{
    struct schema_plan *plan;
    struct err err = ERR_INIT;
    if (plan_compile(schema, NULL, &plan, &err) == CV_OK)
        plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!schemas)
        open_all();
    if (size == 0)
        return 0;
    struct str rest = {(const char *)data + 1, size - 1};
    struct str object;
    const char *fault;
    switch (data[0] % 8) {
    case 0:
    case 1:
    case 2:
        decode_body((enum topic)(data[0] % 8), rest);
        break;
    case 3:
        decode(TOPIC_DIRECTORY, rest, STR_NULL);
        break;
    case 4:
        decode(TOPIC_CASES, STR(ID), rest);
        break;
    case 5:
        decode_newer(rest);
        break;
    case 6:
        compile(rest);
        break;
    default:
        if (utf8_valid_no_nul(rest) && text_json_object(rest, &object, &fault) == PARK_NONE)
            assert(object.len >= 2 && object.ptr[0] == '{' && object.ptr[object.len - 1] == '}');
        break;
    }
    return 0;
}
