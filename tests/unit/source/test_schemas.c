#include "tests/unit/source/decode_fixture.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "caseview/clock.h"
#include "caseview/fetch.h"
#include "tests/support/fake_registry.h"

/* An agent event whose only payload is AgentCurrentUnitCleared, as a registry's JSON string. */
#define AGENT_FIELDS(payload)                                                                                       \
    "{\\\"name\\\":\\\"eventId\\\",\\\"type\\\":\\\"string\\\"},{\\\"name\\\":\\\"organizationId\\\",\\\"type\\\":" \
    "\\\"string\\\"},{\\\"name\\\":\\\"userId\\\",\\\"type\\\":\\\"string\\\"},{\\\"name\\\":\\\"sequence\\\","     \
    "\\\"type\\\":\\\"long\\\"},{\\\"name\\\":\\\"occurredAt\\\",\\\"type\\\":\\\"long\\\"},{\\\"name\\\":"         \
    "\\\"payload\\\",\\\"type\\\":" payload "}"
#define AGENT_SCHEMA(payload)                                                                                         \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"AgentEvent\\\",\\\"namespace\\\":\\\"caseview\\\",\\\"fields\\\":" \
    "[" AGENT_FIELDS(payload) "]}"
#define CLEARED                                                                                                     \
    "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"AgentCurrentUnitCleared\\\",\\\"namespace\\\":\\\"caseview\\\"," \
    "\\\"fields\\\":[]}"

static struct fake_registry registry;
static struct fixture fixture;

static int setup(void **state CV_UNUSED)
{
    fake_registry_start(&registry);
    fixture_open(&fixture, NULL, registry.url);
    return 0;
}

static int teardown(void **state CV_UNUSED)
{
    fixture_close(&fixture);
    fake_registry_stop(&registry);
    return 0;
}

static void write_cleared(uint32_t id)
{
    struct buf *out = &fixture.value;
    buf_reset(out);
    buf_byte(out, 0);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_byte(out, (char)(id >> shift));
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    put_text(out, ID);
    put_long(out, 7);
    put_long(out, SOME_DAY);
    put_long(out, 0);
}

/* Decodes what was written once the registry has answered. */
static enum decode_outcome decode_answered(void)
{
    enum decode_outcome outcome = fixture_decode_written(&fixture, TOPIC_AGENTS, ID);
    if (outcome == DECODE_WAIT && schemas_wait(fixture.schemas, 10000) == CV_OK)
        outcome = fixture_decode_written(&fixture, TOPIC_AGENTS, ID);
    return outcome;
}

static void assert_answered(void)
{
    if (decode_answered() != DECODE_EVENT)
        fail_msg("%s", fixture.err.text);
}

static void assert_unknown(void)
{
    assert_int_equal(decode_answered(), DECODE_PARK);
    assert_string_equal(park_reason_name(fixture.result.reason), "unknown-schema");
}

/* True when the registry has failed to answer at least once; the reason is in fixture.err. */
static void assert_waits(void)
{
    int64_t deadline_ms = clock_mono_ms() + 10000;
    do {
        assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, ID), DECODE_WAIT);
        assert_int_equal(schemas_wait(fixture.schemas, 20), CV_RETRY);
    } while (strstr(fixture.err.text, "is being asked") && clock_mono_ms() < deadline_ms);
    assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, ID), DECODE_WAIT);
    assert_null(strstr(fixture.err.text, "is being asked"));
}

static void reopen(const char *url)
{
    fixture_close(&fixture);
    fixture_open(&fixture, NULL, url);
}

static void test_by_id_asks_once(void **state CV_UNUSED)
{
    fake_registry_answer(&registry, "/apis/schemas/ids/4000000000", 200,
                         "{\"schema\":\"" AGENT_SCHEMA("[" CLEARED "]") "\"}");
    int before = registry.requests;
    for (int i = 0; i < 3; i++) {
        write_cleared(4000000000);
        assert_answered();
        assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
    }
    assert_int_equal(registry.requests, before + 1);
}

