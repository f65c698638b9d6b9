/* The Case object, byte for byte. */
#include "workers/fold/render.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/sample_case.h"

static const struct entity_names *const no_names[NAME_SLOT_COUNT];

static struct case_state state_of(const struct case_fields *fields)
{
    struct case_event event = sample_event(CASE_QUEUED, 1, 0);
    event.fields = *fields;
    struct case_state state;
    case_init(&state, &event.organization_id);
    assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    return state;
}

static struct buf render_with(const struct case_fields *fields, const struct entity_names *const *names)
{
    struct case_state state = state_of(fields);
    struct uuid id;
    struct buf out;
    assert_true(uuid_parse(STR(SAMPLE_PAGE_CASE_ID), &id));
    buf_init(&out, 8 << 20);
    render_case(&id, &state, names, &out);
    assert_false(out.overflow);
    return out;
}

static void assert_json(const struct case_fields *fields, const struct entity_names *const *names, const char *part)
{
    struct buf out = render_with(fields, names);
    if (!memmem(out.data, out.len, part, strlen(part)))
        fail_msg("no %s in %.*s", part, (int)out.len, out.data);
    buf_done(&out);
}

static void test_render_case_page_sample_byte_for_byte(void **unused)
{
    (void)unused;
    FILE *file = fopen(CASEVIEW_SOURCE_DIR "/tests/data/page-sample.json", "rb");
    assert_non_null(file);
    char expected[4096];
    size_t len = fread(expected, 1, sizeof expected, file);
    fclose(file);
    assert_in_range(len, 1000, sizeof expected - 1);
    assert_int_equal(expected[0], '[');
    assert_int_equal(expected[len - 1], ']');

    struct case_fields fields = sample_page_fields();
    struct buf out = render_with(&fields, no_names);
    assert_int_equal(out.len, len - 2);
    assert_memory_equal(out.data, expected + 1, len - 2);
    buf_done(&out);
}

static void test_render_case_31_keys_in_order(void **unused)
{
    (void)unused;
    static const char *const keys[] = {"caseId",
                                       "ticket",
                                       "serviceCategoryId",
                                       "serviceCategoryName",
                                       "serviceTypeId",
                                       "serviceTypeName",
                                       "status",
                                       "statusDate",
                                       "referenceDate",
                                       "dateOpened",
                                       "dateClosed",
                                       "assignedTo",
                                       "lockedBy",
                                       "channel",
                                       "rank",
                                       "unitId",
                                       "unitName",
                                       "inboxId",
                                       "inboxName",
                                       "inboxColorCode",
                                       "caseTimestamp",
                                       "workstationId",
                                       "workstationName",
                                       "customer",
                                       "onlineMeeting",
                                       "printedTicket",
                                       "contactPhoneNumber",
                                       "contactEmail",
                                       "entryMode",
                                       "fields",
                                       "tags"};
    assert_int_equal(ARRAY_LEN(keys), 31);
    for (unsigned variant = 0; variant < 3; variant++) {
        struct case_fields fields = sample_fields(variant);
        struct buf out = render_with(&fields, no_names);
        json_error_t error;
        json_t *object = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
        assert_non_null(object);
        const char *key;
        json_t *value;
        unsigned at = 0;
        json_object_foreach(object, key, value)
        {
            assert_true(at < ARRAY_LEN(keys));
            assert_string_equal(key, keys[at++]);
        }
        assert_int_equal(at, 31);
        json_decref(object);
        buf_done(&out);
    }
}

static void test_render_case_all_filled_byte_for_byte(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    fields.has_date_closed = true;
    fields.date_closed = 0;
    fields.ticket = (struct ticket){true, STR_NULL, STR("z"), -7};
    fields.assigned_to = (struct user_ref){true, fields.unit.id, STR("Noa"), STR(""), STR_NULL};
    fields.workstation = (struct ref){true, fields.inbox.id, STR("Desk")};
    fields.online_meeting = STR("{ \"b\":1, \"a\":1.0e400 }");
    fields.printed_ticket = false;
    fields.contact_email = STR("a@b");
    static const char *const parts[] = {
        ",\"ticket\":{\"prefix\":null,\"suffix\":\"z\",\"number\":-7},\"serviceCategoryId\":",
        ",\"dateClosed\":\"1970-01-01T00:00:00Z\",\"assignedTo\":{\"userId\":\"37da50e0-ba32-4718-bf3f-261f7e1c6a02\","
        "\"displayName\":\"Noa\",\"initials\":\"\",\"picture\":null},\"lockedBy\":{",
        ",\"workstationId\":\"d4afcd15-3b94-4b86-82f8-e2525cc0ac06\",\"workstationName\":\"Desk\",\"customer\":{",
        ",\"onlineMeeting\":{ \"b\":1, \"a\":1.0e400 },\"printedTicket\":false,",
        ",\"contactEmail\":\"a@b\",\"entryMode\":\"WalkIn\",\"fields\":null,\"tags\":null}",
    };
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
        assert_json(&fields, no_names, parts[i]);
}

