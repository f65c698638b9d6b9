/* Encoded events decode to the same values: each payload of each topic, in both framings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "caseview/fetch.h"
#include "deploy/dev/encode.h"
#include "tests/support/fake_registry.h"
#include "tests/unit/dev/event_json.h"
#include "workers/fold/case.h"
#include "workers/source/decode.h"

#define FOLDER CASEVIEW_SOURCE_DIR "/schemas/avro"

static const char *const files[TOPIC_COUNT] = {FOLDER "/case-event.avsc", FOLDER "/agent-event.avsc",
                                               FOLDER "/directory-event.avsc"};
static const char *const subjects[TOPIC_COUNT] = {"cases-value", "agents-value", "directory-value"};

/* Both framings: [0] single-object, [1] registry. */
static struct {
    struct encoder *encoder;
    struct schemas *schemas;
} framings[2];
static struct fake_registry registry;
static struct arena *arena;

/* The registry's answer {"schema": "…"}. Never freed: the registry borrows it. */
static char *schema_answer(const char *path)
{
    json_error_t where;
    json_t *schema = json_load_file(path, 0, &where);
    if (!schema)
        abort();
    char *text = json_dumps(schema, JSON_COMPACT);
    json_t *answer = json_pack("{s:s}", "schema", text);
    char *dump = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(schema);
    free(text);
    return dump;
}

static char *answers[TOPIC_COUNT];

static int setup(void **state CV_UNUSED)
{
    static const char *const registered[] = {"{\"id\":7}", "{\"id\":70000}", "{\"id\":4294967295}"};
    static const char *const posts[] = {"/apis/subjects/cases-value/versions", "/apis/subjects/agents-value/versions",
                                        "/apis/subjects/directory-value/versions"};
    static const char *const gets[] = {"/apis/schemas/ids/7", "/apis/schemas/ids/70000",
                                       "/apis/schemas/ids/4294967295"};
    fake_registry_start(&registry);
    for (int i = 0; i < TOPIC_COUNT; i++) {
        answers[i] = schema_answer(files[i]);
        fake_registry_answer(&registry, posts[i], 200, registered[i]);
        fake_registry_answer(&registry, gets[i], 200, answers[i]);
    }
    struct err err = ERR_INIT;
    struct encoder_options options = {.schema_dir = FOLDER, .subjects = {subjects[0], subjects[1], subjects[2]}};
    bool ok = encoder_open(&options, &framings[0].encoder, &err) == CV_OK &&
              schemas_open(FOLDER, NULL, &framings[0].schemas, &err) == CV_OK;
    options.registry = registry.url;
    ok = ok && encoder_open(&options, &framings[1].encoder, &err) == CV_OK &&
         schemas_open(NULL, registry.url, &framings[1].schemas, &err) == CV_OK;
    if (!ok)
        print_error("%s\n", err.text);
    arena = arena_new(1 << 16, DECODE_ARENA_MAX);
    return ok ? 0 : -1;
}

static int teardown(void **state CV_UNUSED)
{
    for (int i = 0; i < 2; i++) {
        encoder_close(framings[i].encoder);
        schemas_close(framings[i].schemas);
    }
    arena_free(arena);
    fake_registry_stop(&registry);
    for (int i = 0; i < TOPIC_COUNT; i++)
        free(answers[i]);
    return 0;
}

/* Replaces single quotes by double ones. */
static json_t *parse(const char *quoted)
{
    char *text = strdup(quoted);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_error_t where;
    json_t *json = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &where);
    if (!json)
        fail_msg("%s: %s", where.text, text);
    free(text);
    return json;
}

