/* Schemas that writers register: unions at the top, logical types, names that the specification does not allow. */
#include "tests/unit/source/writer_fixture.h"

/* clang-format off */
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define FIELD(name, type)    "{\"name\":\"" name "\",\"type\":" type "}"
#define STRING(name)         FIELD(name, "\"string\"")
#define LOGICAL(type, name)  "{\"type\":\"" type "\",\"logicalType\":\"" name "\"}"
#define FIXED(name, size, logical) \
    "{\"type\":\"fixed\",\"name\":\"" name "\",\"size\":" size ",\"logicalType\":\"" logical "\"}"

#define CLEARED   RECORD("AgentCurrentUnitCleared", "")
#define SELECTED(id) RECORD("AgentCurrentUnitSelected", FIELD("unitId", id))
#define HEAD(id)  STRING("eventId") "," STRING("organizationId") "," FIELD("userId", id) "," \
                  FIELD("sequence", "\"long\"") "," FIELD("occurredAt", "\"long\"") ","
#define AGENT(payload) RECORD("caseview.AgentEvent", HEAD("\"string\"") FIELD("payload", "[" payload "]"))
#define HEARTBEAT RECORD("com.acme.Heartbeat", STRING("host") "," FIELD("load", "\"double\""))
/* clang-format on */

/* A union at the top. */

#define BRANCHES "[\"null\"," HEARTBEAT "," AGENT(CLEARED) ",\"string\"]"
enum { BRANCH_NULL, BRANCH_HEARTBEAT, BRANCH_AGENT, BRANCH_STRING, BRANCH_COUNT };

static void write_branch(int branch)
{
    struct buf *out = write_with(BRANCHES);
    put_long(out, branch);
    switch (branch) {
    case BRANCH_HEARTBEAT:
        put_text(out, "\xff"); /* unused fields are not checked */
        buf_append(out, "12345678", 8);
        break;
    case BRANCH_AGENT:
        put_head(out);
        put_long(out, 0);
        break;
    case BRANCH_STRING:
        put_text(out, "hello");
        break;
    }
}

static void test_top_union_is_resolved_by_its_branch(void **state CV_UNUSED)
{
    write_branch(BRANCH_AGENT);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
    assert_int_equal(fixture.result.event.a.sequence, 7);
    assert_parked(&fixture, TOPIC_AGENTS, OTHER_ID, PARK_KEY_MISMATCH);
    assert_organization(&fixture, ORG_ID);
    write_with(BRANCHES);
    put_long(&fixture.value, BRANCH_COUNT);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
    fixture.value.len--;
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
}

static void test_top_union_of_another_branch_is_skipped(void **state CV_UNUSED)
{
    static const int others[] = {BRANCH_NULL, BRANCH_HEARTBEAT, BRANCH_STRING};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        write_branch(others[i]);
        assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, "any key"), DECODE_SKIP);
        assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, NULL), DECODE_SKIP);
        buf_byte(&fixture.value, 0);
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
        assert_err_has(&fixture, "left over");
    }
    /* The record of another topic is skipped in this one. */
    write_branch(BRANCH_AGENT);
    assert_int_equal(fixture_decode_written(&fixture, TOPIC_CASES, ID), DECODE_SKIP);
    write_branch(BRANCH_HEARTBEAT);
    fixture.value.len--;
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
}

static void test_top_union_above_1_mib_parks(void **state CV_UNUSED)
{
    static char text[RECORD_MAX_BYTES];
    put_long(write_with(BRANCHES), BRANCH_STRING);
    put_bytes(&fixture.value, text, sizeof text);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_TOO_LARGE);
    assert_organization(&fixture, NULL);
}

/* Only records that use the incompatible branch are parked. */
static void test_top_union_with_an_incompatible_branch(void **state CV_UNUSED)
{
    struct buf *out = write_with("[" AGENT(CLEARED) "," RECORD("old.AgentEvent", STRING("organizationId")) "]");
    put_long(out, 1);
    put_text(out, ORG_ID);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_WRONG_TYPE);
    assert_err_has(&fixture, "eventId");
    assert_organization(&fixture, ORG_ID);
}

