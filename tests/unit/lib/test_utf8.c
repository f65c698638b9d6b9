#include "caseview/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The definition: exactly the texts that encode() writes are valid. */
static size_t encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

static void test_length_every_code_point_but_surrogates_is_valid(void **state CV_UNUSED)
{
    for (uint32_t code = 0; code < 0x120000; code++) {
        char text[4] = {0, 0, 0, 0};
        size_t length = encode(code, text);
        bool is_character = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        if (utf8_length(text, length) != (is_character ? length : 0))
            fail_msg("U+%04X has length %zu", code, utf8_length(text, length));
        if (length > 1)
            assert_int_equal(utf8_length(text, length - 1), 0);
    }
}

static void test_length_overlong_and_stray_bytes_are_none(void **state CV_UNUSED)
{
    static const char *const cases[] = {"\x80",
                                        "\xbf",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x80\x80",
                                        "\xe0\x9f\xbf",
                                        "\xf0\x80\x80\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf5\x80\x80\x80",
                                        "\xfe",
                                        "\xff",
                                        "\xc3(",
                                        "\xe2\x82(",
                                        "\xf0\x9f\x98("};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(utf8_length(cases[i], strlen(cases[i])), 0);
}

static void test_valid_empty_null_and_mixed_texts(void **state CV_UNUSED)
{
    assert_true(utf8_valid_no_nul(STR_NULL));
    assert_true(utf8_valid_no_nul(STR("")));
    assert_true(utf8_valid_no_nul(STR("plain text that is longer than one word of the machine")));
    assert_true(utf8_valid_no_nul(STR("\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d, r\xc3\xa9sum\xc3\xa9 \xf0\x9f\x98\x80")));
    assert_false(utf8_valid_no_nul(STR("abc\xff")));
    assert_false(utf8_valid_no_nul(STR("cut in the middle \xf0\x9f\x98")));
    assert_true(utf8_valid_no_nul(STR("\xd7\xa9 and ASCII behind it, more than eight bytes")));
}

static void test_valid_nul_is_flagged_at_every_place(void **state CV_UNUSED)
{
    for (size_t length = 1; length <= 40; length++) {
        for (size_t at = 0; at < length; at++) {
            char text[40];
            memset(text, 'x', sizeof text);
            text[at] = '\0';
            assert_false(utf8_valid_no_nul((struct str){text, length}));
            text[at] = '\x01'; /* next to the byte whose borrow could affect the word test */
            assert_true(utf8_valid_no_nul((struct str){text, length}));
            text[at] = '\x80';
            assert_false(utf8_valid_no_nul((struct str){text, length}));
        }
    }
}

/*
 * Random bytes, biased towards lead and continuation bytes: the fast path must agree with the check of single
 * characters.
 */
static void test_valid_agrees_with_length_on_random_bytes(void **state CV_UNUSED)
{
    static const unsigned char bytes[] = {0x00, 'a',  'b',  0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xc3,
                                          0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 'c',  'd',  'e'};
    unsigned seed = 20240411;

    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 200000; round++) {
        char text[24];
        size_t length = (size_t)rand() % (sizeof text + 1);
        bool valid = true, has_nul = false;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(rand() % 3 ? 'a' : bytes[(size_t)rand() % sizeof bytes]);
        for (size_t at = 0, n; valid && at < length; at += n) {
            n = utf8_length(text + at, length - at);
            valid = n > 0;
        }
        has_nul = memchr(text, '\0', length) != NULL;
        assert_int_equal(utf8_valid_no_nul((struct str){text, length}), valid && !has_nul);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_every_code_point_but_surrogates_is_valid),
        cmocka_unit_test(test_length_overlong_and_stray_bytes_are_none),
        cmocka_unit_test(test_valid_empty_null_and_mixed_texts),
        cmocka_unit_test(test_valid_nul_is_flagged_at_every_place),
        cmocka_unit_test(test_valid_agrees_with_length_on_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