#define G(n)    "'0b6e2f3a-1111-4a5b-8c9d-00000000000" n "'"
#define ORG     G("1")
#define KEY     G("2")
#define REF(n)  "{'id':" G(n) ",'name':'Name " n "'}"
#define USER(n) "{'userId':" G(n) ",'displayName':'D\xc3\xa9 " n "','initials':'D','picture':'https://x/" n "'}"
#define INBOX   "{'id':" G("9") ",'name':'Inbox','colorCode':'#03a9f4'}"
#define S       "'status':'Active','statusDate':-1,"
#define T       ",'caseTimestamp':1712834033404068"
#define FULL                                                                                                          \
    "{'ticket':{'prefix':'A','suffix':'','number':-119},'serviceCategory':" REF("3") ",'serviceType':" REF(           \
        "4") "," S                                                                                                    \
             "'referenceDate':1709216427330563,'dateOpened':-62135596800000000,'dateClosed':253402300799999999,'"     \
             "assignedTo':" USER("5") ",'lockedBy':" USER("6") ",'channel':'','rank':-0.15625,'unit':" REF(           \
                 "7") ",'inbox':" INBOX T                                                                             \
                      ",'workstation':" REF("8") ",'customer':{'dataTableId':" G("a") ",'recordId':" G(               \
                          "b") ",'displayName':'B'},"                                                                 \
                               "'onlineMeeting':'{}','printedTicket':true,'contactPhoneNumber':'+1','contactEmail':'" \
                               "a@b','entryMode':'WalkIn'}"
#define BARE                                                                                                          \
    "{'ticket':null,'serviceCategory':{'id':" G("3") ",'name':null},'serviceType':{'id':" G(                          \
        "4") ",'name':null}," S "'referenceDate':0,'dateOpened':0,'dateClosed':null,'assignedTo':null,'lockedBy':"    \
             "null,'channel':'Phone','rank':0.0,"                                                                     \
             "'unit':{'id':" G("7") ",'name':null},'inbox':{'id':" G(                                                 \
                 "9") ",'name':null,'colorCode':null}" T ",'workstation':null,'customer':null,'onlineMeeting':null,'" \
                      "printedTicket':false,'contactPhoneNumber':null,"                                               \
                      "'contactEmail':null,'entryMode':'X'}"

