#include "tests/unit/source/decode_records.h"

#include <math.h>

/* Keys and framing. */

static void test_decode_case_key_in_either_letter_case(void **state CV_UNUSED)
{
    put_long(begin_case(TICKET_PRINTED), SOME_DAY);
    assert_decoded(&fixture, TOPIC_CASES, "0B6E2F3A-3333-4A5B-8C9D-00000000ABCD");
    assert_int_equal(fixture.result.event.topic, TOPIC_CASES);
    assert_int_equal(fixture.result.event.c.type, CASE_TICKET_PRINTED);
    assert_int_equal(fixture.result.event.c.sequence, 7);
    assert_uuid(&fixture.result.event.c.organization_id, ORG_ID);
    assert_uuid(&fixture.result.event.c.case_id, ID);
    assert_int_equal(fixture.result.event.c.fields.case_timestamp, SOME_DAY);
    assert_int_equal(fixture.result.event.c.given, 0);
}

static void test_decode_key_differs_parks(void **state CV_UNUSED)
{
    static const char *const keys[] = {UNIT_ID, "nonsense", ID " ", "{" ID "}"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        put_long(begin_case(TICKET_PRINTED), SOME_DAY);
        assert_parked(&fixture, TOPIC_CASES, keys[i], PARK_KEY_MISMATCH);
        assert_organization(&fixture, ORG_ID);
        begin_agent(UNIT_CLEARED);
        assert_parked(&fixture, TOPIC_AGENTS, keys[i], PARK_KEY_MISMATCH);
    }
    begin_agent(UNIT_CLEARED);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_organization(&fixture, ORG_ID);
}

static void test_decode_directory_key_differs_parks(void **state CV_UNUSED)
{
    static const char *const keys[] = {
        "inbox:" ORG_ID ":" ID,
        "unit:" OTHER_ID ":" ID,
        "unit:" ORG_ID ":" OTHER_ID,
        "planet:" ORG_ID ":" ID,
        "unit:" ORG_ID,
        "unit",
        "unit::",
        "unit:" ORG_ID ":" ID ":",
        "Unit:" ORG_ID ":" ID,
        "unit:" ORG_ID ":" ID ":" ID,
        ":" ORG_ID ":" ID,
        ID,
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        write_unit("North", 5);
        assert_parked(&fixture, TOPIC_DIRECTORY, keys[i], PARK_KEY_MISMATCH);
        assert_organization(&fixture, ORG_ID);
    }
    write_unit("North", 5);
    assert_decoded(&fixture, TOPIC_DIRECTORY, "unit:0B6E2F3A-2222-4A5B-8C9D-000000000002:" ID);
    assert_int_equal(fixture.result.event.d.type, DIRECTORY_UPSERTED);
    assert_int_equal(fixture.result.event.d.kind, ENTITY_UNIT);
    assert_int_equal(fixture.result.event.d.version, 7);
    assert_text(fixture.result.event.d.fields.name, "North");
}

static void test_decode_removal_of_another_kind_parks(void **state CV_UNUSED)
{
    put_text(begin_directory(ENTITY_REMOVED), "inbox");
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_KEY_MISMATCH);
    put_text(begin_directory(ENTITY_REMOVED), "unit");
    assert_decoded(&fixture, TOPIC_DIRECTORY, UNIT_KEY);
    assert_int_equal(fixture.result.event.d.type, DIRECTORY_REMOVED);
    assert_int_equal(fixture.result.event.d.kind, ENTITY_UNIT);
}

/* Kinds that only a newer writer knows are not a fault. */
static void test_decode_removal_of_an_unknown_kind_is_an_unknown_type(void **state CV_UNUSED)
{
    put_text(begin_directory(ENTITY_REMOVED), "planet");
    assert_decoded(&fixture, TOPIC_DIRECTORY, "planet:" ORG_ID ":" ID);
    assert_int_equal(fixture.result.event.d.type, DIRECTORY_UNKNOWN_TYPE);
    assert_int_equal(fixture_decode(&fixture, TOPIC_DIRECTORY, STR("planet:" ORG_ID ":" ID), STR_NULL), DECODE_EVENT);
    assert_int_equal(fixture.result.event.d.type, DIRECTORY_UNKNOWN_TYPE);
}