static void test_render_case_everything_optional_null(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    fields.ticket.present = false;
    fields.locked_by.present = false;
    fields.customer.present = false;
    fields.unit.name = fields.inbox.name = fields.inbox.color_code = STR_NULL;
    fields.service_category.name = fields.service_type.name = STR_NULL;
    fields.contact_phone_number = STR_NULL;
    static const char *const parts[] = {
        "\",\"ticket\":null,\"serviceCategoryId\":\"",
        "\",\"serviceCategoryName\":null,\"serviceTypeId\":\"",
        "\",\"serviceTypeName\":null,\"status\":\"Active\"",
        ",\"dateClosed\":null,\"assignedTo\":null,\"lockedBy\":null,\"channel\":\"FaceToFace\",\"rank\":",
        ",\"unitName\":null,\"inboxId\":\"d4afcd15-3b94-4b86-82f8-e2525cc0ac06\",\"inboxName\":null,"
        "\"inboxColorCode\":null,\"caseTimestamp\":",
        ",\"workstationId\":null,\"workstationName\":null,\"customer\":null,\"onlineMeeting\":null,"
        "\"printedTicket\":true,\"contactPhoneNumber\":null,\"contactEmail\":null,",
    };
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
        assert_json(&fields, no_names, parts[i]);
}

static void test_render_case_known_entity_gives_all_texts_nulls_included(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    fields.assigned_to = fields.locked_by;
    fields.workstation = (struct ref){true, fields.inbox.id, STR("Desk")};
    const struct entity_names plain = {.name = STR("Dir"), .detail = STR("D"), .picture = STR("pic")};
    const struct entity_names blank = {.name = STR_NULL};
    const struct entity_names customer = {.name = STR("Dir"), .data_table_id = fields.customer.data_table_id};
    const struct entity_names other_table = {.name = STR("Dir"), .data_table_id = fields.customer.record_id};
    const struct entity_names blank_customer = {.data_table_id = fields.customer.data_table_id};
    static const char user[] = "{\"userId\":\"accef80a-0491-4865-8f1b-66778899aabb\",\"displayName\":";
    char dir_user[200];
    char blank_user[200];
    snprintf(dir_user, sizeof dir_user, "%s\"Dir\",\"initials\":\"D\",\"picture\":\"pic\"},", user);
    snprintf(blank_user, sizeof blank_user, "%snull,\"initials\":null,\"picture\":null},", user);
    const struct {
        enum name_slot slot;
        const struct entity_names *names;
        const char *before;
        const char *after;
    } rows[] = {
        {NAME_SERVICE_CATEGORY, &plain, ",\"serviceCategoryName\":", "\"Dir\","},
        {NAME_SERVICE_CATEGORY, &blank, ",\"serviceCategoryName\":", "null,"},
        {NAME_SERVICE_TYPE, &plain, ",\"serviceTypeName\":", "\"Dir\","},
        {NAME_SERVICE_TYPE, &blank, ",\"serviceTypeName\":", "null,"},
        {NAME_UNIT, &plain, ",\"unitName\":", "\"Dir\","},
        {NAME_UNIT, &blank, ",\"unitName\":", "null,"},
        {NAME_INBOX, &plain, ",\"inboxName\":", "\"Dir\",\"inboxColorCode\":\"D\","},
        {NAME_INBOX, &blank, ",\"inboxName\":", "null,\"inboxColorCode\":null,"},
        {NAME_WORKSTATION, &plain, ",\"workstationName\":", "\"Dir\","},
        {NAME_WORKSTATION, &blank, ",\"workstationName\":", "null,"},
        {NAME_ASSIGNED_TO, &plain, ",\"assignedTo\":", dir_user},
        {NAME_ASSIGNED_TO, &blank, ",\"assignedTo\":", blank_user},
        {NAME_LOCKED_BY, &plain, ",\"lockedBy\":", dir_user},
        {NAME_LOCKED_BY, &blank, ",\"lockedBy\":", blank_user},
        {NAME_CUSTOMER, &customer,
         "\"recordId\":\"51c0d69d-9d23-46af-9bc0-3d5f7b9c1e20\",\"displayName\":", "\"Dir\"}"},
        {NAME_CUSTOMER, &other_table, ",\"displayName\":", "\"Bruce Springsteen\"}"},
        {NAME_CUSTOMER, &blank_customer, ",\"displayName\":", "null}"},
    };
    struct buf without = render_with(&fields, no_names);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct entity_names *names[NAME_SLOT_COUNT] = {NULL};
        names[rows[i].slot] = rows[i].names;
        char part[400];
        snprintf(part, sizeof part, "%s%s", rows[i].before, rows[i].after);
        assert_json(&fields, names, part);
        if (rows[i].names != &other_table && memmem(without.data, without.len, part, strlen(part)))
            fail_msg("row %u proves nothing", i);
    }
    buf_done(&without);
}