static const struct {
    const char *topic;
    const char *id; /* the name of the key's field */
    const char *payload;
    const char *kind; /* of a directory key */
} events[] = {
    {"case", "caseId", "{'CaseQueued':{'case':" FULL "}}", NULL},
    {"case", "caseId", "{'CaseQueued':{'case':" BARE "}}", NULL},
    {"case", "caseId", "{'AppointmentBooked':{'case':" FULL "}}", NULL},
    {"case", "caseId",
     "{'AppointmentCheckedIn':{" S "'rank':1.5,'ticket':{'prefix':null,'suffix':null,'number':1}" T "}}", NULL},
    {"case", "caseId", "{'AppointmentCheckedIn':{" S "'rank':1.5,'ticket':null" T "}}", NULL},
    {"case", "caseId", "{'AppointmentCancelled':{" S "'dateClosed':5" T "}}", NULL},
    {"case", "caseId", "{'QueueAbandoned':{" S "'dateClosed':5" T "}}", NULL},
    {"case", "caseId", "{'CaseStatusChanged':{'status':'\xe2\x82\xac','statusDate':1" T "}}", NULL},
    {"case", "caseId", "{'CaseServiceStarted':{" S "'lockedBy':" USER("5") ",'workstation':" REF("8") T "}}", NULL},
    {"case", "caseId",
     "{'CaseServiceStarted':{" S "'lockedBy':{'userId':" G("5") ",'displayName':null,'initials':null,'picture':null},"
                                                                "'workstation':null" T "}}",
     NULL},
    {"case", "caseId", "{'CaseReturnedToQueue':{" S "'rank':2.5" T "}}", NULL},
    {"case", "caseId",
     "{'CaseMoved':{" S "'inbox':" INBOX
     ",'unit':" REF("7") ",'rank':3.0,'lockedBy':" USER("6") ",'workstation':" REF("8") T "}}",
     NULL},
    {"case", "caseId",
     "{'CaseMoved':{" S "'inbox':" INBOX ",'unit':" REF("7") ",'rank':3.0,'lockedBy':null,'workstation':null" T "}}",
     NULL},
    {"case", "caseId", "{'CaseResolved':{'statusDate':8" T "}}", NULL},
    {"case", "caseId", "{'CaseReopened':{" S "'rank':4.0" T "}}", NULL},
    {"case", "caseId", "{'CaseClosed':{'statusDate':8,'dateClosed':9" T "}}", NULL},
    {"case", "caseId", "{'CasePositionChanged':{'rank':-4.25" T "}}", NULL},
    {"case", "caseId", "{'CaseUserAssigned':{'assignedTo':" USER("5") T "}}", NULL},
    {"case", "caseId", "{'CaseUserUnassigned':{'caseTimestamp':1}}", NULL},
    {"case", "caseId",
     "{'CaseUpdated':{'channel':null,'customer':null,'contactPhoneNumber':null,'contactEmail':null" T "}}", NULL},
    {"case", "caseId",
     "{'CaseUpdated':{'channel':'Video','customer':{'value':null},'contactPhoneNumber':{'value':null},"
     "'contactEmail':{'value':'e'}" T "}}",
     NULL},
    {"case", "caseId",
     "{'CaseUpdated':{'channel':null,'customer':{'value':{'dataTableId':" G("a") ",'recordId':" G(
         "b") ",'displayName':null}},'contactPhoneNumber':{'value':'p'},'contactEmail':{'value':null}" T "}}",
     NULL},
    {"case", "caseId", "{'CaseTicketPrinted':{'caseTimestamp':2}}", NULL},
    {"case", "caseId", "{'CaseOnlineMeetingSet':{'onlineMeeting':'{ }'" T "}}", NULL},
    {"case", "caseId", "{'CaseOnlineMeetingSet':{'onlineMeeting':null" T "}}", NULL},
    {"agent", "userId", "{'AgentCurrentUnitSelected':{'unitId':" G("7") "}}", NULL},
    {"agent", "userId", "{'AgentCurrentUnitCleared':{}}", NULL},
    {"agent", "userId", "{'AgentWorkspacesSelected':{'unitId':" G("7") ",'workspaceIds':[" G("a") "," G("b") "]}}",
     NULL},
    {"agent", "userId", "{'AgentWorkspacesSelected':{'unitId':" G("7") ",'workspaceIds':[]}}", NULL},
    {"agent", "userId", "{'AgentUnitAccessRevoked':{'unitId':" G("7") "}}", NULL},
    {"directory", "entityId", "{'UnitUpserted':{'name':'Jerusalem'}}", "unit"},
    {"directory", "entityId", "{'ServiceCategoryUpserted':{'name':'Inquiry'}}", "service-category"},
    {"directory", "entityId", "{'ServiceTypeUpserted':{'serviceCategoryId':" G("3") ",'name':'Special'}}",
     "service-type"},
    {"directory", "entityId", "{'InboxUpserted':{'unitId':" G("7") ",'name':'In','colorCode':'#fff'}}", "inbox"},
    {"directory", "entityId", "{'InboxUpserted':{'unitId':" G("7") ",'name':'In','colorCode':null}}", "inbox"},
    {"directory", "entityId", "{'WorkstationUpserted':{'unitId':" G("7") ",'name':'Desk'}}", "workstation"},
    {"directory", "entityId", "{'WorkspaceUpserted':{'unitId':" G("7") ",'name':'Room'}}", "workspace"},
    {"directory", "entityId", "{'UserUpserted':{'displayName':'Jo','initials':'J','picture':'p'}}", "user"},
    {"directory", "entityId", "{'UserUpserted':{'displayName':'Jo','initials':null,'picture':null}}", "user"},
    {"directory", "entityId", "{'CustomerUpserted':{'dataTableId':" G("a") ",'displayName':'Cu'}}", "customer"},
    {"directory", "entityId",
     "{'ApplicationUpserted':{'clientId':'c','name':'App','roles':['Agent Impersonator',''],'enabled':true}}",
     "application"},
    {"directory", "entityId", "{'ApplicationUpserted':{'clientId':'c','name':'App','roles':[],'enabled':false}}",
     "application"},
    {"directory", "entityId", "{'EntityRemoved':{'kind':'workspace'}}", "workspace"},
};