/* Logical types. */

#define PRINTED(type)                                                                     \
    RECORD("CaseEvent",                                                                   \
           STRING("eventId") "," STRING("organizationId") "," STRING("caseId") "," FIELD( \
               "sequence",                                                                \
               "\"long\"") "," FIELD("occurredAt",                                        \
                                     "\"long\"") "," FIELD("payload",                     \
                                                           RECORD("CaseTicketPrinted", FIELD("caseTimestamp", type))))

static void test_times_are_converted_by_their_logical_type(void **state CV_UNUSED)
{
    static const struct {
        const char *schema;
        int64_t written, us;
        bool good;
    } times[] = {
        {PRINTED("\"long\""), SOME_DAY, SOME_DAY, true},
        {PRINTED(LOGICAL("long", "timestamp-micros")), SOME_DAY, SOME_DAY, true},
        {PRINTED(LOGICAL("long", "local-timestamp-micros")), SOME_DAY, SOME_DAY, true},
        {PRINTED(LOGICAL("long", "timestamp-millis")), 1712834018008, INT64_C(1712834018008000), true},
        {PRINTED(LOGICAL("long", "local-timestamp-millis")), -1, -1000, true},
        {PRINTED("[\"null\"," LOGICAL("long", "timestamp-millis") "]"), 5, 5000, true},
        {PRINTED(LOGICAL("long", "timestamp-millis")), INT64_C(253402300799999), INT64_C(253402300799999000), true},
        {PRINTED(LOGICAL("long", "timestamp-millis")), INT64_C(253402300800000), 0, false},
        {PRINTED(LOGICAL("long", "timestamp-millis")), INT64_C(18446744073709552), 0, false},
        {PRINTED(LOGICAL("long", "timestamp-millis")), INT64_MAX, 0, false},
        {PRINTED(LOGICAL("long", "timestamp-millis")), INT64_MIN, 0, false},
        {PRINTED(LOGICAL("long", "timestamp-nanos")), INT64_C(1712834018008222999), SOME_DAY, true},
        {PRINTED(LOGICAL("long", "local-timestamp-nanos")), -1, -1, true},
        {PRINTED(LOGICAL("long", "timestamp-nanos")), -1000, -1, true},
        {PRINTED(LOGICAL("long", "timestamp-nanos")), INT64_MIN, INT64_C(-9223372036854776), true},
        {PRINTED(LOGICAL("long", "timestamp-nanos")), INT64_MAX, INT64_C(9223372036854775), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct buf *out = write_with(times[i].schema);
        put_head(out);
        if (strstr(times[i].schema, "\"null\""))
            put_long(out, 1);
        put_long(out, times[i].written);
        if (!times[i].good) {
            assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_TIME);
            continue;
        }
        assert_decoded(&fixture, TOPIC_CASES, ID);
        assert_int_equal(fixture.result.event.c.fields.case_timestamp, times[i].us);
    }
}

