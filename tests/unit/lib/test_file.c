#include "caseview/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/caseview-test-file-XXXXXX";

static void write_bytes(const char *data, size_t len)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void test_read_whole_file_appends_its_bytes(void **state CV_UNUSED)
{
    char data[50000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    write_bytes(data, sizeof data);
    struct buf text CV_CLEANUP(buf_done);
    struct err err = ERR_INIT;
    buf_init(&text, sizeof data + 1);
    buf_puts(&text, "x");
    assert_int_equal(file_read(path, &text, &err), CV_OK);
    assert_int_equal(text.len, sizeof data + 1);
    assert_memory_equal(text.data + 1, data, sizeof data);
}

static void test_read_above_the_ceiling_is_refused(void **state CV_UNUSED)
{
    write_bytes("0123456789", 10);
    struct buf text CV_CLEANUP(buf_done);
    struct err err = ERR_INIT;
    buf_init(&text, 10);
    assert_int_equal(file_read(path, &text, &err), CV_OK);
    buf_done(&text);
    buf_init(&text, 9);
    assert_int_equal(file_read(path, &text, &err), CV_RETRY);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "longer than 9 bytes"));
}

static void test_read_what_cannot_be_read_names_the_path(void **state CV_UNUSED)
{
    struct buf text CV_CLEANUP(buf_done);
    struct err err = ERR_INIT;
    buf_init(&text, 1000);
    assert_int_equal(file_read("/nonexistent/x", &text, &err), CV_RETRY);
    assert_string_equal(err.text, "/nonexistent/x: No such file or directory");
    assert_int_equal(file_read("/tmp", &text, &err), CV_RETRY);
    assert_string_equal(err.text, "/tmp: Is a directory");
}

static void test_skip_bom_only_at_the_start(void **state CV_UNUSED)
{
    assert_true(str_eq(file_skip_bom(STR("\xef\xbb\xbf{}")), STR("{}")));
    assert_true(str_eq(file_skip_bom(STR("\xef\xbb\xbf")), STR("")));
    assert_true(str_eq(file_skip_bom(STR("\xef\xbb")), STR("\xef\xbb")));
    assert_true(str_eq(file_skip_bom(STR("{\xef\xbb\xbf}")), STR("{\xef\xbb\xbf}")));
    assert_true(str_eq(file_skip_bom(STR("")), STR("")));
}

int main(void)
{
    close(mkstemp(path));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_whole_file_appends_its_bytes),
        cmocka_unit_test(test_read_above_the_ceiling_is_refused),
        cmocka_unit_test(test_read_what_cannot_be_read_names_the_path),
        cmocka_unit_test(test_skip_bom_only_at_the_start),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failures;
}
