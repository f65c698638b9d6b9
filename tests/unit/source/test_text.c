#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "caseview/utf8.h"
#include "workers/source/text.h"

/* Copies into a block of exactly its size, so that a sanitizer detects any read past it. */
static bool valid(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    bool good = utf8_valid_no_nul((struct str){copy, len});
    free(copy);
    return good;
}

static void test_valid_of_good_texts(void **state CV_UNUSED)
{
    static const char *const good[] = {
        "",
        "a",
        "plain text of some length, above a word",
        "\x01\x1f\x7f",
        "\xc2\x80\xdf\xbf",                 /* U+0080 U+07FF */
        "\xe0\xa0\x80\xef\xbf\xbf",         /* U+0800 U+FFFF */
        "\xed\x9f\xbf\xee\x80\x80",         /* around the surrogates */
        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", /* U+10000 U+10FFFF */
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(valid(good[i], strlen(good[i])));
}

static void test_valid_of_bad_texts_at_any_place(void **state CV_UNUSED)
{
    static const struct str bad[] = {
        STR("\0"),
        STR("\x80"),
        STR("\xbf"),
        STR("\xc0\x80"), /* overlong */
        STR("\xc1\xbf"),
        STR("\xe0\x9f\xbf"),
        STR("\xf0\x8f\xbf\xbf"),
        STR("\xed\xa0\x80"), /* surrogates */
        STR("\xed\xbf\xbf"),
        STR("\xf4\x90\x80\x80"), /* above U+10FFFF */
        STR("\xf5\x80\x80\x80"),
        STR("\xff"),
        STR("\xc2"), /* cut */
        STR("\xe2\x82"),
        STR("\xf0\x9f\x98"),
        STR("\xc2\x41"),
        STR("\xe2\x82\x41"),
        STR("\xf0\x9f\x98\x41"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (size_t before = 0; before < 20; before++) {
            for (size_t after = 0; after < 20; after += 19) {
                char text[64];
                memset(text, 'x', sizeof text);
                memcpy(text + before, bad[i].ptr, bad[i].len);
                assert_false(valid(text, before + bad[i].len + after));
            }
        }
    }
}

/* Every text of up to three bytes against the table of the Unicode standard (3-7), implemented differently. */
static void test_valid_of_every_short_text(void **state CV_UNUSED)
{
    for (uint32_t n = 0; n < 1u << 24; n += n < 1u << 16 ? 1 : 13) {
        const uint8_t b[3] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16)};
        bool expected = false;
        size_t len = n < 1u << 8 ? 1 : n < 1u << 16 ? 2 : 3;
        uint32_t code = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
        bool ascii = b[0] && b[0] < 0x80;
        bool two = b[0] >> 5 == 6 && b[1] >> 6 == 2 && (b[0] & 0x1e);
        if (len == 1)
            expected = ascii;
        else if (len == 2)
            expected = (ascii && b[1] && b[1] < 0x80) || two;
        else if (b[0] >> 4 == 14)
            expected = b[1] >> 6 == 2 && b[2] >> 6 == 2 && code >= 0x800 && (code < 0xd800 || code > 0xdfff);
        else if (two)
            expected = b[2] && b[2] < 0x80;
        else
            expected = ascii && ((b[1] && b[1] < 0x80 && b[2] && b[2] < 0x80) ||
                                 (b[1] >> 5 == 6 && b[2] >> 6 == 2 && (b[1] & 0x1e)));
        if (utf8_valid_no_nul((struct str){(const char *)b, len}) != expected)
            fail_msg("%02x %02x %02x (%zu bytes)", b[0], b[1], b[2], len);
    }
}

static enum park_reason check(const char *text, size_t len, struct str *out)
{
    const char *fault = NULL;
    struct str object = STR_NULL;
    enum park_reason reason = text_json_object((struct str){text, len}, &object, &fault);
    if (reason != PARK_NONE)
        assert_non_null(fault);
    else if (out)
        *out = object;
    return reason;
}