static void test_other_logical_types_of_times_and_ids_are_wrong(void **state CV_UNUSED)
{
    static const struct {
        const char *schema;
        enum topic topic;
        const char *says;
    } wrong[] = {
        {PRINTED(LOGICAL("long", "time-micros")), TOPIC_CASES,
         "caseTimestamp: the writer's long has the logical type time_micros"},
        {PRINTED(LOGICAL("int", "date")), TOPIC_CASES, "date"},
        {PRINTED(LOGICAL("int", "time-millis")), TOPIC_CASES, "time_millis"},
        {PRINTED(LOGICAL("long", "timestamp-micros2")), TOPIC_CASES, "timestamp_micros2"},
        {PRINTED(LOGICAL("long", "timestamp")), TOPIC_CASES, "timestamp"},
        {PRINTED(LOGICAL("string", "timestamp-millis")), TOPIC_CASES, "string"},
        {AGENT(SELECTED(LOGICAL("bytes", "decimal"))), TOPIC_AGENTS, "unitId"},
        {AGENT(SELECTED(FIXED("Id", "15", "uuid"))), TOPIC_AGENTS, "unitId"},
        {AGENT(SELECTED(FIXED("Id", "16", "decimal"))), TOPIC_AGENTS, "decimal"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        bool agent = wrong[i].topic == TOPIC_AGENTS;
        struct buf *out = write_with(wrong[i].schema);
        put_head(out);
        if (agent)
            put_long(out, 0);
        put_bytes(out, "0123456789012345", agent ? 16 : 2);
        assert_int_equal(fixture_decode_written(&fixture, wrong[i].topic, ID), DECODE_PARK);
        if (!strstr(wrong[i].schema, "fixed"))
            assert_int_equal(fixture.result.reason, PARK_WRONG_TYPE);
        assert_err_has(&fixture, wrong[i].says);
    }
}

/* On fields that are neither times nor ids they are ignored, as the specification says. */
static void test_logical_types_elsewhere_are_ignored(void **state CV_UNUSED)
{
    struct buf *out = write_with(RECORD(
        "DirectoryEvent",
        FIELD("trace", LOGICAL("bytes", "decimal")) "," STRING("eventId") "," STRING("organizationId") "," STRING(
            "entityId") "," FIELD("version",
                                  LOGICAL(
                                      "long",
                                      "x-\\u00e9\\\"")) "," FIELD("occurredAt",
                                                                  "\"long\"") "," FIELD("payload",
                                                                                        RECORD(
                                                                                            "UnitUpserted",
                                                                                            FIELD("name",
                                                                                                  LOGICAL("string",
                                                                                                          "1st"))))));
    put_bytes(out, "\x01\x02", 2);
    put_head(out);
    put_text(out, "North");
    assert_decoded(&fixture, TOPIC_DIRECTORY, "unit:" ORG_ID ":" ID);
    assert_text(fixture.result.event.d.fields.name, "North");
    assert_int_equal(fixture.result.event.d.version, 7);
}

static const uint8_t raw_id[16] = {0x0b, 0x6e, 0x2f, 0x3a, 0x33, 0x33, 0x4a, 0x5b, 0x8c, 0x9d, 0, 0, 0, 0, 0xab, 0xcd};

static void test_ids_may_be_16_bytes(void **state CV_UNUSED)
{
    /* The type is defined for one field and named by others. */
    struct buf *out = write_with(RECORD(
        "AgentEvent", HEAD(FIXED("Id", "16", "uuid")) FIELD(
                          "payload", "[" RECORD("AgentWorkspacesSelected",
                                                FIELD("unitId", LOGICAL("bytes", "uuid")) "," FIELD(
                                                    "workspaceIds", "{\"type\":\"array\",\"items\":\"Id\"}")) "]")));
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    buf_append(out, raw_id, sizeof raw_id);
    put_long(out, 7);
    put_long(out, SOME_DAY);
    put_long(out, 0);
    put_bytes(out, raw_id, sizeof raw_id);
    put_long(out, 1);
    buf_append(out, raw_id, sizeof raw_id);
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_uuid(&fixture.result.event.a.user_id, ID);
    assert_uuid(&fixture.result.event.a.unit_id, ID);
    assert_int_equal(fixture.result.event.a.workspace_count, 1);
    assert_uuid(&fixture.result.event.a.workspace_ids[0], ID);
    for (size_t len = out->len; len-- > 10;) {
        out->len = len;
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
    }
}

static void test_ids_in_bytes_are_text_or_16_bytes(void **state CV_UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } ids[] = {{ID, 36, true}, {(const char *)raw_id, 16, true}, {ID, 35, false}, {ID, 15, false}, {ID, 0, false}};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct buf *out = write_with(AGENT(SELECTED("\"bytes\"")));
        put_head(out);
        put_long(out, 0);
        put_bytes(out, ids[i].bytes, ids[i].len);
        if (!ids[i].good) {
            assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_BAD_GUID);
            continue;
        }
        assert_decoded(&fixture, TOPIC_AGENTS, ID);
        assert_uuid(&fixture.result.event.a.unit_id, ID);
    }
    /* A string is text: 16 characters are no GUID. */
    struct buf *out = write_with(AGENT(SELECTED("\"string\"")));
    put_head(out);
    put_long(out, 0);
    put_text(out, "0123456789abcdef");
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_BAD_GUID);
}

