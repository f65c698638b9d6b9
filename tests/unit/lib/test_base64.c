#include "caseview/base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_append_vectors_of_the_rfc(void **state CV_UNUSED)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 100);
        buf_puts(&out, "<");
        base64_append(&out, str_of(cases[i].bytes));
        buf_puts(&out, ">");
        assert_int_equal(out.len, base64_length(strlen(cases[i].bytes)) + 2);
        assert_memory_equal(out.data + 1, cases[i].text, strlen(cases[i].text));
        buf_done(&out);
    }
}

/* Decodes the result independently: every byte value at every position of a group of three. */
static void test_append_every_byte_comes_back(void **state CV_UNUSED)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char bytes[3 * 256];
    struct buf out;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 3 == 0 ? i / 3 : i % 3 == 1 ? 255 - i / 3 : (i / 3) * 7);
    buf_init(&out, 10000);
    base64_append(&out, (struct str){bytes, sizeof bytes});
    assert_int_equal(out.len, sizeof bytes / 3 * 4);
    assert_int_equal(strlen(out.data), out.len);
    for (size_t group = 0; group < sizeof bytes / 3; group++) {
        unsigned value = 0;
        for (size_t i = 0; i < 4; i++)
            value = value << 6 | (unsigned)(strchr(digits, out.data[4 * group + i]) - digits);
        assert_int_equal((char)(value >> 16), bytes[3 * group]);
        assert_int_equal((char)(value >> 8), bytes[3 * group + 1]);
        assert_int_equal((char)value, bytes[3 * group + 2]);
    }
    buf_done(&out);
}

static void test_append_beyond_the_ceiling_overflows(void **state CV_UNUSED)
{
    struct buf out;

    buf_init(&out, 7);
    base64_append(&out, STR("foob"));
    assert_true(out.overflow);
    assert_int_equal(out.len, 0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_vectors_of_the_rfc),
        cmocka_unit_test(test_append_every_byte_comes_back),
        cmocka_unit_test(test_append_beyond_the_ceiling_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
