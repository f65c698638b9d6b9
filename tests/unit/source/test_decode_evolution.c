/* Writers of other versions, with their schemas in a folder, as an operator would provide them. */
#include "tests/unit/source/writer_fixture.h"

#include <dirent.h>

#define GUID_TYPE            "{\"type\":\"string\",\"logicalType\":\"uuid\"}"
#define TIME_TYPE            "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}"
#define FIELD(name, type)    "{\"name\":\"" name "\",\"type\":" type "}"
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define TOP(name, fields) \
    "{\"type\":\"record\",\"name\":\"" name "\",\"namespace\":\"caseview\",\"fields\":[" fields "]}"

/* The first five fields of an agent event. */
#define AGENT_HEAD                                                                                                     \
    FIELD("eventId", GUID_TYPE)                                                                                        \
    "," FIELD("organizationId", GUID_TYPE) "," FIELD("userId", GUID_TYPE) "," FIELD("sequence", "\"long\"") "," FIELD( \
        "occurredAt", TIME_TYPE)
#define CASE_HEAD                                                                                                      \
    FIELD("eventId", GUID_TYPE)                                                                                        \
    "," FIELD("organizationId", GUID_TYPE) "," FIELD("caseId", GUID_TYPE) "," FIELD("sequence", "\"long\"") "," FIELD( \
        "occurredAt", TIME_TYPE)
#define CLEARED  RECORD("AgentCurrentUnitCleared", "")
#define SELECTED RECORD("AgentCurrentUnitSelected", FIELD("unitId", GUID_TYPE))

static void test_added_fields_of_any_type_are_ignored(void **state CV_UNUSED)
{
    struct buf *out = write_with(TOP(
        "AgentEvent",
        FIELD(
            "trace",
            "{\"type\":\"map\",\"values\":[\"null\",\"bytes\",{\"type\":\"array\",\"items\":\"double\"}]"
            "}") "," AGENT_HEAD
                 "," FIELD(
                     "mode",
                     "{\"type\":\"enum\",\"name\":\"Mode\",\"symbols\":["
                     "\"A\",\"B\"]}") "," FIELD("hash",
                                                "{\"type\":"
                                                "\"fixed\","
                                                "\"name\":\"Hash\","
                                                "\"size\":4}") "," FIELD("nothing",
                                                                         "{\"type\":\"fixed\",\"name\":\"Nothing\","
                                                                         "\"size\":0}") "," FIELD("payload",
                                                                                                  "[" SELECTED
                                                                                                  "]") "," FIELD("sure",
                                                                                                                 "\"boo"
                                                                                                                 "lean"
                                                                                                                 "\"")));
    put_long(out, 2); /* trace: two entries in a block */
    put_text(out, "one");
    put_long(out, 1);
    put_bytes(out, "\xff\0\xff", 3);
    put_text(out, "two");
    put_long(out, 2);
    put_long(out, 1);
    buf_append(out, "12345678", 8);
    put_long(out, 0);
    put_long(out, 0);
    put_head(out);
    put_long(out, 1); /* mode */
    buf_append(out, "\xde\xad\xbe\xef", 4);
    put_long(out, 0); /* payload */
    put_text(out, UNIT_ID);
    buf_byte(out, 1);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_SELECTED);
    assert_uuid(&fixture.result.event.a.unit_id, UNIT_ID);
    for (size_t len = out->len; len-- > 10;) {
        out->len = len;
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
    }
}

static void test_fields_in_another_order_and_without_defaulted_ones(void **state CV_UNUSED)
{
    struct buf *out = write_with(TOP(
        "DirectoryEvent",
        FIELD("payload", "[" RECORD("UserUpserted", FIELD("picture", "[\"string\",\"null\"]") "," FIELD("displayName", "\"string\"")) "]") "," FIELD(
            "occurredAt",
            TIME_TYPE) "," FIELD("version",
                                 "\"int\"") "," FIELD("entityId",
                                                      "\"string\"") "," FIELD("organizationId",
                                                                              "\"bytes\"") "," FIELD("eventId",
                                                                                                     GUID_TYPE)));
    put_long(out, 0);
    put_long(out, 0); /* the union has its string first */
    put_text(out, "pic");
    put_text(out, "Jo");
    put_long(out, SOME_DAY);
    put_long(out, 9);
    put_text(out, ID);
    put_text(out, ORG_ID);
    put_text(out, EVENT_ID);
    assert_decoded(&fixture, TOPIC_DIRECTORY, "user:" ORG_ID ":" ID);
    assert_int_equal(fixture.result.event.d.version, 9);
    assert_uuid(&fixture.result.event.d.organization_id, ORG_ID);
    assert_text(fixture.result.event.d.fields.name, "Jo");
    assert_text(fixture.result.event.d.fields.picture, "pic");
    assert_null(fixture.result.event.d.fields.detail.ptr);
}

