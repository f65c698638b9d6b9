#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "workers/source/fingerprint.h"

struct vector {
    const char *schema;
    const char *canonical;
    int64_t fingerprint;
};

/* Apache Avro's own vectors for its implementations (share/test/data/schema-tests.txt). */
static const struct vector vectors[] = {
    {"\"null\"", "\"null\"", INT64_C(7195948357588979594)},
    {"{\"type\":\"null\"}", "\"null\"", INT64_C(7195948357588979594)},
    {"\"boolean\"", "\"boolean\"", INT64_C(-6970731678124411036)},
    {"\"int\"", "\"int\"", INT64_C(8247732601305521295)},
    {"\"long\"", "\"long\"", INT64_C(-3434872931120570953)},
    {"\"float\"", "\"float\"", INT64_C(5583340709985441680)},
    {"\"double\"", "\"double\"", INT64_C(-8181574048448539266)},
    {"\"bytes\"", "\"bytes\"", INT64_C(5746618253357095269)},
    {"{\"type\":\"string\"}", "\"string\"", INT64_C(-8142146995180207161)},
    {"[  ]", "[]", INT64_C(-1241056759729112623)},
    {"[ \"int\"  ]", "[\"int\"]", INT64_C(-5232228896498058493)},
    {"[ \"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]", INT64_C(5392556393470105090)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\"}", "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}",
     INT64_C(-4824392279771201922)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(5916914534497305771)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"a.b.foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(-4616218487480524110)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"doc\":\"foo\", \"aliases\":[\"foo\",\"bar\"]}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(-4824392279771201922)},
    {"{\"fields\":[{\"type\":{\"type\":\"boolean\"}, \"name\":\"f1\"}], \"type\":\"record\", \"name\":\"foo\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"}]}",
     INT64_C(7843277075252814651)},
    {"{ \"fields\":[{\"type\":\"boolean\", \"aliases\":[], \"name\":\"f1\", \"default\":\"true\"},\n"
     "{\"order\":\"descending\",\"name\":\"f2\",\"doc\":\"Hello\",\"type\":\"int\"}],\"type\":\"record\", "
     "\"name\":\"foo\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"},{\"name\":\"f2\","
     "\"type\":"
     "\"int\"}]}",
     INT64_C(-4860222112080293046)},
    {"{\"type\":\"enum\", \"name\":\"foo\", \"symbols\":[\"A1\"]}",
     "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}", INT64_C(-6342190197741309591)},
    {"{\"namespace\":\"x.y.z\", \"type\":\"enum\", \"name\":\"foo\", \"doc\":\"foo bar\", \"symbols\":[\"A1\", "
     "\"A2\"]}",
     "{\"name\":\"x.y.z.foo\",\"type\":\"enum\",\"symbols\":[\"A1\",\"A2\"]}", INT64_C(-4448647247586288245)},
    {"{\"name\":\"foo\",\"type\":\"fixed\",\"size\":\"015\"}", "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
     INT64_C(1756455273707447556)},
    {"{\"namespace\":\"x.y.z\", \"type\":\"fixed\", \"name\":\"foo\", \"doc\":\"foo bar\", \"size\":32}",
     "{\"name\":\"x.y.z.foo\",\"type\":\"fixed\",\"size\":32}", INT64_C(-3064184465700546786)},
    {"{ \"items\":{\"type\":\"null\"}, \"type\":\"array\"}", "{\"type\":\"array\",\"items\":\"null\"}",
     INT64_C(-589620603366471059)},
    {"{ \"values\":\"string\", \"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}",
     INT64_C(-8732877298790414990)},
    {"{\"name\":\"PigValue\",\"type\":\"record\",\"fields\":[{\"name\":\"value\", \"type\":[\"null\", \"int\", "
     "\"long\", "
     "\"PigValue\"]}]}",
     "{\"name\":\"PigValue\",\"type\":\"record\",\"fields\":[{\"name\":\"value\",\"type\":[\"null\",\"int\",\"long\","
     "\"PigValue\"]}]}",
     INT64_C(-1759257747318642341)},
};

