#include "caseview/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_append_all_kinds_and_terminates(void **state CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, 1000);
    assert_null(buf.data);
    buf_append(&buf, "ab", 2);
    buf_str(&buf, STR("cd"));
    buf_str(&buf, STR_NULL);
    buf_puts(&buf, "ef");
    buf_byte(&buf, 'g');
    buf_printf(&buf, "%d-%s", 42, "x");
    buf_append(&buf, NULL, 0);
    assert_string_equal(buf.data, "abcdefg42-x");
    assert_int_equal(buf.len, 11);
    assert_false(buf.overflow);
    buf_done(&buf);
}

static void test_append_ceiling_is_exact(void **state CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, 5);
    buf_puts(&buf, "12345");
    assert_false(buf.overflow);
    assert_int_equal(buf.len, 5);
    assert_string_equal(buf.data, "12345");
    buf_append(&buf, "", 0);
    assert_false(buf.overflow);
    buf_byte(&buf, '6');
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "12345");
    buf_done(&buf);
}

static void test_append_beyond_the_ceiling_drops_all_that_follows(void **state CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, 5);
    buf_puts(&buf, "123");
    buf_puts(&buf, "456"); /* does not fit as a whole */
    assert_true(buf.overflow);
    assert_int_equal(buf.len, 3);
    buf_byte(&buf, 'x'); /* would fit, but an earlier append failed */
    buf_printf(&buf, "y");
    assert_null(buf_reserve(&buf, 1));
    assert_int_equal(buf.len, 3);
    buf_reset(&buf);
    assert_false(buf.overflow);
    assert_string_equal(buf.data, "");
    buf_puts(&buf, "abcde");
    assert_string_equal(buf.data, "abcde");
    buf_done(&buf);
    assert_int_equal(buf.max, 5);
    buf_puts(&buf, "again");
    assert_string_equal(buf.data, "again");
    buf_done(&buf);
    buf_done(NULL);
}

static void test_append_sizes_that_wrap_overflow(void **state CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_puts(&buf, "x");
    buf.max = 100;
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.overflow);
    buf_done(&buf);
}

static void test_append_grows_up_to_many_bytes(void **state CV_UNUSED)
{
    struct buf buf;
    enum { N = 100000 };
    buf_init(&buf, N);
    for (int i = 0; i < N; i++)
        buf_byte(&buf, (char)('a' + i % 26));
    assert_false(buf.overflow);
    assert_int_equal(buf.len, N);
    for (int i = 0; i < N; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    assert_true(buf.cap <= N + 1);
    buf_done(&buf);
}

static void test_reserve_gives_room_that_can_be_filled(void **state CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, 300);
    char *p = buf_reserve(&buf, 300);
    assert_non_null(p);
    memset(p, 'z', 300);
    buf.len += 200;
    buf_puts(&buf, "end");
    assert_int_equal(buf.len, 203);
    assert_string_equal(buf.data + 199, "zend");
    buf_done(&buf);
}

static void test_printf_long_text_is_whole(void **state CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, 10000);
    buf_printf(&buf, "%5000d", 7);
    assert_int_equal(buf.len, 5000);
    assert_string_equal(buf.data + 4998, " 7");
    buf_printf(&buf, "%5001d", 7);
    assert_true(buf.overflow);
    assert_int_equal(buf.len, 5000);
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_all_kinds_and_terminates),
        cmocka_unit_test(test_append_ceiling_is_exact),
        cmocka_unit_test(test_append_beyond_the_ceiling_drops_all_that_follows),
        cmocka_unit_test(test_append_sizes_that_wrap_overflow),
        cmocka_unit_test(test_append_grows_up_to_many_bytes),
        cmocka_unit_test(test_reserve_gives_room_that_can_be_filled),
        cmocka_unit_test(test_printf_long_text_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