static void test_numbers_are_promoted(void **state CV_UNUSED)
{
    static const char *const ranks[] = {"\"int\"", "\"long\"", "\"float\"", "[\"int\",\"float\"]"};
    for (size_t i = 0; i < ARRAY_LEN(ranks); i++) {
        char schema[2048];
        snprintf(
            schema, sizeof schema,
            TOP("CaseEvent",
                CASE_HEAD "," FIELD(
                    "payload",
                    "[" RECORD("CasePositionChanged",
                               "{\"name\":\"rank\",\"type\":%s},{\"name\":\"caseTimestamp\",\"type\":\"int\"}") "]")),
            ranks[i]);
        struct buf *out = write_with(schema);
        put_head(out);
        put_long(out, 0);
        if (i == 3)
            put_long(out, 0);
        if (i == 2)
            put_float(out, -12345.0f);
        else
            put_long(out, -12345);
        put_long(out, 1000);
        assert_decoded(&fixture, TOPIC_CASES, ID);
        assert_true(fixture.result.event.c.fields.rank == -12345.0f);
        assert_int_equal(fixture.result.event.c.fields.case_timestamp, 1000);
    }
}

static void test_new_payload_is_an_unknown_type(void **state CV_UNUSED)
{
    const char *schema = TOP(
        "AgentEvent", AGENT_HEAD
        "," FIELD("payload", "[" CLEARED "," RECORD("AgentPaused", FIELD("why", "\"string\"") "," FIELD(
                                                                       "next", "[\"null\",\"AgentPaused\"]")) "]"));
    struct buf *out = write_with(schema);
    put_head(out);
    put_long(out, 1);
    put_text(out, "\xff"); /* unknown fields are not checked */
    put_long(out, 1);
    put_text(out, "lunch");
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_UNKNOWN_TYPE);
    assert_int_equal(fixture.result.event.a.sequence, 7);
    assert_parked(&fixture, TOPIC_AGENTS, OTHER_ID, PARK_KEY_MISMATCH);
    buf_reset(out);
    put_frame(out, 0);
    out = write_with(schema);
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    put_text(out, ID);
    put_long(out, 0);
    put_long(out, SOME_DAY);
    put_long(out, 1);
    put_text(out, "");
    put_long(out, 0);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_BAD_SEQUENCE);
}

/* A recursive type of any depth: decoding ends before the stack does. */
static void test_recursive_values_nested_too_deep_park(void **state CV_UNUSED)
{
    for (int depth = 100; depth <= 100000; depth *= 1000) {
        struct buf *out = write_with(TOP(
            "AgentEvent", AGENT_HEAD "," FIELD("tree", RECORD("Tree", FIELD("left", "[\"null\",\"Tree\"]"))) "," FIELD(
                              "payload", "[" CLEARED "]")));
        put_head(out);
        for (int i = 0; i < depth; i++)
            put_long(out, 1);
        put_long(out, 0);
        put_long(out, 0);
        if (depth == 100) {
            assert_decoded(&fixture, TOPIC_AGENTS, ID);
        } else {
            assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
            assert_err_has(&fixture, "deep");
        }
    }
}

/* The number of items without bytes would otherwise be unlimited. */
static void test_arrays_of_nothing_end(void **state CV_UNUSED)
{
    static const char *const items[] = {"\"null\"", RECORD("Empty", ""), "{\"type\":\"array\",\"items\":\"null\"}"};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        char schema[2048];
        snprintf(schema, sizeof schema,
                 TOP("AgentEvent", "{\"name\":\"x\",\"type\":{\"type\":\"array\",\"items\":%s}}," AGENT_HEAD
                                   "," FIELD("payload", "[" CLEARED "]")),
                 items[i]);
        struct buf *out = write_with(schema);
        put_long(out, INT64_C(1) << 60);
        if (i == 2)
            put_long(out, INT64_C(1) << 60);
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
        out = write_with(schema);
        put_long(out, i < 2 ? 1000 : 0);
        if (i < 2)
            put_long(out, 0);
        put_head(out);
        put_long(out, 0);
        assert_decoded(&fixture, TOPIC_AGENTS, ID);
    }
}

