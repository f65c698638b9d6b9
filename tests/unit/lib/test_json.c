#include "caseview/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct buf out;

static const char *text_of(void)
{
    return out.data ? out.data : "";
}

static void test_string_escapes_only_what_must_be(void **state CV_UNUSED)
{
    static const struct {
        struct str in;
        const char *expected;
    } cases[] = {
        {{NULL, 0}, "null"},
        {{"", 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"Zo\xc3\xab </script> /", 16}, "\"Zo\xc3\xab </script> /\""},
        {{"\xf0\x9f\x98\x80\xe2\x80\xa8", 7}, "\"\xf0\x9f\x98\x80\xe2\x80\xa8\""},
        {{"\"", 1}, "\"\\\"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&out);
        json_quote(&out, cases[i].in);
        assert_string_equal(text_of(), cases[i].expected);
    }
}

static void test_string_every_byte(void **state CV_UNUSED)
{
    for (int byte = 0; byte < 256; byte++) {
        char in = (char)byte;
        buf_reset(&out);
        json_quote(&out, (struct str){&in, 1});
        bool escaped = byte < 0x20 || byte == '"' || byte == '\\';
        assert_int_equal(out.len > 3, escaped);
        if (byte < 0x20 && !strchr("\b\f\n\r\t", byte)) {
            char expected[16];
            snprintf(expected, sizeof expected, "\"\\u%04x\"", (unsigned)byte);
            assert_string_equal(text_of(), expected);
        }
    }
}

static void test_int_extremes(void **state CV_UNUSED)
{
    static const int64_t numbers[] = {0, 1, -1, 9, 10, INT64_MAX, INT64_MIN, 1234567890123};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
        buf_reset(&out);
        json_int(&out, numbers[i]);
        assert_string_equal(text_of(), expected);
    }
}

static void test_uuid_and_time(void **state CV_UNUSED)
{
    struct uuid uuid;
    assert_true(uuid_parse(STR("01234567-89AB-cdef-fedc-ba9876543210"), &uuid));
    buf_reset(&out);
    json_uuid(&out, &uuid);
    json_uuid(&out, NULL);
    json_time(&out, 1712834018008222);
    assert_string_equal(text_of(), "\"01234567-89ab-cdef-fedc-ba9876543210\"null\"2024-04-11T11:13:38.008222Z\"");
}

/* ---- float32 ---- */

