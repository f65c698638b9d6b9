/* clock and uuid. */
#include "caseview/clock.h"
#include "caseview/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void assert_iso(int64_t us, const char *expected)
{
    char text[CLOCK_ISO_MAX + 1];
    size_t len = clock_iso(us, text);
    assert_true(len <= CLOCK_ISO_MAX);
    text[len] = '\0';
    assert_string_equal(text, expected);
}

static void test_iso_known_times(void **state CV_UNUSED)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {-1000000, "1969-12-31T23:59:59Z"},
        {1712834018008222, "2024-04-11T11:13:38.008222Z"},
        {1712834018500000, "2024-04-11T11:13:38.5Z"},
        {1712834018000000, "2024-04-11T11:13:38Z"},
        {951782400000000, "2000-02-29T00:00:00Z"},
        {-2203977600000000, "1900-02-28T00:00:00Z"},
        {-2203891200000000, "1900-03-01T00:00:00Z"},
        {INT64_C(4107542399000010), "2100-02-28T23:59:59.00001Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00Z"},
        {CLOCK_MIN_US, "0001-01-01T00:00:00Z"},
        {CLOCK_MAX_US, "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_iso(cases[i].us, cases[i].text);
}

/* Every day of the years 1–9999, against the C library. */
static void test_iso_every_day(void **state CV_UNUSED)
{
    for (int64_t second = CLOCK_MIN_US / 1000000; second < CLOCK_MAX_US / 1000000; second += 86400) {
        time_t t = (time_t)(second + 45296);
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        char expected[64];
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_iso((second + 45296) * 1000000, expected);
    }
}

static void test_iso_every_length_of_fraction(void **state CV_UNUSED)
{
    static const char *const texts[] = {"1970-01-01T00:00:00.100001Z", "1970-01-01T00:00:00.10001Z",
                                        "1970-01-01T00:00:00.1001Z",   "1970-01-01T00:00:00.101Z",
                                        "1970-01-01T00:00:00.11Z",     "1970-01-01T00:00:00.2Z"};
    int64_t step = 1;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++, step *= 10)
        assert_iso(100000 + step, texts[i]);
}

static void test_clocks_go_forward(void **state CV_UNUSED)
{
    assert_true(clock_wall_us() > INT64_C(1600000000000000));
    int64_t mono = clock_mono_us();
    int64_t cpu = clock_cpu_us();
    while (clock_cpu_us() - cpu < 2000)
        ;
    assert_true(clock_mono_us() - mono >= 1000);
    assert_true(clock_mono_ms() - mono / 1000 <= 60000);
}

static void test_uuid_parse_table(void **state CV_UNUSED)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"},
        {"01234567-89ab-cdef-FEDC-BA9876543210", "01234567-89ab-cdef-fedc-ba9876543210"},
        {"", NULL},
        {"01234567-89ab-cdef-fedc-ba987654321", NULL},
        {"01234567-89ab-cdef-fedc-ba98765432100", NULL},
        {"0123456789ab-cdef-fedc-ba9876543210--", NULL},
        {"01234567-89ab-cdef-fedc_ba9876543210", NULL},
        {"01234567-89ab-cdef-fedc-ba987654321g", NULL},
        {"g1234567-89ab-cdef-fedc-ba9876543210", NULL},
        {"0123456--89ab-cdef-fedc-ba9876543210", NULL},
        {"{1234567-89ab-cdef-fedc-ba987654321}", NULL},
        {" 1234567-89ab-cdef-fedc-ba9876543210", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct uuid uuid;
        bool valid = uuid_parse(str_of(cases[i].text), &uuid);
        assert_int_equal(valid, cases[i].expected != NULL);
        if (!valid)
            continue;
        char text[UUID_TEXT_LEN + 1];
        uuid_format(&uuid, text);
        assert_string_equal(text, cases[i].expected);
    }
    struct uuid uuid;
    assert_false(uuid_parse(STR_NULL, &uuid));
}

/* Every byte at every place: only hex digits and the four dashes pass. */
static void test_uuid_parse_every_byte(void **state CV_UNUSED)
{
    for (size_t at = 0; at < UUID_TEXT_LEN; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "01234567-89ab-cdef-fedc-ba9876543210";
            bool dash = text[at] == '-';
            text[at] = (char)byte;
            struct uuid uuid;
            bool hex = byte != 0 && strchr("0123456789abcdefABCDEF", byte);
            assert_int_equal(uuid_parse((struct str){text, UUID_TEXT_LEN}, &uuid), dash ? byte == '-' : hex);
        }
    }
}

static void test_uuid_random_is_version_4_and_new(void **state CV_UNUSED)
{
    struct uuid before = {{0}};
    for (int i = 0; i < 1000; i++) {
        struct uuid uuid;
        uuid_random(&uuid);
        assert_int_equal(uuid.b[6] >> 4, 4);
        assert_int_equal(uuid.b[8] >> 6, 2);
        assert_false(uuid_eq(&uuid, &before));
        before = uuid;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iso_known_times),
        cmocka_unit_test(test_iso_every_day),
        cmocka_unit_test(test_iso_every_length_of_fraction),
        cmocka_unit_test(test_clocks_go_forward),
        cmocka_unit_test(test_uuid_parse_table),
        cmocka_unit_test(test_uuid_parse_every_byte),
        cmocka_unit_test(test_uuid_random_is_version_4_and_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