static void test_decode_null_value_forgets_by_key(void **state CV_UNUSED)
{
    assert_int_equal(fixture_decode(&fixture, TOPIC_DIRECTORY, STR("service-type:" ORG_ID ":" ID), STR_NULL),
                     DECODE_EVENT);
    assert_int_equal(fixture.result.event.topic, TOPIC_DIRECTORY);
    assert_int_equal(fixture.result.event.d.type, DIRECTORY_FORGOTTEN);
    assert_int_equal(fixture.result.event.d.kind, ENTITY_SERVICE_TYPE);
    assert_int_equal(fixture.result.event.d.version, 0);
    assert_uuid(&fixture.result.event.d.organization_id, ORG_ID);
    assert_uuid(&fixture.result.event.d.entity_id, ID);
    assert_organization(&fixture, ORG_ID);
    assert_int_equal(fixture_decode(&fixture, TOPIC_DIRECTORY, STR("unit:" ORG_ID ":x"), STR_NULL), DECODE_PARK);
    assert_organization(&fixture, ORG_ID);
}

struct raw_case {
    enum topic topic;
    struct str key, value;
    enum park_reason reason;
};

static void test_decode_unfit_records_park(void **state CV_UNUSED)
{
    static char large[RECORD_MAX_BYTES + 1];
    const struct raw_case cases[] = {
        {TOPIC_CASES, STR(ID), STR_NULL, PARK_NO_VALUE},
        {TOPIC_AGENTS, STR_NULL, STR_NULL, PARK_NO_VALUE},
        {TOPIC_CASES, STR_NULL, STR("x"), PARK_MISSING_KEY},
        {TOPIC_CASES, STR(""), STR("x"), PARK_MISSING_KEY},
        {TOPIC_DIRECTORY, STR_NULL, STR_NULL, PARK_MISSING_KEY},
        {TOPIC_CASES, STR_NULL, {large, sizeof large}, PARK_MISSING_KEY},
        {TOPIC_CASES, STR(ID), {large, sizeof large}, PARK_TOO_LARGE},
        {TOPIC_CASES, {large, sizeof large}, STR("x"), PARK_TOO_LARGE},
        {TOPIC_DIRECTORY, {large, sizeof large}, STR_NULL, PARK_TOO_LARGE},
        {TOPIC_DIRECTORY, STR("unit:" ORG_ID ":x"), STR_NULL, PARK_BAD_GUID},
        {TOPIC_DIRECTORY, STR("unit:x:" ID), STR_NULL, PARK_BAD_GUID},
        {TOPIC_DIRECTORY, STR("unit"), STR_NULL, PARK_KEY_MISMATCH},
        {TOPIC_CASES, STR(ID), STR(""), PARK_NOT_AVRO},
        {TOPIC_CASES, STR(ID), STR("hello"), PARK_NOT_AVRO},
        {TOPIC_CASES, STR(ID), STR("\x00\x00\x00\x01"), PARK_NOT_AVRO},
        {TOPIC_CASES, STR(ID), STR("\xc3\x01\x01\x02\x03\x04\x05\x06\x07"), PARK_NOT_AVRO},
        {TOPIC_CASES, STR(ID), STR("\xc3\x02\x01\x02\x03\x04\x05\x06\x07\x08"), PARK_NOT_AVRO},
        {TOPIC_CASES, STR(ID), STR("\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08"), PARK_UNKNOWN_SCHEMA},
        {TOPIC_CASES, STR(ID), STR("\x00\x00\x00\x00\x01"), PARK_UNKNOWN_SCHEMA},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(fixture_decode(&fixture, cases[i].topic, cases[i].key, cases[i].value), DECODE_PARK);
        assert_string_equal(park_reason_name(fixture.result.reason), park_reason_name(cases[i].reason));
        assert_string_not_equal(fixture.err.text, "");
    }
}