static float float_of(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void assert_float(float number, const char *expected)
{
    buf_reset(&out);
    json_float32(&out, number);
    assert_string_equal(text_of(), expected);
}

static void test_float32_known_numbers(void **state CV_UNUSED)
{
    static const struct {
        float number;
        const char *text;
    } cases[] = {
        {0.0F, "0"},
        {-0.0F, "-0"},
        {5.0F, "5"},
        {-5.0F, "-5"},
        {0.1F, "0.1"},
        {0.5F, "0.5"},
        {1.5F, "1.5"},
        {-12.75F, "-12.75"},
        {100.0F, "100"},
        {0.001F, "0.001"},
        {0.00001F, "0.00001"}, /* decimal exponent -5 */
        {0.000012345F, "0.000012345"},
        {0.000001F, "1E-06"}, /* -6 */
        {0.0000012345F, "1.2345E-06"},
        {1e14F, "100000000000000"}, /* 14 */
        {9.9e14F, "990000000000000"},
        {1e15F, "1E+15"}, /* 15 */
        {1.5e15F, "1.5E+15"},
        {3.7090777e+37F, "3.7090777E+37"},
        {-3.7090777e+37F, "-3.7090777E+37"},
        {16777216.0F, "16777216"},
        {16777215.0F, "16777215"},
        {33554432.0F, "33554432"},
        {123456789.0F, "123456790"},
        {9007199254740992.0F, "9.007199E+15"}, /* 2^53: the gap below is half of the gap above */
        {5.9604645e-08F, "5.9604645E-08"},     /* 2^-24 */
        {3.4028235e+38F, "3.4028235E+38"},     /* the greatest */
        {1.17549435e-38F, "1.1754944E-38"},    /* the smallest normal one */
        {1.17549421e-38F, "1.1754942E-38"},    /* the greatest subnormal one */
        {1e-45F, "1E-45"},                     /* the smallest */
        {8.5899346e9F, "8589935000"},          /* 2^33 */
        {0.3F, "0.3"},
        {16777.216F, "16777.217"},
        {8388608.5F, "8388608"},
        {8388607.5F, "8388607.5"},
        {0.33333334F, "0.33333334"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_float(cases[i].number, cases[i].text);
}

/* Writes digits × 10^exponent in the contract's form, the slow way. */
static void form(bool negative, const char *digits, int exponent, char *text, size_t size)
{
    int count = (int)strlen(digits);
    const char *sign = negative ? "-" : "";
    if (exponent < -5 || exponent > 14) {
        snprintf(text, size, "%s%.1s%s%sE%c%02d", sign, digits, count > 1 ? "." : "", digits + 1,
                 exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        snprintf(text, size, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    } else if (count <= exponent + 1) {
        snprintf(text, size, "%s%s%.*s", sign, digits, exponent + 1 - count, "00000000000000");
    } else {
        snprintf(text, size, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    }
}

/*
 * The oracle: with one digit more each time, the closest decimal and its two neighbours (at a power of two the closest
 * may lie outside while a neighbour on the wide side lies inside); of those that read back, the closest, of two equally
 * close ones the even one.
 */
static void oracle(float number, char *text, size_t size)
{
    double magnitude = fabs((double)number);
    for (int precision = 0; precision < 9; precision++) {
        char scientific[64];
        snprintf(scientific, sizeof scientific, "%.*e", precision, magnitude);
        int exponent = (int)strtol(strchr(scientific, 'e') + 1, NULL, 10);
        long long digits = 0;
        for (const char *p = scientific; *p != 'e'; p++)
            if (*p != '.')
                digits = digits * 10 + (*p - '0');
        long long found = 0;
        long double distance = INFINITY;
        const long long candidates[] = {digits, digits - 1, digits + 1}; /* a tie is printf's to decide: even */
        for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
            long long near = candidates[i];
            char candidate[64];
            snprintf(candidate, sizeof candidate, "%llde%d", near, exponent - precision);
            long double off = fabsl(strtold(candidate, NULL) - (long double)magnitude);
            if ((double)strtof(candidate, NULL) == magnitude && off < distance) {
                found = near;
                distance = off;
            }
        }
        if (!found)
            continue;
        char plain[32];
        snprintf(plain, sizeof plain, "%lld", found);
        exponent += (int)strlen(plain) - precision - 1;
        for (size_t len = strlen(plain); len > 1 && plain[len - 1] == '0'; len--)
            plain[len - 1] = '\0';
        form(signbit(number), plain, exponent, text, size);
        return;
    }
    fail_msg("no nine digits read back to %a", magnitude);
}

static void assert_like_oracle(float number)
{
    char expected[64];
    oracle(number, expected, sizeof expected);
    assert_float(number, expected);
}

static void test_float32_whole_numbers(void **state CV_UNUSED)
{
    for (int i = 0; i <= 100000; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "%d", i);
        assert_float((float)i, expected);
    }
}

static void test_float32_every_power_of_two_and_its_neighbours(void **state CV_UNUSED)
{
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        for (uint32_t near = 0; near < 5; near++) {
            uint32_t bits = (exponent << 23) + near - 2;
            if (bits != 0 && bits < 0x7f800000)
                assert_like_oracle(float_of(bits));
        }
    }
    for (int shift = 0; shift < 23; shift++)
        assert_like_oracle(float_of(UINT32_C(1) << shift)); /* subnormal powers */
}

static void test_float32_every_power_of_ten_and_its_neighbours(void **state CV_UNUSED)
{
    for (int exponent = -45; exponent <= 38; exponent++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", exponent);
        uint32_t bits;
        float number = strtof(text, NULL);
        memcpy(&bits, &number, sizeof bits);
        for (uint32_t near = bits > 3 ? bits - 3 : 1; near <= bits + 3; near++)
            assert_like_oracle(float_of(near));
    }
}

static void test_float32_random_bits(void **state CV_UNUSED)
{
    uint64_t seed = arc4random();
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t x = seed * 2 + 1;
    for (int i = 0; i < 1000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t bits = (uint32_t)(x >> 16);
        if ((bits & 0x7f800000) != 0x7f800000 && (bits & 0x7fffffff) != 0)
            assert_like_oracle(float_of(bits));
    }
}

/* ---- writer ---- */

static void test_writer_keeps_the_commas(void **state CV_UNUSED)
{
    struct json_writer json;
    buf_reset(&out);
    json_begin(&json, &out);
    json_open_object(&json, NULL);
    json_put_text(&json, "a", "x\"y");
    json_put_text(&json, "n", NULL);
    json_open_array(&json, "list");
    json_put_int(&json, NULL, -1);
    json_put_bool(&json, NULL, true);
    json_open_object(&json, NULL);
    json_close(&json);
    json_open_array(&json, NULL);
    json_close(&json);
    json_put_null(&json, NULL);
    json_close(&json);
    json_open_object(&json, "o");
    json_put_bool(&json, "b", false);
    json_put_str(&json, "k\n", STR("v"));
    json_close(&json);
    json_put_double(&json, "d", 0.1);
    json_close(&json);
    assert_string_equal(text_of(), "{\"a\":\"x\\\"y\",\"n\":null,\"list\":[-1,true,{},[],null],"
                                   "\"o\":{\"b\":false,\"k\\n\":\"v\"},\"d\":0.1}");
}

static void test_writer_puts_ids_and_times(void **state CV_UNUSED)
{
    struct uuid id;
    assert_true(uuid_parse(STR("0A0b0c0d-1111-2222-3333-444455556666"), &id));
    struct json_writer json;
    buf_reset(&out);
    json_begin(&json, &out);
    json_open_object(&json, NULL);
    json_put_uuid(&json, "id", &id);
    json_put_uuid(&json, "none", NULL);
    json_put_time(&json, "at", INT64_C(1712834018500000));
    json_put_time(&json, "never", INT64_MIN);
    json_put_time(&json, "ever", INT64_MAX);
    json_close(&json);
    assert_string_equal(text_of(), "{\"id\":\"0a0b0c0d-1111-2222-3333-444455556666\",\"none\":null,"
                                   "\"at\":\"2024-04-11T11:13:38.5Z\",\"never\":null,\"ever\":null}");
}

static void test_writer_full_depth(void **state CV_UNUSED)
{
    struct json_writer json;
    buf_reset(&out);
    json_begin(&json, &out);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_open_array(&json, NULL);
    json_put_int(&json, NULL, 1);
    json_put_int(&json, NULL, 2);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_close(&json);
    assert_int_equal(out.len, 2 * JSON_DEPTH_MAX + 3);
    assert_string_equal(text_of() + JSON_DEPTH_MAX - 1, "[1,2]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void test_writer_doubles_read_back(void **state CV_UNUSED)
{
    static const double numbers[] = {0, 1, -1.5, 0.1, 1.0 / 3, 1e300, 5e-324, 123456789012345680.0};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct json_writer json;
        buf_reset(&out);
        json_begin(&json, &out);
        json_put_double(&json, NULL, numbers[i]);
        assert_true(strtod(text_of(), NULL) == numbers[i]);
    }
    struct json_writer json;
    buf_reset(&out);
    json_begin(&json, &out);
    json_open_array(&json, NULL);
    json_put_double(&json, NULL, (double)NAN);
    json_put_double(&json, NULL, -(double)INFINITY);
    json_close(&json);
    assert_string_equal(text_of(), "[null,null]");
}

int main(void)
{
    buf_init(&out, 1 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_string_escapes_only_what_must_be),
        cmocka_unit_test(test_string_every_byte),
        cmocka_unit_test(test_int_extremes),
        cmocka_unit_test(test_uuid_and_time),
        cmocka_unit_test(test_float32_known_numbers),
        cmocka_unit_test(test_float32_whole_numbers),
        cmocka_unit_test(test_float32_every_power_of_two_and_its_neighbours),
        cmocka_unit_test(test_float32_every_power_of_ten_and_its_neighbours),
        cmocka_unit_test(test_float32_random_bits),
        cmocka_unit_test(test_writer_keeps_the_commas),
        cmocka_unit_test(test_writer_puts_ids_and_times),
        cmocka_unit_test(test_writer_full_depth),
        cmocka_unit_test(test_writer_doubles_read_back),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return failed;
}