static void test_fingerprint_of_avros_vectors(void **state CV_UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct err err = ERR_INIT;
        CV_CLEANUP(buf_done) struct buf form;
        buf_init(&form, 1 << 16);
        assert_int_equal(fingerprint_canonical(str_of(vectors[i].schema), &form, &err), CV_OK);
        assert_string_equal(form.data, vectors[i].canonical);
        uint64_t fingerprint = 0;
        assert_int_equal(fingerprint_of(str_of(vectors[i].schema), &fingerprint, &err), CV_OK);
        assert_int_equal(fingerprint, (uint64_t)vectors[i].fingerprint);
    }
}

static void test_canonical_resolves_names_in_their_namespace(void **state CV_UNUSED)
{
    static const struct vector names[] = {
        /* An inner record is in the namespace around it, a name without dots too. */
        {"{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"n\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":"
         "\"record\",\"name\":\"B\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\",\"A\"]}]}},{\"name\":\"c\",\"type\":"
         "\"n.B\"}]}",
         "{\"name\":\"n.A\",\"type\":\"record\",\"fields\":[{\"name\":\"b\",\"type\":{\"name\":\"n.B\",\"type\":"
         "\"record\","
         "\"fields\":[{\"name\":\"a\",\"type\":[\"null\",\"n.A\"]}]}},{\"name\":\"c\",\"type\":\"n.B\"}]}",
         0},
        /* A full name opens its own namespace; logical types and defaults are removed. */
        {"{\"type\":\"record\",\"name\":\"m.A\",\"namespace\":\"n\",\"fields\":[{\"name\":\"f\",\"type\":{\"type\":"
         "\"fixed\",\"name\":\"F\",\"size\":16}},{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":"
         "\"timestamp-micros\"},\"default\":0},{\"name\":\"g\",\"type\":{\"type\":\"m.F\"}}]}",
         "{\"name\":\"m.A\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":{\"name\":\"m.F\",\"type\":"
         "\"fixed\","
         "\"size\":16}},{\"name\":\"t\",\"type\":\"long\"},{\"name\":\"g\",\"type\":\"m.F\"}]}",
         0},
        /* Registries accept more names than the specification. */
        {"{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"my-team.x\",\"fields\":[{\"name\":\"gr\\u00f6\xc3\x9f"
         "e\",\"type\":{\"type\":\"enum\",\"name\":\"1E\",\"symbols\":[\"A-B\",\"a b\"]}},{\"name\":\"b\",\"type\":"
         "\"my-team.x.1E\"}]}",
         "{\"name\":\"my-team.x.A\",\"type\":\"record\",\"fields\":[{\"name\":\"gr\xc3\xb6\xc3\x9f"
         "e\",\"type\":{\"name\":\"my-team.x.1E\",\"type\":\"enum\",\"symbols\":[\"A-B\",\"a b\"]}},{\"name\":\"b\","
         "\"type\":\"my-team.x.1E\"}]}",
         0},
        /* The empty namespace is the null one. */
        {"{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"n\",\"fields\":[{\"name\":\"e\",\"type\":{\"type\":"
         "\"enum\","
         "\"name\":\"E\",\"namespace\":\"\",\"symbols\":[\"X\"]}}]}",
         "{\"name\":\"n.A\",\"type\":\"record\",\"fields\":[{\"name\":\"e\",\"type\":{\"name\":\"E\",\"type\":\"enum\","
         "\"symbols\":[\"X\"]}}]}",
         0},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err err = ERR_INIT;
        CV_CLEANUP(buf_done) struct buf form;
        buf_init(&form, 1 << 16);
        assert_int_equal(fingerprint_canonical(str_of(names[i].schema), &form, &err), CV_OK);
        assert_string_equal(form.data, names[i].canonical);
    }
}

static void test_canonical_of_no_schema_parks(void **state CV_UNUSED)
{
    static const char *const wrong[] = {
        "",
        "{",
        "3",
        "null",
        "\"Unknown\"",
        "{}",
        "{\"type\":\"record\"}",
        "{\"type\":\"record\",\"name\":\"A\"}",
        "{\"type\":\"record\",\"name\":\"\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"a.\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"int\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"f\"}]}",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"type\":\"int\"}]}",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"f\",\"type\":\"int\"},{\"name\":\"f\",\"type\":"
        "\"int\"}]}",
        "[{\"type\":\"record\",\"name\":\"A\",\"fields\":[]},{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}]",
        "[\"int\",[\"string\"]]",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"\",\"type\":\"int\"}]}",
        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"\"]}",
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}",
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":\"x\"}",
        "{\"type\":\"array\"}",
        "{\"type\":\"map\",\"values\":{}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = ERR_INIT;
        uint64_t fingerprint;
        assert_int_equal(fingerprint_of(str_of(wrong[i]), &fingerprint, &err), CV_PARK);
        assert_string_not_equal(err.text, "");
    }
}