static void test_decode_of_another_topics_record_parks(void **state CV_UNUSED)
{
    begin_agent(UNIT_CLEARED);
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_WRONG_TYPE);
    assert_err_has(&fixture, "AgentEvent");
    write_unit("North", 5);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_WRONG_TYPE);
}

/* Values. */

static void test_decode_workspaces(void **state CV_UNUSED)
{
    struct buf *out = begin_agent(WORKSPACES_SELECTED);
    put_text(out, UNIT_ID);
    put_long(out, 2);
    put_text(out, ID);
    put_text(out, "0B6E2F3A-5555-4A5B-8C9D-000000000005");
    put_long(out, -1); /* a block with its size in bytes */
    put_long(out, 37);
    put_text(out, ORG_ID);
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.type, AGENT_WORKSPACES_SELECTED);
    assert_uuid(&fixture.result.event.a.unit_id, UNIT_ID);
    assert_int_equal(fixture.result.event.a.workspace_count, 3);
    assert_uuid(&fixture.result.event.a.workspace_ids[0], ID);
    assert_uuid(&fixture.result.event.a.workspace_ids[1], OTHER_ID);
    assert_uuid(&fixture.result.event.a.workspace_ids[2], ORG_ID);

    out = begin_agent(WORKSPACES_SELECTED);
    put_text(out, UNIT_ID);
    put_long(out, 0);
    assert_decoded(&fixture, TOPIC_AGENTS, ID);
    assert_int_equal(fixture.result.event.a.workspace_count, 0);

    out = begin_agent(WORKSPACES_SELECTED);
    put_text(out, UNIT_ID);
    put_long(out, 1);
    put_text(out, "w");
    put_long(out, 0);
    assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_BAD_GUID);
    assert_err_has(&fixture, "workspaceIds");
}

static void write_application(const char *role)
{
    struct buf *out = begin_directory(APPLICATION_UPSERTED);
    put_text(out, "client");
    put_text(out, "Name");
    put_long(out, 3);
    put_text(out, "");
    put_text(out, role);
    put_text(out, "Last");
    put_long(out, 0);
    buf_byte(out, 1);
}

static void test_decode_application_and_its_roles(void **state CV_UNUSED)
{
    write_application("Agent Impersonator");
    assert_decoded(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID);
    const struct entity_fields *fields = &fixture.result.event.d.fields;
    assert_text(fields->detail, "client");
    assert_text(fields->name, "Name");
    assert_int_equal(fields->role_count, 3);
    assert_text(fields->roles[0], "");
    assert_text(fields->roles[1], "Agent Impersonator");
    assert_text(fields->roles[2], "Last");
    assert_true(fields->enabled);
    write_application("a\xff");
    assert_parked(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID, PARK_BAD_TEXT);
    assert_err_has(&fixture, "roles");
}

static void test_decode_texts_are_checked(void **state CV_UNUSED)
{
    write_unit("Nord \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 16);
    assert_decoded(&fixture, TOPIC_DIRECTORY, UNIT_KEY);
    assert_text(fixture.result.event.d.fields.name, "Nord \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    write_unit("a\0b", 3);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_BAD_TEXT);
    assert_organization(&fixture, ORG_ID);
    write_unit("\xc0\xaf", 2);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_BAD_TEXT);
    put_bytes(begin_directory(ENTITY_REMOVED), "unit\xff", 5);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_BAD_TEXT);
}

static void test_decode_ids_are_checked(void **state CV_UNUSED)
{
    static const char *const fields[] = {"eventId", "organizationId", "caseId"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct buf *out = fixture_begin(&fixture, TOPIC_CASES);
        put_text(out, i == 0 ? "x" : EVENT_ID);
        put_text(out, i == 1 ? "" : ORG_ID);
        put_text(out, i == 2 ? ID "0" : ID);
        put_long(out, 7);
        put_long(out, SOME_DAY);
        put_long(out, 0);
        put_long(out, TICKET_PRINTED);
        put_long(out, SOME_DAY);
        assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_GUID);
        assert_err_has(&fixture, fields[i]);
        assert_organization(&fixture, i == 1 ? NULL : ORG_ID);
    }
}

