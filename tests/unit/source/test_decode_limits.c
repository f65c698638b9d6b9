/* How large records, texts and lists may be (contract, section 3). */
#include "tests/unit/source/decode_records.h"

static void write_roles(size_t roles)
{
    struct buf *out = begin_directory(APPLICATION_UPSERTED);
    put_text(out, "client");
    put_text(out, "Name");
    put_long(out, (int64_t)roles);
    for (size_t i = 0; i < roles; i++)
        buf_byte(out, 0);
    put_long(out, 0);
    buf_byte(out, 0);
}

#define APPLICATION_KEY "application:" ORG_ID ":" ID

static void test_decode_lists_above_1000_items_park(void **state CV_UNUSED)
{
    write_roles(1000);
    assert_decoded(&fixture, TOPIC_DIRECTORY, APPLICATION_KEY);
    assert_int_equal(fixture.result.event.d.fields.role_count, 1000);
    assert_int_equal(fixture.result.event.d.fields.roles[999].len, 0);
    static const size_t counts[] = {1001, RECORD_MAX_BYTES - 300};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        write_roles(counts[i]);
        assert_parked(&fixture, TOPIC_DIRECTORY, APPLICATION_KEY, PARK_TOO_LARGE);
        assert_err_has(&fixture, "roles");
        assert_err_has(&fixture, "1000");
        assert_organization(&fixture, ORG_ID);
    }
    for (int count = 1000; count <= 1001; count++) {
        struct buf *out = begin_agent(WORKSPACES_SELECTED);
        put_text(out, UNIT_ID);
        put_long(out, count);
        for (int i = 0; i < count; i++)
            put_text(out, i == 999 ? OTHER_ID : ID);
        put_long(out, 0);
        if (count == 1000)
            assert_decoded(&fixture, TOPIC_AGENTS, ID);
        else
            assert_parked(&fixture, TOPIC_AGENTS, ID, PARK_TOO_LARGE);
    }
    assert_err_has(&fixture, "workspaceIds");
}

/* Key and value together are an event's record. */
static void test_decode_records_above_1_mib_park_with_their_organization(void **state CV_UNUSED)
{
    static char name[RECORD_MAX_BYTES];
    memset(name, 'x', sizeof name);
    write_unit(name, RECORD_MAX_BYTES - 250);
    assert_in_range(fixture.value.len + strlen(UNIT_KEY), RECORD_MAX_BYTES - 50, RECORD_MAX_BYTES);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_TOO_LARGE);
    assert_err_has(&fixture, "name");
    assert_err_has(&fixture, "1024");
    write_unit(name, RECORD_MAX_BYTES - 200);
    assert_in_range(fixture.value.len, 0, RECORD_MAX_BYTES);
    assert_in_range(fixture.value.len + strlen(UNIT_KEY), RECORD_MAX_BYTES + 1, RECORD_MAX_BYTES + 50);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_TOO_LARGE);
    assert_err_has(&fixture, "1 MiB");
    assert_organization(&fixture, ORG_ID);
}

/* Nothing of what a text may not be hides its length, nor the other way round. */
static void test_decode_texts_above_their_limit_park(void **state CV_UNUSED)
{
    static char text[70000];
    memset(text, 'x', sizeof text);
    static const struct {
        size_t limit;
        const char *field;
    } limits[] = {{1 << 10, "channel"}, {2 << 10, "contactEmail"}, {1 << 10, "contactPhoneNumber"}};
    for (size_t field = 0; field < ARRAY_LEN(limits); field++) {
        for (size_t more = 0; more < 2; more++) {
            struct buf *out = begin_case(UPDATED);
            for (size_t i = 0; i < 4; i++) {
                bool is_set = i == (field == 0 ? 0 : field == 1 ? 3 : 2);
                put_long(out, is_set);
                if (is_set && i > 0)
                    put_long(out, 1);
                if (is_set)
                    put_bytes(out, text, limits[field].limit + more);
            }
            put_long(out, SOME_DAY);
            if (more == 0) {
                assert_decoded(&fixture, TOPIC_CASES, ID);
                continue;
            }
            assert_parked(&fixture, TOPIC_CASES, ID, PARK_TOO_LARGE);
            assert_err_has(&fixture, limits[field].field);
            assert_organization(&fixture, ORG_ID);
        }
    }
    write_unit(text, 1024);
    assert_decoded(&fixture, TOPIC_DIRECTORY, UNIT_KEY);
    memcpy(text + 1023, "\xc3\xa9", 2); /* the limit is in bytes, not characters */
    write_unit(text, 1025);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_TOO_LARGE);
    text[1024] = '\xff';
    write_unit(text, 1025);
    assert_parked(&fixture, TOPIC_DIRECTORY, UNIT_KEY, PARK_BAD_TEXT);
}

static void test_decode_meeting_above_64_kib_parks(void **state CV_UNUSED)
{
    static char json[(64 << 10) + 2];
    memset(json, ' ', sizeof json - 1);
    json[0] = '{';
    json[1] = '}';
    json[64 << 10] = '\0';
    write_meeting(json);
    assert_decoded(&fixture, TOPIC_CASES, ID);
    json[64 << 10] = ' ';
    write_meeting(json);
    assert_parked(&fixture, TOPIC_CASES, ID, PARK_TOO_LARGE);
    assert_err_has(&fixture, "onlineMeeting");
}

static void test_decode_into_a_full_arena_parks(void **state CV_UNUSED)
{
    struct arena *small = arena_new(16, 16);
    write_roles(2);
    struct record record = {
        .topic = TOPIC_DIRECTORY, .key = STR(APPLICATION_KEY), .value = {fixture.value.data, fixture.value.len}};
    assert_int_equal(decode_record(fixture.schemas, &record, small, &fixture.result, &fixture.err), DECODE_PARK);
    assert_int_equal(fixture.result.reason, PARK_TOO_LARGE);
    assert_organization(&fixture, ORG_ID);
    arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_lists_above_1000_items_park),
        cmocka_unit_test(test_decode_records_above_1_mib_park_with_their_organization),
        cmocka_unit_test(test_decode_texts_above_their_limit_park),
        cmocka_unit_test(test_decode_meeting_above_64_kib_parks),
        cmocka_unit_test(test_decode_into_a_full_arena_parks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