static void test_by_id_with_references(void **state CV_UNUSED)
{
    fake_registry_answer(
        &registry, "/apis/schemas/ids/2", 200,
        "{\"schema\":\"" AGENT_SCHEMA(
            "[\\\"AgentCurrentUnitCleared\\\",\\\"x.Extra\\\"]") "\","
                                                                 "\"schemaType\":\"AVRO\",\"references\":["
                                                                 "{\"name\":\"caseview.AgentCurrentUnitCleared\","
                                                                 "\"subject\":\"a b/c\",\"version\":3},"
                                                                 "{\"name\":\"x.Extra\",\"subject\":\"extra\","
                                                                 "\"version\":1}]}");
    fake_registry_answer(&registry, "/apis/subjects/a%20b%2Fc/versions/3", 200, "{\"schema\":\"" CLEARED "\"}");
    fake_registry_answer(
        &registry, "/apis/subjects/extra/versions/1", 200,
        "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"x.Extra\\\",\\\"fields\\\":[{\\\"name"
        "\\\":\\\"f\\\",\\\"type\\\":\\\"x.F\\\"}]}\",\"references\":[{\"name\":\"x.F\",\"subject\":\"f\","
        "\"version\":1}]}");
    fake_registry_answer(&registry, "/apis/subjects/f/versions/1", 200,
                         "{\"schema\":\"{\\\"type\\\":\\\"fixed\\\",\\\"name\\\":\\\"x.F\\\",\\\"size\\\":2}\"}");
    write_cleared(2);
    assert_answered();
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
    write_cleared(2);
    fixture.value.len--;
    put_long(&fixture.value, 1);
    buf_puts(&fixture.value, "ab");
    assert_answered();
    assert_int_equal(fixture.result.event.a.type, AGENT_UNKNOWN_TYPE);
}

static void test_by_id_bad_answers_park(void **state CV_UNUSED)
{
    static const struct {
        const char *body;
        const char *says;
    } answers[] = {
        {"{\"schema\":\"syntax\",\"schemaType\":\"PROTOBUF\"}", "PROTOBUF"},
        {"{\"schema\":\"{\"}", "JSON"},
        {"{\"schema\":\"{}\"}", "not an Avro schema"},
        {"{\"schema\":\"\\\"x.Unknown\\\"\"}", "x.Unknown"},
        {"{\"schema\":\"\\\"int\\\"\",\"references\":[{\"name\":\"x\"}]}", "reference"},
        {"{\"schema\":\"\\\"int\\\"\",\"references\":[{\"name\":\"x\",\"subject\":\"gone\",\"version\":1}]}", "gone"},
    };
    static char paths[ARRAY_LEN(answers)][40];
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        snprintf(paths[i], sizeof paths[i], "/apis/schemas/ids/%zu", 100 + i);
        registry.answer_count = 0;
        fake_registry_answer(&registry, paths[i], 200, answers[i].body);
        write_cleared((uint32_t)(100 + i));
        assert_unknown();
        assert_err_has(&fixture, answers[i].says);
    }
}

static void test_by_id_unknown_is_remembered_for_some_seconds(void **state CV_UNUSED)
{
    int before = registry.requests;
    for (int i = 0; i < 5; i++) {
        write_cleared(200);
        assert_unknown();
    }
    assert_int_equal(registry.requests, before + 1);
    /* A schema registered later is found within seconds. */
    fake_registry_answer(&registry, "/apis/schemas/ids/200", 200, "{\"schema\":\"" AGENT_SCHEMA("[" CLEARED "]") "\"}");
    int64_t deadline_ms = clock_mono_ms() + 10000;
    enum decode_outcome outcome;
    do {
        write_cleared(200);
        outcome = decode_answered();
        usleep(50000);
    } while (outcome == DECODE_PARK && clock_mono_ms() < deadline_ms);
    assert_int_equal(outcome, DECODE_EVENT);
}

static void test_by_id_refusals_are_tried_again(void **state CV_UNUSED)
{
    static const struct {
        int status;
        const char *body;
    } refusals[] = {
        {500, "sorry"},
        {503, "sorry"},
        {401, "sorry"},
        {403, "sorry"},
        {429, "sorry"},
        {301, "sorry"},
        {200, "sorry"},
        {200, "{\"id\":1}"},
        {200, "{\"schema\":null}"},
        {200, "{\"schema\":{}}"},
        {200, "[\"schema\"]"},
        {200, "{\"schema\":\"\\\"int\\\"\",\"schemaType\":3}"},
        {200, ""},
    };
    fake_registry_answer(&registry, "/apis/schemas/ids/4000000001", 200,
                         "{\"schema\":\"" AGENT_SCHEMA("[" CLEARED "]") "\"}");
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        reopen(registry.url);
        write_cleared(4000000001);
        assert_answered();
        fake_registry_answer(&registry, "/apis/schemas/ids/300", refusals[i].status, refusals[i].body);
        int before = registry.requests;
        write_cleared(300);
        assert_waits();
        assert_err_has(&fixture, "registry");
        /* No request during the back-off (on a slow machine it may be over). */
        assert_in_range(registry.requests, before + 1, before + 2);
        write_cleared(4000000001); /* records of known schemas are not delayed */
        assert_decoded(&fixture, TOPIC_AGENTS, ID);
    }
    fake_registry_answer(&registry, "/apis/schemas/ids/300", 200,
                         "{\"schema\":\"" AGENT_SCHEMA("[" CLEARED "]") "\",\"schemaType\":null}");
    write_cleared(300);
    assert_answered();
}