static void test_decode_actor_is_checked_and_not_kept(void **state CV_UNUSED)
{
    static const char *const user_ids[] = {ID, "me"};
    for (size_t i = 0; i < ARRAY_LEN(user_ids); i++) {
        struct buf *out = fixture_begin(&fixture, TOPIC_AGENTS);
        put_text(out, EVENT_ID);
        put_text(out, ORG_ID);
        put_text(out, ID);
        put_long(out, 7);
        put_long(out, SOME_DAY);
        put_long(out, 1);
        put_text(out, "user");
        put_long(out, 1);
        put_text(out, user_ids[i]);
        put_long(out, UNIT_CLEARED);
        if (i == 0)
            assert_decoded(&fixture, TOPIC_AGENTS, ID);
        else
            assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_BAD_GUID);
    }
}

static void write_rank(float rank)
{
    struct buf *out = begin_case(RANK_CHANGED);
    put_float(out, rank);
    put_long(out, SOME_DAY);
}

static void test_decode_rank_is_finite(void **state CV_UNUSED)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_rank(bad[i]);
        assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_RANK);
        assert_err_has(&fixture, "payload.CasePositionChanged.rank");
    }
    write_rank(3.7090777e37f);
    assert_decoded(&fixture, TOPIC_CASES, ID);
    assert_memory_equal(&fixture.result.event.c.fields.rank, &(float){3.7090777e37f}, sizeof(float));
}

static void test_decode_times_lie_in_years_1_to_9999(void **state CV_UNUSED)
{
    static const struct {
        int64_t us;
        bool good;
    } times[] = {
        {INT64_C(-62135596800000000), true},
        {INT64_C(-62135596800000001), false},
        {INT64_C(253402300799999999), true},
        {INT64_C(253402300800000000), false},
        {INT64_MIN, false},
        {INT64_MAX, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        put_long(begin_case(TICKET_PRINTED), times[i].us);
        if (times[i].good)
            assert_decoded(&fixture, TOPIC_CASES, ID);
        else
            assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_TIME);
    }
}

static void test_decode_sequence_below_1_parks(void **state CV_UNUSED)
{
    static const int64_t bad[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf *out = fixture_begin(&fixture, TOPIC_AGENTS);
        put_envelope(out, bad[i]);
        put_long(out, UNIT_CLEARED);
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_BAD_SEQUENCE);
    }
}

static void test_decode_meeting_is_a_json_object_trimmed(void **state CV_UNUSED)
{
    write_meeting(" \n{ \"a\" : 1e999, \"n\":123456789012345678901234567890 }\t ");
    assert_decoded(&fixture, TOPIC_CASES, ID);
    assert_text(fixture.result.event.c.fields.online_meeting,
                "{ \"a\" : 1e999, \"n\":123456789012345678901234567890 }");
    write_meeting("[]");
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_JSON);
    write_meeting("{\"a\":\"\\u0000\"}");
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_TEXT);
    write_meeting("{\"a\":\"\xff\"}");
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_BAD_TEXT);
    struct buf *out = begin_case(MEETING_SET);
    put_long(out, 0);
    put_long(out, SOME_DAY);
    assert_decoded(&fixture, TOPIC_CASES, ID);
    assert_null(fixture.result.event.c.fields.online_meeting.ptr);
}

static void test_decode_update_knows_what_was_given(void **state CV_UNUSED)
{
    struct buf *out = begin_case(UPDATED);
    put_long(out, 1);
    put_text(out, "Video");
    put_long(out, 1); /* customer: SetCustomer { null } */
    put_long(out, 0);
    put_long(out, 0); /* contactPhoneNumber unchanged */
    put_long(out, 1); /* contactEmail: SetText { "a@b" } */
    put_long(out, 1);
    put_text(out, "a@b");
    put_long(out, SOME_DAY);
    assert_decoded(&fixture, TOPIC_CASES, ID);
    assert_int_equal(fixture.result.event.c.given,
                     GROUP_BIT(GROUP_CHANNEL) | GROUP_BIT(GROUP_CUSTOMER) | GROUP_BIT(GROUP_EMAIL));
    assert_text(fixture.result.event.c.fields.channel, "Video");
    assert_false(fixture.result.event.c.fields.customer.present);
    assert_text(fixture.result.event.c.fields.contact_email, "a@b");
    assert_null(fixture.result.event.c.fields.contact_phone_number.ptr);
}