static void test_canonical_nested_without_end_parks(void **state CV_UNUSED)
{
    CV_CLEANUP(buf_done) struct buf schema;
    buf_init(&schema, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_puts(&schema, "{\"type\":\"array\",\"items\":");
    buf_puts(&schema, "\"int\"");
    for (int i = 0; i < 1000; i++)
        buf_byte(&schema, '}');
    struct err err = ERR_INIT;
    uint64_t fingerprint;
    assert_int_equal(fingerprint_of((struct str){schema.data, schema.len}, &fingerprint, &err), CV_PARK);
}

static void test_canonical_of_too_many_types_parks(void **state CV_UNUSED)
{
    CV_CLEANUP(buf_done) struct buf schema;
    buf_init(&schema, 1 << 20);
    struct err err = ERR_INIT;
    uint64_t fingerprint;
    for (int count = 9999; count <= 10000; count++) {
        buf_reset(&schema);
        buf_byte(&schema, '[');
        for (int i = 1; i < count; i++)
            buf_puts(&schema, "\"int\",");
        buf_puts(&schema, "\"int\"]");
        enum cv_status status = fingerprint_of((struct str){schema.data, schema.len}, &fingerprint, &err);
        assert_int_equal(status, count == 9999 ? CV_OK : CV_PARK);
    }
    assert_non_null(strstr(err.text, "too many types"));
}

/* Producers send these fingerprints: a change of one changes the wire format. */
static void test_fingerprint_of_the_topics_schemas(void **state CV_UNUSED)
{
    static const struct {
        const char *file;
        uint64_t fingerprint;
    } ours[] = {
        {CASEVIEW_SOURCE_DIR "/schemas/avro/case-event.avsc", UINT64_C(0x47cd7af2748e39fa)},
        {CASEVIEW_SOURCE_DIR "/schemas/avro/agent-event.avsc", UINT64_C(0x1ede0e3a87315417)},
        {CASEVIEW_SOURCE_DIR "/schemas/avro/directory-event.avsc", UINT64_C(0x6c7d2dba77218a23)},
    };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        static char text[1 << 16];
        FILE *file = fopen(ours[i].file, "re");
        assert_non_null(file);
        size_t len = fread(text, 1, sizeof text, file);
        fclose(file);
        struct err err = ERR_INIT;
        uint64_t fingerprint = 0;
        assert_int_equal(fingerprint_of((struct str){text, len}, &fingerprint, &err), CV_OK);
        assert_int_equal(fingerprint, ours[i].fingerprint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fingerprint_of_avros_vectors),
        cmocka_unit_test(test_canonical_resolves_names_in_their_namespace),
        cmocka_unit_test(test_canonical_of_no_schema_parks),
        cmocka_unit_test(test_canonical_nested_without_end_parks),
        cmocka_unit_test(test_canonical_of_too_many_types_parks),
        cmocka_unit_test(test_fingerprint_of_the_topics_schemas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