/* Only a registry's own error code means an unknown id: any server answers 404 to an unknown path. */
static void test_by_id_404_of_another_path_is_tried_again(void **state CV_UNUSED)
{
    static const struct {
        uint32_t id;
        enum decode_outcome outcome;
        const char *body;
    } answers[] = {
        {400, DECODE_PARK, "{\"error_code\":40403,\"message\":\"Schema 400 not found\"}"},
        {401, DECODE_PARK, "{\"message\":\"of its only subject\",\"error_code\":40401}"},
        {402, DECODE_WAIT, ""},
        {403, DECODE_WAIT, "<html><body>404 Not Found</body></html>"},
        {404, DECODE_WAIT, "[40403]"},
        {405, DECODE_WAIT, "{}"},
        {406, DECODE_WAIT, "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"},
        {407, DECODE_WAIT, "{\"error_code\":0,\"message\":\"Could not find resource for full path\"}"},
        {408, DECODE_WAIT, "{\"error_code\":\"40403\"}"},
        {409, DECODE_WAIT, "{\"error_code\":40403"},
        {2147483649, DECODE_WAIT, "<html><body>404 Not Found</body></html>"},
        /* A registry in Java has ids of 31 bits and treats a larger one as an unknown path. */
        {2147483647, DECODE_WAIT, "{\"error_code\":0,\"message\":\"Could not find resource for full path\"}"},
        {2147483648, DECODE_PARK, "{\"error_code\":0,\"message\":\"Unable to extract parameter\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        char path[40];
        snprintf(path, sizeof path, "/apis/schemas/ids/%" PRIu32, answers[i].id);
        reopen(registry.url);
        registry.answer_count = 0;
        fake_registry_answer(&registry, path, 404, answers[i].body);
        write_cleared(answers[i].id);
        if (answers[i].outcome == DECODE_PARK) {
            assert_unknown();
            continue;
        }
        assert_waits();
        assert_err_has(&fixture, "path in schema-registry");
        assert_err_has(&fixture, registry.url); /* with the path asked for, its last slash not doubled */
        assert_err_has(&fixture, path);
    }
    registry.answer_count = 0;
}

static void test_by_id_404_names_no_password(void **state CV_UNUSED)
{
    char url[sizeof registry.url + 32];
    snprintf(url, sizeof url, "http://user:secret@%s", strstr(registry.url, "127."));
    reopen(url);
    fake_registry_answer(&registry, "/apis/schemas/ids/500", 404, "");
    write_cleared(500);
    assert_waits();
    assert_err_has(&fixture, "/apis/schemas/ids/500");
    assert_null(strstr(fixture.err.text, "secret"));
    reopen(registry.url);
}

static void test_by_id_without_an_answer_is_tried_again(void **state CV_UNUSED)
{
    reopen("http://user:secret@127.0.0.1:1/");
    write_cleared(1);
    assert_waits();
    assert_string_not_equal(fixture.err.text, "");
    assert_null(strstr(fixture.err.text, "secret"));
    reopen(registry.url);
}

/* A registry that accepts and never answers delays neither records nor the shutdown. */
static void test_by_id_of_a_silent_registry_does_not_block(void **state CV_UNUSED)
{
    char url[64];
    int fd = silent_registry_start(url, sizeof url);
    reopen(url);
    int64_t start_ms = clock_mono_ms();
    for (uint32_t i = 0; i < 1000; i++) {
        write_cleared(600 + i % 100);
        assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, ID), DECODE_WAIT);
        assert_string_not_equal(fixture.err.text, "");
        assert_false(schemas_changed(fixture.schemas));
    }
    assert_in_range(clock_mono_ms() - start_ms, 0, 900); /* one request takes 5 s */
    assert_int_equal(schemas_wait(fixture.schemas, 50), CV_RETRY);
    start_ms = clock_mono_ms();
    reopen(registry.url);
    assert_in_range(clock_mono_ms() - start_ms, 0, 4000);
    close(fd);
}