/* Of several faults the first in the contract's list is reported; malformed bytes precede all others. */
static void test_decode_gravest_fault_counts(void **state CV_UNUSED)
{
    struct buf *out = fixture_begin(&fixture, TOPIC_CASES);
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    put_text(out, ID);
    put_long(out, 0);         /* bad-sequence */
    put_long(out, INT64_MAX); /* bad-time */
    put_long(out, 1);
    put_text(out, "\xff"); /* bad-text */
    put_long(out, 1);
    put_text(out, "me"); /* bad-guid */
    put_long(out, RANK_CHANGED);
    put_float(out, NAN); /* bad-rank */
    put_long(out, SOME_DAY);
    assert_parked(&fixture, TOPIC_CASES, OTHER_ID, PARK_BAD_GUID);
    fixture.value.len--;
    assert_parked(&fixture, TOPIC_CASES, OTHER_ID, PARK_NOT_AVRO);
    assert_organization(&fixture, NULL);
}

/* Bytes that are not a valid record. */

static void test_decode_cut_anywhere_or_with_more_parks(void **state CV_UNUSED)
{
    write_application("Agent Impersonator");
    size_t whole = fixture.value.len;
    assert_decoded(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID);
    for (size_t len = 0; len < whole; len++) {
        fixture.value.len = len;
        assert_parked(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID, PARK_NOT_AVRO);
    }
    fixture.value.len = whole;
    buf_byte(&fixture.value, 0);
    assert_parked(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID, PARK_NOT_AVRO);
    assert_err_has(&fixture, "left over");
}

/* With any bit changed the decoder ends, and events that it accepts keep the promises of event.h. */
static void test_decode_bits_flipped_never_breaks(void **state CV_UNUSED)
{
    write_application("Agent Impersonator");
    size_t good = 0;
    for (size_t at = 0; at < fixture.value.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            fixture.value.data[at] = (char)(fixture.value.data[at] ^ 1 << bit);
            if (fixture_decode_written(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID) == DECODE_EVENT) {
                good++;
                assert_in_range(fixture.result.event.d.version, 1, INT64_MAX);
            } else {
                assert_int_not_equal(fixture.result.reason, PARK_NONE);
            }
            fixture.value.data[at] = (char)(fixture.value.data[at] ^ 1 << bit);
        }
    }
    assert_in_range(good, 1, 8 * fixture.value.len);
}

static void test_decode_lengths_beyond_reason_park(void **state CV_UNUSED)
{
    static const int64_t lengths[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 1, 1 << 20, 100};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf *out = begin_directory(UNIT_UPSERTED);
        put_long(out, lengths[i]);
        buf_puts(out, "short");
        assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_NOT_AVRO);
    }
    struct buf *out = begin_directory(UNIT_UPSERTED);
    for (int i = 0; i < 20; i++)
        buf_byte(out, (char)0xff);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_NOT_AVRO);
}

static void test_decode_branches_that_do_not_exist_park(void **state CV_UNUSED)
{
    static const int branches[] = {4, -1, 63, INT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(branches); i++) {
        begin_agent(branches[i]);
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
    }
}

static void test_decode_boolean_of_2_parks(void **state CV_UNUSED)
{
    write_application("r");
    fixture.value.data[fixture.value.len - 1] = 2;
    assert_parked(&fixture, TOPIC_DIRECTORY, "application:" ORG_ID ":" ID, PARK_NOT_AVRO);
}