/* Names. */

static void test_names_that_are_not_read_may_be_anything(void **state CV_UNUSED)
{
    struct buf *out = write_with(
        "{\"type\":\"record\",\"name\":\"AgentEvent\",\"namespace\":\"my-team.1st\",\"fields\":[" FIELD(
            "gr\xc3\xb6\xc3\x9f"
            "e",
            "\"int\"") "," FIELD("_0",
                                 "\"int\"") "," FIELD("a b",
                                                      "\"string\"") "," FIELD("mode-of",
                                                                              "{\"type\":\"enum\",\"name\":\"my "
                                                                              "mode\",\"symbols\":[\"A-B\","
                                                                              "\"\xc3\xa9\",\"1\"]}") "," FIELD("again",
                                                                                                                "\"my "
                                                                                                                "mode"
                                                                                                                "\"") "," HEAD("\"string\"")
            FIELD("payload", "[" CLEARED "," RECORD("Unit-Left", FIELD("x.y", "[\"null\",\"Unit-Left\"]")) "," RECORD(
                                 "n-1.AgentCurrentUnitSelected", STRING("unitId")) "]") "]}");
    put_long(out, 3);
    put_long(out, 4);
    put_text(out, "x");
    put_long(out, 2);
    put_long(out, 0);
    put_head(out);
    size_t head = out->len;
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
    out->len = head;
    put_long(out, 1);
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_UNKNOWN_TYPE);
    out->len = head;
    put_long(out, 2);
    put_text(out, UNIT_ID);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_SELECTED);
}

/* Two types with the same short name in two namespaces, and one named like a replacement name of the reader. */
static void test_names_are_told_apart_by_their_namespace(void **state CV_UNUSED)
{
    struct buf *out = write_with(RECORD(
        "AgentEvent",
        FIELD("a", RECORD("x.Thing", FIELD("v", "\"int\""))) "," FIELD("b", RECORD("y.Thing", STRING("v"))) "," FIELD(
            "c",
            "\"x.Thing\"") "," FIELD("d",
                                     RECORD(
                                         "logical.timestamp_millis__long",
                                         STRING(
                                             "v"))) "," FIELD("e",
                                                              LOGICAL(
                                                                  "long",
                                                                  "timestamp-millis")) "," FIELD("f",
                                                                                                 LOGICAL(
                                                                                                     "long",
                                                                                                     "timestamp-"
                                                                                                     "millis")) "," HEAD("\"string\"")
            FIELD("payload", CLEARED)));
    put_long(out, 1);
    put_text(out, "b");
    put_long(out, 1);
    put_text(out, "d");
    put_long(out, 1);
    put_long(out, 1);
    put_head(out);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_union_is_resolved_by_its_branch),
        cmocka_unit_test(test_top_union_of_another_branch_is_skipped),
        cmocka_unit_test(test_top_union_above_1_mib_parks),
        cmocka_unit_test(test_top_union_with_an_incompatible_branch),
        cmocka_unit_test(test_times_are_converted_by_their_logical_type),
        cmocka_unit_test(test_other_logical_types_of_times_and_ids_are_wrong),
        cmocka_unit_test(test_logical_types_elsewhere_are_ignored),
        cmocka_unit_test(test_ids_may_be_16_bytes),
        cmocka_unit_test(test_ids_in_bytes_are_text_or_16_bytes),
        cmocka_unit_test(test_names_that_are_not_read_may_be_anything),
        cmocka_unit_test(test_names_are_told_apart_by_their_namespace),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