static void test_changed_tells_of_each_answer_once(void **state CV_UNUSED)
{
    fake_registry_answer(&registry, "/apis/schemas/ids/700", 200, "{\"schema\":\"" AGENT_SCHEMA("[" CLEARED "]") "\"}");
    reopen(registry.url);
    assert_false(schemas_changed(fixture.schemas));
    assert_int_equal(schemas_wait(fixture.schemas, 0), CV_OK); /* no request is in flight */
    int before = registry.requests;
    for (uint32_t id = 700; id <= 701; id++) { /* known and unknown */
        int64_t deadline_ms = clock_mono_ms() + 10000;
        write_cleared(id);
        assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, ID), DECODE_WAIT);
        while (!schemas_changed(fixture.schemas) && clock_mono_ms() < deadline_ms)
            usleep(1000);
        assert_in_range(clock_mono_ms(), 0, deadline_ms);
        assert_false(schemas_changed(fixture.schemas));
        assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, ID), id == 700 ? DECODE_EVENT : DECODE_PARK);
    }
    assert_int_equal(registry.requests, before + 2);
}

/* A union of references is how a registry holds several types of one topic. */
static void test_by_id_with_a_union_of_references(void **state CV_UNUSED)
{
    fake_registry_answer(&registry, "/apis/schemas/ids/800", 200,
                         "{\"schema\":\"[\\\"x.Beat\\\",\\\"caseview.AgentEvent\\\"]\",\"references\":["
                         "{\"name\":\"x.Beat\",\"subject\":\"beat\",\"version\":1},"
                         "{\"name\":\"caseview.AgentEvent\",\"subject\":\"agent\",\"version\":1}]}");
    fake_registry_answer(
        &registry, "/apis/subjects/beat/versions/1", 200,
        "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"x.Beat\\\",\\\"fields\\\":[]}\"}");
    fake_registry_answer(&registry, "/apis/subjects/agent/versions/1", 200,
                         "{\"schema\":\"" AGENT_SCHEMA("[" CLEARED "]") "\"}");
    write_cleared(800);
    size_t head = 5;
    memmove(fixture.value.data + head + 1, fixture.value.data + head, fixture.value.len - head);
    fixture.value.data[head] = 2; /* branch 1 */
    fixture.value.len++;
    assert_answered();
    assert_int_equal(fixture.result.event.a.type, AGENT_CURRENT_UNIT_CLEARED);
    fixture.value.data[head] = 0;
    fixture.value.len = head + 1;
    assert_int_equal(fixture_decode_written(&fixture, TOPIC_AGENTS, ID), DECODE_SKIP);
}

/* The logical types of types that a schema refers to count too. */
static void test_by_id_with_logical_types_in_a_reference(void **state CV_UNUSED)
{
    fake_registry_answer(
        &registry, "/apis/schemas/ids/801", 200,
        "{\"schema\":\"" AGENT_SCHEMA(
            "[\\\"caseview.AgentCurrentUnitSelected\\\"]") "\",\"references\":["
                                                           "{\"name\":\"caseview.AgentCurrentUnitSelected\","
                                                           "\"subject\":\"selected\",\"version\":1}]}");
    fake_registry_answer(
        &registry, "/apis/subjects/selected/versions/1", 200,
        "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"caseview.AgentCurrentUnitSelected\\\","
        "\\\"fields\\\":["
        "{\\\"name\\\":\\\"unitId\\\",\\\"type\\\":{\\\"type\\\":\\\"fixed\\\",\\\"name\\\":\\\"Id\\\",\\\"size\\\":16,"
        "\\\"logicalType\\\":\\\"decimal\\\"}}]}\"}");
    write_cleared(801);
    buf_append(&fixture.value, "0123456789abcdef", 16);
    assert_int_equal(decode_answered(), DECODE_PARK);
    assert_string_equal(park_reason_name(fixture.result.reason), "wrong-type");
    assert_err_has(&fixture, "decimal");
}

/* The folder. */

static char folder[] = "/tmp/caseview-folder-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(remove(path), 0);
}