static void test_decode_endless_array_parks(void **state CV_UNUSED)
{
    static const int64_t counts[] = {INT64_C(1) << 60, INT64_C(1) << 32, INT64_MAX, INT64_MIN + 1, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct buf *out = begin_agent(WORKSPACES_SELECTED);
        put_text(out, UNIT_ID);
        put_long(out, counts[i]);
        put_long(out, 0); /* the size of a block whose count is negative */
        put_long(out, 0); /* and what the array's end would be */
        assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_NOT_AVRO);
    }
}

static void test_decode_without_a_key_parks_with_the_bodys_organization(void **state CV_UNUSED)
{
    put_long(begin_case(TICKET_PRINTED), SOME_DAY);
    struct str value = {fixture.value.data, fixture.value.len};
    assert_int_equal(fixture_decode(&fixture, TOPIC_CASES, STR_NULL, value), DECODE_PARK);
    assert_int_equal(fixture.result.reason, PARK_MISSING_KEY);
    assert_organization(&fixture, ORG_ID);
    value.len--;
    assert_int_equal(fixture_decode(&fixture, TOPIC_CASES, STR_NULL, value), DECODE_PARK);
    assert_int_equal(fixture.result.reason, PARK_MISSING_KEY);
    assert_organization(&fixture, NULL);
    /* The record of another topic has one, too. */
    value.len++;
    assert_int_equal(fixture_decode(&fixture, TOPIC_AGENTS, STR(ID), value), DECODE_PARK);
    assert_int_equal(fixture.result.reason, PARK_WRONG_TYPE);
    assert_organization(&fixture, ORG_ID);
}

/* Every text of an event without lists is in the record's own bytes. */
static void test_decode_copies_no_text(void **state CV_UNUSED)
{
    write_unit("North", 5);
    assert_decoded(&fixture, TOPIC_DIRECTORY, UNIT_KEY);
    const char *name = fixture.result.event.d.fields.name.ptr;
    assert_in_range((uintptr_t)name, (uintptr_t)fixture.copy, (uintptr_t)fixture.copy + fixture.value.len - 5);
    assert_int_equal(arena_used(fixture.arena), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_case_key_in_either_letter_case),
        cmocka_unit_test(test_decode_key_differs_parks),
        cmocka_unit_test(test_decode_directory_key_differs_parks),
        cmocka_unit_test(test_decode_removal_of_another_kind_parks),
        cmocka_unit_test(test_decode_removal_of_an_unknown_kind_is_an_unknown_type),
        cmocka_unit_test(test_decode_null_value_forgets_by_key),
        cmocka_unit_test(test_decode_unfit_records_park),
        cmocka_unit_test(test_decode_of_another_topics_record_parks),
        cmocka_unit_test(test_decode_workspaces),
        cmocka_unit_test(test_decode_application_and_its_roles),
        cmocka_unit_test(test_decode_texts_are_checked),
        cmocka_unit_test(test_decode_ids_are_checked),
        cmocka_unit_test(test_decode_actor_is_checked_and_not_kept),
        cmocka_unit_test(test_decode_rank_is_finite),
        cmocka_unit_test(test_decode_times_lie_in_years_1_to_9999),
        cmocka_unit_test(test_decode_sequence_below_1_parks),
        cmocka_unit_test(test_decode_meeting_is_a_json_object_trimmed),
        cmocka_unit_test(test_decode_update_knows_what_was_given),
        cmocka_unit_test(test_decode_gravest_fault_counts),
        cmocka_unit_test(test_decode_cut_anywhere_or_with_more_parks),
        cmocka_unit_test(test_decode_bits_flipped_never_breaks),
        cmocka_unit_test(test_decode_lengths_beyond_reason_park),
        cmocka_unit_test(test_decode_branches_that_do_not_exist_park),
        cmocka_unit_test(test_decode_boolean_of_2_parks),
        cmocka_unit_test(test_decode_endless_array_parks),
        cmocka_unit_test(test_decode_without_a_key_parks_with_the_bodys_organization),
        cmocka_unit_test(test_decode_copies_no_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