static json_t *make_event(size_t i)
{
    json_t *payload = parse(events[i].payload);
    char text[1024];
    bool directory = strcmp(events[i].topic, "directory") == 0;
    snprintf(text, sizeof text,
             "{'topic':'%s','value':{'eventId':" G("0") ",'organizationId':" ORG ",'%s':" KEY
                                                        ",'%s':41,'occurredAt':'2024-04-11T11:13:38.008222Z'%s}}",
             events[i].topic, events[i].id, directory ? "version" : "sequence",
             directory ? ""
             : i % 2   ? ",'actor':null"
                       : ",'actor':{'kind':'user','userId':" G("5") "}");
    json_t *event = parse(text);
    json_object_set_new(json_object_get(event, "value"), "payload", payload);
    return event;
}

/* Removes members that a decoded event does not have. */
static json_t *kept_part(const json_t *event)
{
    json_t *value = json_deep_copy(json_object_get(event, "value"));
    json_object_del(value, "eventId");
    json_object_del(value, "occurredAt");
    json_object_del(value, "actor");
    return value;
}

static void assert_same(json_t *actual, json_t *expected)
{
    char *a = json_dumps(actual, JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    char *b = json_dumps(expected, JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    assert_string_equal(a, b);
    free(a);
    free(b);
    json_decref(actual);
    json_decref(expected);
}

static void test_encode_every_payload_decodes_to_itself(void **state CV_UNUSED)
{
    static bool seen[CASE_EVENT_TYPE_COUNT];
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        json_t *event = make_event(i);
        for (int f = 0; f < 2; f++) {
            CV_CLEANUP(buf_done) struct buf key, value;
            buf_init(&key, 1 << 10);
            buf_init(&value, 1 << 16);
            struct err err = ERR_INIT;
            struct record record = {0};
            bool null = true;
            if (encoder_encode(framings[f].encoder, event, &record.topic, &key, &value, &null, &err) != CV_OK)
                fail_msg("%s", err.text);
            assert_false(null);
            assert_int_equal((uint8_t)value.data[0], f ? 0 : 0xc3);
            record.key = (struct str){key.data, key.len};
            record.value = (struct str){value.data, value.len};
            if (events[i].kind) {
                char expected[128];
                snprintf(expected, sizeof expected, "%s:%.36s:%.36s", events[i].kind, &ORG[1], &KEY[1]);
                assert_string_equal(key.data, expected);
            }
            struct decode_result result;
            memset(&result, 0xa5, sizeof result); /* fields that the decoder does not set must not matter */
            arena_reset(arena);
            enum decode_outcome outcome = decode_record(framings[f].schemas, &record, arena, &result, &err);
            if (outcome == DECODE_WAIT) {
                assert_int_equal(schemas_wait(framings[f].schemas, 10000), CV_OK);
                outcome = decode_record(framings[f].schemas, &record, arena, &result, &err);
            }
            if (outcome != DECODE_EVENT)
                fail_msg("%s: %s", events[i].payload, err.text);
            assert_same(value_json(&result.event), kept_part(event));
            if (result.event.topic == TOPIC_CASES)
                seen[result.event.c.type] = true;
        }
        json_decref(event);
    }
    for (int type = CASE_UNKNOWN_TYPE + 1; type < CASE_EVENT_TYPE_COUNT; type++)
        assert_true(seen[type]);
}

/* Folds one event, decoded onto memory full of one byte, into a case that has a snapshot. */
static void fold_onto(const struct record *snapshot, const struct record *record, int byte, struct buf *out)
{
    struct decode_result result;
    struct case_state state;
    struct err err = ERR_INIT;
    memset(&result, byte, sizeof result);
    if (decode_record(framings[0].schemas, snapshot, arena, &result, &err) != DECODE_EVENT)
        fail_msg("%s", err.text);
    case_init(&state, &result.event.c.organization_id);
    result.event.c.sequence = 1;
    assert_int_equal(case_apply(&state, &result.event.c), FOLD_APPLIED);
    memset(&result, byte, sizeof result);
    if (decode_record(framings[0].schemas, record, arena, &result, &err) != DECODE_EVENT)
        fail_msg("%s", err.text);
    result.event.c.sequence = 2;
    assert_int_equal(case_apply(&state, &result.event.c), FOLD_APPLIED);
    case_store(&state, out);
}

/* The decoder sets and clears only the fields of an event's payload: the fold must read no other. */
static void test_decode_onto_any_memory_folds_to_the_same(void **state CV_UNUSED)
{
    struct buf keys[2], values[2], blobs[2];
    size_t compared = 0;
    struct record records[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        buf_init(&keys[i], 1 << 10);
        buf_init(&values[i], 1 << 16);
        buf_init(&blobs[i], 1 << 16);
    }
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        size_t chosen[2] = {0, i}; /* the first event is a snapshot */
        for (int r = 0; r < 2; r++) {
            json_t *event = make_event(chosen[r]);
            struct err err = ERR_INIT;
            bool null;
            buf_reset(&keys[r]);
            buf_reset(&values[r]);
            assert_int_equal(
                encoder_encode(framings[0].encoder, event, &records[r].topic, &keys[r], &values[r], &null, &err),
                CV_OK);
            json_decref(event);
            records[r].key = (struct str){keys[r].data, keys[r].len};
            records[r].value = (struct str){values[r].data, values[r].len};
        }
        if (records[1].topic != TOPIC_CASES)
            continue;
        compared++;
        arena_reset(arena);
        buf_reset(&blobs[0]);
        buf_reset(&blobs[1]);
        fold_onto(&records[0], &records[1], 0, &blobs[0]);
        fold_onto(&records[0], &records[1], 0xa5, &blobs[1]);
        assert_int_equal(blobs[0].len, blobs[1].len);
        assert_memory_equal(blobs[0].data, blobs[1].data, blobs[0].len);
    }
    assert_in_range(compared, CASE_EVENT_TYPE_COUNT - 1, ARRAY_LEN(events));
    for (int i = 0; i < 2; i++) {
        buf_done(&keys[i]);
        buf_done(&values[i]);
        buf_done(&blobs[i]);
    }
}