static void test_open_of_a_folder_with_a_bad_schema_names_it(void **state CV_UNUSED)
{
    assert_non_null(mkdtemp(folder));
    struct schemas *schemas = NULL;
    struct err err = ERR_INIT;
    write_file("notes.txt", "no schema");
    write_file(".avsc", "no schema");
    write_file("good.avsc", "{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}");
    write_file("same.avsc", "{\"type\":\"record\",\"name\":\"A\",\"fields\":[],\"doc\":\"again\"}");
    write_file("primitive.avsc", "\"string\"");
    assert_int_equal(schemas_open(folder, NULL, &schemas, &err), CV_OK);
    schemas_close(schemas);

    static const char *const bad[] = {"", "{", "{\"type\":\"x.Elsewhere\"}", "{\"type\":\"record\",\"name\":\"A\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_file("wrong.avsc", bad[i]);
        assert_int_equal(schemas_open(folder, NULL, &schemas, &err), CV_FATAL);
        assert_non_null(strstr(err.text, "wrong.avsc"));
    }
    remove_file("wrong.avsc");

    char path[128];
    snprintf(path, sizeof path, "%s/dir.avsc", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(schemas_open(folder, NULL, &schemas, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "dir.avsc"));

    static const char *const names[] = {"dir.avsc", "notes.txt", ".avsc", "good.avsc", "same.avsc", "primitive.avsc"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        remove_file(names[i]);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(schemas_open(folder, NULL, &schemas, &err), CV_FATAL);
    assert_non_null(strstr(err.text, folder));
}

static void test_reload_adds_what_is_new_and_keeps_the_rest(void **state CV_UNUSED)
{
    memcpy(folder, "/tmp/caseview-folder-XXXXXX", sizeof folder);
    assert_non_null(mkdtemp(folder));
    struct schemas *schemas = NULL;
    struct err err = ERR_INIT;
    const struct schema_plan *before, *after;
    size_t added = 99;
    char path[128];
    snprintf(path, sizeof path, "%s/b.avsc", folder);
    write_file("b.avsc", "{\"type\":\"record\",\"name\":\"B\",\"fields\":[]}");
    uint64_t b = fingerprint_of_file(path);
    assert_int_equal(schemas_open(folder, NULL, &schemas, &err), CV_OK);
    assert_int_equal(schemas_by_fingerprint(schemas, b, &before, &err), CV_OK);

    write_file("a.avsc", "{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}");
    write_file("c.avsc", "{");
    snprintf(path, sizeof path, "%s/a.avsc", folder);
    uint64_t a = fingerprint_of_file(path);
    assert_int_equal(schemas_reload(schemas, &added, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "c.avsc"));
    assert_int_equal(added, 1);
    assert_int_equal(schemas_by_fingerprint(schemas, a, &after, &err), CV_OK);

    remove_file("b.avsc");
    remove_file("c.avsc");
    assert_int_equal(schemas_reload(schemas, &added, &err), CV_OK);
    assert_int_equal(added, 0);
    assert_int_equal(schemas_by_fingerprint(schemas, b, &after, &err), CV_OK);
    assert_ptr_equal(after, before);
    remove_file("a.avsc");
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(schemas_reload(schemas, &added, &err), CV_FATAL);
    schemas_close(schemas);
}

static void test_fingerprints_of_two_versions_side_by_side(void **state CV_UNUSED)
{
    struct schemas *schemas = NULL;
    struct err err = ERR_INIT;
    const struct schema_plan *plan = NULL;
    assert_int_equal(schemas_open(SCHEMA_FOLDER, NULL, &schemas, &err), CV_OK);
    for (int i = 0; i < TOPIC_COUNT; i++)
        assert_int_equal(schemas_by_fingerprint(schemas, fingerprint_of_file(topic_files[i]), &plan, &err), CV_OK);
    assert_int_equal(schemas_by_fingerprint(schemas, 1, &plan, &err), CV_PARK);
    assert_int_equal(schemas_by_id(schemas, 1, &plan, &err), CV_PARK);
    schemas_close(schemas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_id_asks_once),
        cmocka_unit_test(test_by_id_with_references),
        cmocka_unit_test(test_by_id_bad_answers_park),
        cmocka_unit_test(test_by_id_unknown_is_remembered_for_some_seconds),
        cmocka_unit_test(test_by_id_refusals_are_tried_again),
        cmocka_unit_test(test_by_id_404_of_another_path_is_tried_again),
        cmocka_unit_test(test_by_id_404_names_no_password),
        cmocka_unit_test(test_by_id_without_an_answer_is_tried_again),
        cmocka_unit_test(test_by_id_of_a_silent_registry_does_not_block),
        cmocka_unit_test(test_changed_tells_of_each_answer_once),
        cmocka_unit_test(test_by_id_with_a_union_of_references),
        cmocka_unit_test(test_by_id_with_logical_types_in_a_reference),
        cmocka_unit_test(test_open_of_a_folder_with_a_bad_schema_names_it),
        cmocka_unit_test(test_reload_adds_what_is_new_and_keeps_the_rest),
        cmocka_unit_test(test_fingerprints_of_two_versions_side_by_side),
    };
    fetch_global_init();
    return cmocka_run_group_tests(tests, setup, teardown);
}