/* R0 has two fields of R1, which has two of R2 …: 2^50 values, of which none has a byte. */
static void test_records_of_no_bytes_take_no_time(void **state CV_UNUSED)
{
    CV_CLEANUP(buf_done) struct buf schema;
    buf_init(&schema, 1 << 20);
    buf_puts(&schema, "{\"type\":\"record\",\"name\":\"AgentEvent\",\"fields\":[{\"name\":\"x\",\"type\":");
    for (int i = 0; i < 50; i++)
        buf_printf(&schema, "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\",\"type\":", i);
    buf_puts(&schema, "\"null\"");
    for (int i = 49; i >= 0; i--)
        buf_printf(&schema, i == 49 ? "}]}" : "},{\"name\":\"b\",\"type\":\"R%d\"}]}", i + 1);
    buf_puts(&schema, "}," FIELD("many", "{\"type\":\"array\",\"items\":\"R0\"}") "," AGENT_HEAD "," FIELD(
                          "payload", "[" CLEARED "]") "]}");
    struct buf *out = write_with(schema.data);
    put_long(out, 1000000);
    put_long(out, 0);
    put_head(out);
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
}

/* A record in itself without a way out has no value. */
static void test_record_within_itself_has_no_value(void **state CV_UNUSED)
{
    struct buf *out = write_with(TOP(
        "AgentEvent", FIELD("x", RECORD("A", FIELD("b", RECORD("B", FIELD("a", "\"A\""))))) "," AGENT_HEAD "," FIELD(
                          "payload", "[" CLEARED "]")));
    put_head(out);
    put_long(out, 0);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
    assert_err_has(&fixture, "deep");
}

static void test_renamed_with_an_alias(void **state CV_UNUSED)
{
    struct buf *out = write_with(
        "{\"type\":\"record\",\"name\":\"AgentEventV2\",\"namespace\":\"caseview\",\"aliases\":[\"AgentEvent\"],"
        "\"fields\":[" AGENT_HEAD ",{\"name\":\"content\",\"aliases\":[\"payload\"],\"type\":["
        "{\"type\":\"record\",\"name\":\"UnitChosen\",\"aliases\":[\"other\",\"caseview.AgentCurrentUnitSelected\"],"
        "\"fields\":[{\"name\":\"unit\",\"type\":\"string\",\"aliases\":[\"unitId\"]}]}]}]}");
    put_head(out);
    put_long(out, 0);
    put_text(out, UNIT_ID);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_SELECTED);
    assert_uuid(&fixture.result.event.a.unit_id, UNIT_ID);
}

/* An alias is used only if no type has that name. */
static void test_alias_of_a_name_that_is_there_is_nothing(void **state CV_UNUSED)
{
    struct buf *out = write_with(
        TOP("AgentEvent", AGENT_HEAD
            "," FIELD("payload",
                      "[" RECORD("AgentCurrentUnitSelected",
                                 "{\"name\":\"old\",\"type\":\"int\",\"aliases\":[\"unitId\"]}," FIELD(
                                     "unitId", "\"string\"")) ","
                                                              "{\"type\":\"record\",\"name\":\"Again\",\"aliases\":["
                                                              "\"AgentCurrentUnitSelected\"],\"fields\":[]}"
                                                              "]")));
    put_head(out);
    put_long(out, 0);
    put_long(out, 5);
    put_text(out, UNIT_ID);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_uuid(&fixture.result.event.a.unit_id, UNIT_ID);
}

static void test_other_namespace_is_the_same_record(void **state CV_UNUSED)
{
    struct buf *out = write_with("{\"type\":\"record\",\"name\":\"com.acme.AgentEvent\",\"fields\":[" AGENT_HEAD
                                 "," FIELD("payload", CLEARED) "]}");
    put_head(out);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
}

struct incompatible {
    const char *schema;
    const char *says;
};