/* Each encoded event, cut at each byte, is refused without a crash. */
static void test_encode_cut_anywhere_parks(void **state CV_UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        json_t *event = make_event(i);
        CV_CLEANUP(buf_done) struct buf key, value;
        buf_init(&key, 1 << 10);
        buf_init(&value, 1 << 16);
        struct err err = ERR_INIT;
        struct record record = {0};
        bool null;
        assert_int_equal(encoder_encode(framings[0].encoder, event, &record.topic, &key, &value, &null, &err), CV_OK);
        json_decref(event);
        for (size_t len = 0; len < value.len; len++) {
            char *copy = malloc(len ? len : 1);
            memcpy(copy, value.data, len);
            record.key = (struct str){key.data, key.len};
            record.value = (struct str){copy, len};
            struct decode_result result;
            arena_reset(arena);
            assert_int_equal(decode_record(framings[0].schemas, &record, arena, &result, &err), DECODE_PARK);
            assert_int_equal(result.reason, PARK_NOT_AVRO);
            free(copy);
        }
    }
}

static void test_encode_keys_and_nulls(void **state CV_UNUSED)
{
    static const struct {
        const char *event;
        const char *key;
        bool null;
    } cases[] = {
        {"{'topic':'directory','key':'unit:a:b','value':null}", "unit:a:b", true},
        {"{'topic':'case','key':'','value':null}", "", true},
        {"{'topic':'agent','key':'mine','value':{'eventId':'e','organizationId':'o','userId':'U','sequence':1,"
         "'occurredAt':0,'payload':{'AgentCurrentUnitCleared':{}}}}",
         "mine", false},
        {"{'topic':'agent','value':{'eventId':'e','organizationId':'o','userId':'0B6E2F3A-1111-4A5B-8C9D-000000000001',"
         "'sequence':1,'occurredAt':0,'payload':{'AgentCurrentUnitCleared':{}}}}",
         "0b6e2f3a-1111-4a5b-8c9d-000000000001", false},
        {"{'topic':'agent','value':{'eventId':'e','organizationId':'o','userId':'Not A Guid','sequence':1,"
         "'occurredAt':0,'payload':{'AgentCurrentUnitCleared':{}}}}",
         "Not A Guid", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *event = parse(cases[i].event);
        CV_CLEANUP(buf_done) struct buf key, value;
        buf_init(&key, 1 << 10);
        buf_init(&value, 1 << 16);
        struct err err = ERR_INIT;
        enum topic topic;
        bool null = !cases[i].null;
        if (encoder_encode(framings[0].encoder, event, &topic, &key, &value, &null, &err) != CV_OK)
            fail_msg("%s", err.text);
        assert_string_equal(key.data ? key.data : "", cases[i].key);
        assert_int_equal(null, cases[i].null);
        assert_int_equal(value.len == 0, cases[i].null);
        json_decref(event);
    }
}

static void test_encode_names_the_bad_field(void **state CV_UNUSED)
{
#define AGENT(payload)                                                                                                \
    "{'topic':'agent','value':{'eventId':'e','organizationId':'o','userId':'u','sequence':1,'occurredAt':0,'payload'" \
    ":" payload "}}"
#define CASE(payload)                                                                                                \
    "{'topic':'case','value':{'eventId':'e','organizationId':'o','caseId':'u','sequence':1,'occurredAt':0,'payload'" \
    ":" payload "}}"
    static const struct {
        const char *event;
        const char *says;
    } cases[] = {
        {"[]", "object"},
        {"{'topic':'cases','value':null,'key':'k'}", "topic"},
        {"{'topic':'case','value':null}", "key"},
        {"{'topic':'case','value':null,'key':1}", "key"},
        {"{'topic':'case'}", "value"},
        {"{'topic':'case','value':null,'key':'k','keys':1}", "nothing else"},
        {"{'topic':'case','value':1}", "value: needs an object"},
        {"{'topic':'agent','value':{}}", "eventId: is missing"},
        {AGENT("null"), "payload: needs an object"},
        {AGENT("{}"), "payload: needs an object"},
        {AGENT("{'AgentGone':{}}"), "payload: AgentGone: no such type"},
        {AGENT("{'AgentCurrentUnitSelected':{}}"), "payload: AgentCurrentUnitSelected: unitId: is missing"},
        {AGENT("{'AgentCurrentUnitSelected':{'unitId':1}}"), "unitId: needs a text"},
        {AGENT("{'AgentCurrentUnitSelected':{'unitId':'u','x':1}}"), "x: no such field"},
        {AGENT("{'AgentWorkspacesSelected':{'unitId':'u','workspaceIds':['w',2]}}"), "workspaceIds: 1: needs a text"},
        {CASE("{'CasePositionChanged':{'rank':'high','caseTimestamp':0}}"), "rank: needs a number"},
        {CASE("{'CasePositionChanged':{'rank':1,'caseTimestamp':'yesterday'}}"), "caseTimestamp: needs a whole number"},
        {CASE("{'CasePositionChanged':{'rank':1,'caseTimestamp':1.5}}"), "caseTimestamp"},
        {CASE("{'CaseUpdated':{'contactEmail':'x','caseTimestamp':0}}"), "contactEmail: needs an object"},
        {CASE("{'AppointmentCheckedIn':{'status':'s','statusDate':0,'rank':1,'ticket':{'number':3000000000},"
              "'caseTimestamp':0}}"),
         "number: needs a whole number of 32 bits"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *event = parse(cases[i].event);
        CV_CLEANUP(buf_done) struct buf key, value;
        buf_init(&key, 1 << 10);
        buf_init(&value, 1 << 16);
        struct err err = ERR_INIT;
        enum topic topic;
        bool null;
        assert_int_equal(encoder_encode(framings[0].encoder, event, &topic, &key, &value, &null, &err), CV_PARK);
        if (!strstr(err.text, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
        json_decref(event);
    }
}

/* Times as text equal times in microseconds. NaN and NUL, which no valid event has, can be written for tests. */
static void test_encode_times_and_odd_values(void **state CV_UNUSED)
{
    static const struct {
        const char *event;
        enum park_reason reason;
        int64_t us;
    } cases[] = {
        {CASE("{'CaseTicketPrinted':{'caseTimestamp':'2024-04-11T11:13:38.008222Z'}}"), PARK_NONE, 1712834018008222},
        {CASE("{'CaseTicketPrinted':{'caseTimestamp':'2024-04-11T11:13:38.5Z'}}"), PARK_NONE, 1712834018500000},
        {CASE("{'CaseTicketPrinted':{'caseTimestamp':'0001-01-01T00:00:00Z'}}"), PARK_NONE, -62135596800000000},
        {CASE("{'CaseTicketPrinted':{'caseTimestamp':'9999-12-31T23:59:59.999999Z'}}"), PARK_NONE, 253402300799999999},
        {CASE("{'CasePositionChanged':{'rank':'NaN','caseTimestamp':0}}"), PARK_BAD_RANK, 0},
        {CASE("{'CasePositionChanged':{'rank':'-Infinity','caseTimestamp':0}}"), PARK_BAD_RANK, 0},
        {CASE("{'CaseStatusChanged':{'status':'a\\u0000b','statusDate':0,'caseTimestamp':0}}"), PARK_BAD_TEXT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *event = parse(cases[i].event);
        json_t *content = json_object_get(event, "value");
        static const char *const ids[] = {"eventId", "organizationId", "caseId"};
        for (size_t id = 0; id < ARRAY_LEN(ids); id++)
            json_object_set_new(content, ids[id], json_pack("s", "0b6e2f3a-1111-4a5b-8c9d-000000000001"));
        CV_CLEANUP(buf_done) struct buf key, value;
        buf_init(&key, 1 << 10);
        buf_init(&value, 1 << 16);
        struct err err = ERR_INIT;
        struct record record = {0};
        bool null;
        if (encoder_encode(framings[0].encoder, event, &record.topic, &key, &value, &null, &err) != CV_OK)
            fail_msg("%s", err.text);
        json_decref(event);
        record.key = (struct str){key.data, key.len};
        record.value = (struct str){value.data, value.len};
        struct decode_result result;
        arena_reset(arena);
        enum decode_outcome outcome = decode_record(framings[0].schemas, &record, arena, &result, &err);
        assert_int_equal(result.reason, cases[i].reason);
        assert_int_equal(outcome, result.reason == PARK_NONE ? DECODE_EVENT : DECODE_PARK);
        if (outcome == DECODE_EVENT)
            assert_int_equal(result.event.c.fields.case_timestamp, cases[i].us);
    }
}

static void test_open_without_its_schemas_or_registry_fails(void **state CV_UNUSED)
{
    struct encoder *encoder = NULL;
    struct err err = ERR_INIT;
    struct encoder_options options = {.schema_dir = "/nonexistent", .subjects = {"a", "b", "c"}};
    assert_int_equal(encoder_open(&options, &encoder, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "/nonexistent/case-event.avsc"));
    options.schema_dir = FOLDER;
    options.registry = "http://127.0.0.1:1";
    assert_int_equal(encoder_open(&options, &encoder, &err), CV_RETRY);
    options.registry = registry.url; /* has no such subject */
    assert_int_equal(encoder_open(&options, &encoder, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "404"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_every_payload_decodes_to_itself),
        cmocka_unit_test(test_decode_onto_any_memory_folds_to_the_same),
        cmocka_unit_test(test_encode_cut_anywhere_parks),
        cmocka_unit_test(test_encode_keys_and_nulls),
        cmocka_unit_test(test_encode_names_the_bad_field),
        cmocka_unit_test(test_encode_times_and_odd_values),
        cmocka_unit_test(test_open_without_its_schemas_or_registry_fails),
    };
    fetch_global_init();
    return cmocka_run_group_tests(tests, setup, teardown);
}