static void test_json_object_good(void **state CV_UNUSED)
{
    static const char *const good[] = {
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\":-0.10e+5,\"b\":1E-400,\"c\":99999999999999999999999999999999999999,\"d\":0}",
        "{\"a\":[],\"b\":[ ],\"c\":[1,[2,{\"x\":null}],true,false],\"d\":{}}",
        "{\"\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\uDE00\"}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\xc3\xa9\"}",
        "{\"a\" : \"}\" , \"b\" : \"{\" }",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct str object;
        assert_int_equal(check(good[i], strlen(good[i]), &object), PARK_NONE);
        assert_ptr_equal(object.ptr, good[i]);
        assert_int_equal(object.len, strlen(good[i]));
    }
}

static void test_json_object_is_trimmed_to_its_braces(void **state CV_UNUSED)
{
    struct str object;
    static const char text[] = " \t\r\n{ \"a\": 1 }\n ";
    assert_int_equal(check(text, sizeof text - 1, &object), PARK_NONE);
    assert_int_equal(object.len, strlen("{ \"a\": 1 }"));
    assert_memory_equal(object.ptr, "{ \"a\": 1 }", object.len);
}

static void test_json_object_bad(void **state CV_UNUSED)
{
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "[]",
        "\"x\"",
        "1",
        "{",
        "}",
        "}{",
        "{}{}",
        "{} x",
        "{\"a\":1}}",
        "{\"a\":1",
        "{\"a\":}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{,}",
        "{1:1}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":-}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":tru}",
        "{\"a\":trueish}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":[1,]}",
        "{\"a\":[1}",
        "{\"a\":[1 2]}",
        "{\"a\":{\"b\":1]}",
        "\xef\xbb\xbf{}",
        "{\"a\":1 /* no */}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (check(bad[i], strlen(bad[i]), NULL) != PARK_BAD_JSON)
            fail_msg("taken: %s", bad[i]);
}

static void test_json_object_with_escapes_that_are_no_text(void **state CV_UNUSED)
{
    static const char *const bad[] = {
        "{\"a\":\"\\u0000\"}",        "{\"\\u0000\":1}",
        "{\"a\":\"\\ud800\"}",        "{\"a\":\"\\ud800x\"}",
        "{\"a\":[\"\\udc00\"]}",      "{\"a\":\"\\ud83d\\n\"}",
        "{\"a\":\"\\ud83d\\ud83d\"}", "{\"a\":\"\\udE00\\ud83d\"}",
        "{\"a\":\"\\uDBFF\\u0041\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (check(bad[i], strlen(bad[i]), NULL) != PARK_BAD_TEXT)
            fail_msg("not bad-text: %s", bad[i]);
}

static void test_json_object_nested_up_to_the_ceiling(void **state CV_UNUSED)
{
    static char text[16 * TEXT_JSON_DEPTH_MAX];
    for (size_t depth = TEXT_JSON_DEPTH_MAX - 1; depth <= TEXT_JSON_DEPTH_MAX + 1; depth++) {
        size_t len = 0;
        for (size_t i = 0; i < depth - 1; i++)
            len += (size_t)sprintf(text + len, i % 2 ? "[" : "{\"a\":");
        len += (size_t)sprintf(text + len, (depth - 1) % 2 ? "[1" : "{\"b\":1");
        for (size_t i = depth; i-- > 0;)
            text[len++] = i % 2 ? ']' : '}';
        assert_int_equal(check(text, len, NULL), depth <= TEXT_JSON_DEPTH_MAX ? PARK_NONE : PARK_BAD_JSON);
    }
}

static void test_json_object_cut_anywhere_is_bad(void **state CV_UNUSED)
{
    static const char text[] = "{\"a\":[1.5e3,true,null,{\"b\":\"\\u00e9\\ud83d\\ude00x\"}],\"c\":-0}";
    assert_int_equal(check(text, sizeof text - 1, NULL), PARK_NONE);
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *copy = malloc(len ? len : 1);
        memcpy(copy, text, len);
        assert_int_not_equal(check(copy, len, NULL), PARK_NONE);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_of_good_texts),
        cmocka_unit_test(test_valid_of_bad_texts_at_any_place),
        cmocka_unit_test(test_valid_of_every_short_text),
        cmocka_unit_test(test_json_object_good),
        cmocka_unit_test(test_json_object_is_trimmed_to_its_braces),
        cmocka_unit_test(test_json_object_bad),
        cmocka_unit_test(test_json_object_with_escapes_that_are_no_text),
        cmocka_unit_test(test_json_object_nested_up_to_the_ceiling),
        cmocka_unit_test(test_json_object_cut_anywhere_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