static void test_incompatible_schemas_park_all_their_records(void **state CV_UNUSED)
{
    static const struct incompatible schemas[] = {
        {TOP("AgentEvent", AGENT_HEAD), "payload"},
        {TOP("AgentEvent", FIELD("payload", "[" CLEARED "]")), "eventId"},
        {TOP("AgentEvent", FIELD("eventId", "\"int\"")), "eventId: the writer has int, not string"},
        {TOP("AgentEvent", FIELD("eventId", "[\"null\",\"int\"]")), "eventId"},
        {TOP("AgentEvent", FIELD("sequence", "\"float\"")), "sequence: the writer has float, not long"},
        {TOP("AgentEvent", FIELD("occurredAt", "\"double\"")), "occurredAt"},
        {TOP("AgentEvent", AGENT_HEAD
             "," FIELD("actor", RECORD("Person", FIELD("kind", "\"string\""))) "," FIELD("payload", "[" CLEARED "]")),
         "actor: the writer has Person, not Actor"},
        {TOP("AgentEvent", AGENT_HEAD "," FIELD("payload", "\"string\"")), "payload"},
        {TOP("AgentEvent", AGENT_HEAD "," FIELD("payload", "[" RECORD("AgentCurrentUnitSelected", "") "]")), "unitId"},
        {TOP("AgentEvent", AGENT_HEAD
             "," FIELD("payload", "[" RECORD("AgentWorkspacesSelected",
                                             FIELD("unitId", "\"string\"") "," FIELD(
                                                 "workspaceIds", "{\"type\":\"array\",\"items\":\"long\"}")) "]")),
         "workspaceIds: the writer has an array of long"},
    };
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct buf *out = write_with(schemas[i].schema);
        buf_puts(out, "any bytes");
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_WRONG_TYPE);
        assert_err_has(&fixture, schemas[i].says);
    }
}

/* Within a union only records that use the incompatible branch are parked. */
static void test_incompatible_branch_parks_its_records_only(void **state CV_UNUSED)
{
    const char *schema = TOP(
        "CaseEvent", CASE_HEAD
        "," FIELD("payload", "[" RECORD("CasePositionChanged",
                                        FIELD("rank", "\"double\"") "," FIELD(
                                            "caseTimestamp", TIME_TYPE)) "," RECORD("CaseTicketPrinted",
                                                                                    FIELD("caseTimestamp",
                                                                                          "[\"null\",\"long\"]")) "]"));
    struct buf *out = write_with(schema);
    put_head(out);
    put_long(out, 1);
    put_long(out, 1);
    put_long(out, SOME_DAY);
    assert_decoded(&fixture, TOPIC_CASES, ID);
    assert_int_equal(fixture.result.event.c.type, CASE_TICKET_PRINTED);

    out = write_with(schema);
    put_head(out);
    put_long(out, 1);
    put_long(out, 0); /* null where a time must be */
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_WRONG_TYPE);
    assert_err_has(&fixture, "payload.CaseTicketPrinted.caseTimestamp: the writer has null");
    assert_organization(&fixture, ORG_ID);

    out = write_with(schema);
    put_head(out);
    put_long(out, 0);
    buf_append(out, "12345678", 8);
    put_long(out, SOME_DAY);
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_WRONG_TYPE);
    assert_err_has(&fixture, "payload.CasePositionChanged.rank: the writer has double, not float");
    out->len -= 2;
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_NOT_AVRO);
}

static void test_schema_of_something_else(void **state CV_UNUSED)
{
    struct buf *out = write_with("{\"type\":\"array\",\"items\":\"string\"}");
    buf_byte(out, 0);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_WRONG_TYPE);
    assert_err_has(&fixture, "array");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_fields_of_any_type_are_ignored),
        cmocka_unit_test(test_fields_in_another_order_and_without_defaulted_ones),
        cmocka_unit_test(test_numbers_are_promoted),
        cmocka_unit_test(test_new_payload_is_an_unknown_type),
        cmocka_unit_test(test_recursive_values_nested_too_deep_park),
        cmocka_unit_test(test_arrays_of_nothing_end),
        cmocka_unit_test(test_records_of_no_bytes_take_no_time),
        cmocka_unit_test(test_record_within_itself_has_no_value),
        cmocka_unit_test(test_renamed_with_an_alias),
        cmocka_unit_test(test_alias_of_a_name_that_is_there_is_nothing),
        cmocka_unit_test(test_other_namespace_is_the_same_record),
        cmocka_unit_test(test_incompatible_schemas_park_all_their_records),
        cmocka_unit_test(test_incompatible_branch_parks_its_records_only),
        cmocka_unit_test(test_schema_of_something_else),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