static void test_render_case_names_of_absent_entities_ignored(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields(); /* no workstation, no assigned user */
    fields.customer.present = false;
    const struct entity_names plain = {.name = STR("Dir"), .detail = STR("D")};
    const struct entity_names *names[NAME_SLOT_COUNT] = {
        [NAME_WORKSTATION] = &plain, [NAME_ASSIGNED_TO] = &plain, [NAME_CUSTOMER] = &plain};
    struct buf with = render_with(&fields, names);
    struct buf without = render_with(&fields, no_names);
    assert_string_equal(with.data, without.data);
    buf_done(&with);
    buf_done(&without);
}

static void test_render_case_rank_shortest_float32(void **unused)
{
    (void)unused;
    static const struct {
        float rank;
        const char *json;
    } rows[] = {
        {0.0f, "0"},
        {-0.0f, "-0"},
        {5.0f, "5"},
        {-5.0f, "-5"},
        {0.1f, "0.1"},
        {0.3f, "0.3"},
        {1.5f, "1.5"},
        {123456.79f, "123456.79"},
        {16777216.0f, "16777216"},
        {FLT_MAX, "3.4028235E+38"},
        {-FLT_MAX, "-3.4028235E+38"},
        {FLT_MIN, "1.1754944E-38"},
        {FLT_TRUE_MIN, "1E-45"},
        {FLT_EPSILON, "1.1920929E-07"},
        {1e14f, "100000000000000"},
        {9.9999999e14f, "1E+15"},
        {1e15f, "1E+15"},
        {0.00001f, "0.00001"},
        {0.0000099f, "9.9E-06"},
        {1e-6f, "1E-06"},
        {3.7090777e37f, "3.7090777E+37"},
        {8388608.5f, "8388608"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct case_fields fields = sample_page_fields();
        fields.rank = rows[i].rank;
        char part[64];
        snprintf(part, sizeof part, ",\"rank\":%s,\"unitId\":", rows[i].json);
        assert_json(&fields, no_names, part);
    }
}

static void test_render_case_times_of_all_years(void **unused)
{
    (void)unused;
    static const struct {
        int64_t us;
        const char *json;
    } rows[] = {
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {-1000000, "1969-12-31T23:59:59Z"},
        {0, "1970-01-01T00:00:00Z"},
        {INT64_C(1712834018500000), "2024-04-11T11:13:38.5Z"},
        {INT64_C(1712834018008222), "2024-04-11T11:13:38.008222Z"},
        {INT64_C(951782400000010), "2000-02-29T00:00:00.00001Z"},
        {INT64_C(-2203891200000000), "1900-03-01T00:00:00Z"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct case_fields fields = sample_page_fields();
        fields.status_date = fields.reference_date = fields.date_opened = fields.date_closed = rows[i].us;
        fields.case_timestamp = rows[i].us;
        fields.has_date_closed = true;
        char part[300];
        snprintf(part, sizeof part,
                 ",\"statusDate\":\"%s\",\"referenceDate\":\"%s\",\"dateOpened\":\"%s\",\"dateClosed\":\"%s\",",
                 rows[i].json, rows[i].json, rows[i].json, rows[i].json);
        assert_json(&fields, no_names, part);
        snprintf(part, sizeof part, ",\"caseTimestamp\":\"%s\",", rows[i].json);
        assert_json(&fields, no_names, part);
    }
}

static void test_render_case_texts_escape_only_what_json_demands(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    fields.channel = STR("\x01\x02\x03\x04\x05\x06\x07\b\t\n\x0b\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"
                         "\x1a\x1b\x1c\x1d\x1e\x1f\x7f\"\\/");
    assert_json(&fields, no_names,
                ",\"channel\":\"\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f"
                "\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d"
                "\\u001e\\u001f\x7f\\\"\\\\/\",\"rank\"");
    fields.channel = STR("שלום 😀 \u2028 é </script>");
    assert_json(&fields, no_names, ",\"channel\":\"שלום 😀 \u2028 é </script>\",\"rank\"");
    fields.channel = STR("");
    assert_json(&fields, no_names, ",\"channel\":\"\",\"rank\"");
}

/* An escape at every place of texts of every length up to a few machine words. */
static void test_render_case_escape_at_any_place(void **unused)
{
    (void)unused;
    for (unsigned len = 1; len <= 40; len++) {
        for (unsigned at = 0; at < len; at++) {
            char text[40];
            char part[80] = ",\"entryMode\":\"";
            memset(text, 'x', len);
            text[at] = '"';
            struct case_fields fields = sample_page_fields();
            fields.entry_mode = (struct str){text, len};
            char *end = part + strlen(part);
            memcpy(end, text, at);
            memcpy(end + at, "\\\"", 2);
            memcpy(end + at + 2, text + at + 1, len - at - 1);
            memcpy(end + len + 1, "\",", 3);
            assert_json(&fields, no_names, part);
        }
    }
}

static void test_render_case_huge_values_whole(void **unused)
{
    (void)unused;
    enum { SIZE = 1 << 20 };
    char *meeting = malloc(SIZE);
    char *text = malloc(SIZE);
    assert_non_null(meeting);
    assert_non_null(text);
    memset(meeting, ' ', SIZE);
    meeting[0] = '{';
    meeting[SIZE - 1] = '}';
    memset(text, '\x01', SIZE); /* six bytes each */
    struct case_fields fields = sample_page_fields();
    struct buf plain = render_with(&fields, no_names);
    fields.online_meeting = (struct str){meeting, SIZE};
    struct buf with_meeting = render_with(&fields, no_names);
    assert_int_equal(with_meeting.len, plain.len - 4 + SIZE);
    assert_non_null(memmem(with_meeting.data, with_meeting.len, meeting, SIZE));
    fields.online_meeting = STR_NULL;
    fields.contact_email = (struct str){text, SIZE};
    struct buf with_text = render_with(&fields, no_names);
    assert_int_equal(with_text.len, plain.len - 4 + 2 + (size_t)6 * SIZE);
    buf_done(&plain);
    buf_done(&with_meeting);
    buf_done(&with_text);
    free(meeting);
    free(text);
}

static void test_render_case_any_ceiling_overflows_cleanly(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    struct case_state state = state_of(&fields);
    struct uuid id = sample_uuid(2);
    struct buf whole = render_with(&fields, no_names);
    for (size_t max = 1; max < whole.len; max++) {
        struct buf out;
        buf_init(&out, max);
        render_case(&id, &state, no_names, &out);
        assert_true(out.overflow);
        assert_true(out.len <= max);
        buf_done(&out);
    }
    buf_done(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render_case_page_sample_byte_for_byte),
        cmocka_unit_test(test_render_case_31_keys_in_order),
        cmocka_unit_test(test_render_case_all_filled_byte_for_byte),
        cmocka_unit_test(test_render_case_everything_optional_null),
        cmocka_unit_test(test_render_case_known_entity_gives_all_texts_nulls_included),
        cmocka_unit_test(test_render_case_names_of_absent_entities_ignored),
        cmocka_unit_test(test_render_case_rank_shortest_float32),
        cmocka_unit_test(test_render_case_times_of_all_years),
        cmocka_unit_test(test_render_case_texts_escape_only_what_json_demands),
        cmocka_unit_test(test_render_case_escape_at_any_place),
        cmocka_unit_test(test_render_case_huge_values_whole),
        cmocka_unit_test(test_render_case_any_ceiling_overflows_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
