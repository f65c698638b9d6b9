/* base and err: checked memory, borrowed strings, one-line errors. */
#include "caseview/base.h"
#include "caseview/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Makes the sanitizers' allocators return NULL as malloc does, instead of ending the process. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* Runs `what` in a child whose standard error is read; returns its exit code. */
static int run_child(void (*what)(void), char *out, size_t size)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        what();
        _exit(0);
    }
    close(pipe_fds[1]);
    size_t len = 0;
    for (ssize_t n; len < size - 1 && (n = read(pipe_fds[0], out + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    close(pipe_fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Sizes that cannot be allocated; volatile, since the compiler refuses them as constants. */
static volatile size_t impossible = (size_t)PTRDIFF_MAX - 4096;

static void want_alloc(void)
{
    free(cv_alloc(impossible));
}

static void want_zalloc(void)
{
    free(cv_zalloc(impossible));
}

static void want_realloc(void)
{
    free(cv_realloc(cv_alloc(1), impossible));
}

static void test_alloc_without_memory_ends_with_one_line(void **state CV_UNUSED)
{
    void (*const wants[])(void) = {want_alloc, want_zalloc, want_realloc};
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        char text[8192];
        assert_int_equal(run_child(wants[i], text, sizeof text), CV_EXIT_BUG);
        const char *line = strstr(text, "out of memory, exiting\n");
        assert_non_null(line);
        assert_string_equal(line, "out of memory, exiting\n");
    }
}

static void test_alloc_nothing_is_still_an_address(void **state CV_UNUSED)
{
    void *a = cv_alloc(0);
    void *b = cv_realloc(NULL, 0);
    assert_true(a && b && a != b);
    free(a);
    free(b);
    char *zeros = cv_zalloc(64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(zeros[i], 0);
    free(zeros);
}

static void test_grow_keeps_items_and_doubles(void **state CV_UNUSED)
{
    size_t room = 0, moved_to = 0;
    int *items = NULL;
    for (size_t count = 0; count < 1000; count++) {
        size_t before = room;
        items = cv_grow(items, count, &room, sizeof *items);
        assert_true(room > count);
        if (room != before) {
            assert_int_equal(before, count); /* only when it was full */
            moved_to = room;
        }
        items[count] = (int)count;
    }
    assert_int_equal(moved_to, 1024);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    free(items);
}

static void test_strndup_cuts(void **state CV_UNUSED)
{
    char *copy = cv_strndup("abcdef", 3);
    assert_string_equal(copy, "abc");
    free(copy);
    copy = cv_strndup(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
    copy = cv_strdup("");
    assert_string_equal(copy, "");
    free(copy);
}

static void test_str_eq_null_is_not_empty(void **state CV_UNUSED)
{
    assert_true(str_eq(STR_NULL, STR_NULL));
    assert_true(str_eq(STR(""), str_of("")));
    assert_false(str_eq(STR_NULL, STR("")));
    assert_false(str_eq(STR(""), STR_NULL));
    assert_true(str_eq(STR("ab"), str_of("ab")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_false(str_eq(STR("ab"), STR("ac")));
    assert_null(str_of(NULL).ptr);
}

static void test_err_set_makes_one_line_and_clears_the_code(void **state CV_UNUSED)
{
    struct err err = {.text = "old", .sqlstate = "22012"};
    err_set(&err, "a\nb\r\n\tc %d\n\n", 7);
    assert_string_equal(err.text, "a b   c 7");
    assert_string_equal(err.sqlstate, "");
    err_set(NULL, "not kept");
}

static void test_err_set_may_quote_itself(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    err_set(&err, "inner");
    err_set(&err, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

static void test_err_prefix_keeps_the_code(void **state CV_UNUSED)
{
    struct err err = {.text = "refused", .sqlstate = "22012"};
    err_prefix(&err, "topic %s", "x");
    assert_string_equal(err.text, "topic x: refused");
    assert_string_equal(err.sqlstate, "22012");
    err_prefix(NULL, "not kept");
}

static void test_err_long_text_is_cut_between_characters(void **state CV_UNUSED)
{
    char text[2000];
    for (size_t pad = 0; pad < 4; pad++) { /* cuts after each byte of a three-byte character */
        memset(text, 'x', pad);
        for (size_t i = pad; i + 3 < sizeof text; i += 3) {
            memcpy(text + i, "€", 3);
            text[i + 3] = '\0';
        }
        struct err err = ERR_INIT;
        err_set(&err, "%s", text);
        size_t len = strlen(err.text);
        assert_true(len < sizeof err.text && len > sizeof err.text - 8);
        assert_string_equal(err.text + len - 3, "…");
        assert_int_equal((len - pad) % 3, 0);
        err_prefix(&err, "%s", text);
        assert_string_equal(err.text + strlen(err.text) - 3, "…");
    }
    memset(text, 'y', sizeof((struct err *)0)->text - 1);
    text[sizeof((struct err *)0)->text - 1] = '\0';
    struct err err = ERR_INIT;
    err_set(&err, "%s", text);
    assert_string_equal(err.text, text);
}

static void test_err_what_is_no_utf8_becomes_a_question_mark(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    err_set(&err, "schema %.4s: gone", "aé€");
    assert_string_equal(err.text, "schema aé?: gone");
    err_prefix(&err, "\xff\xc3 x");
    assert_string_equal(err.text, "?? x: schema aé?: gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_without_memory_ends_with_one_line),
        cmocka_unit_test(test_alloc_nothing_is_still_an_address),
        cmocka_unit_test(test_grow_keeps_items_and_doubles),
        cmocka_unit_test(test_strndup_cuts),
        cmocka_unit_test(test_str_eq_null_is_not_empty),
        cmocka_unit_test(test_err_set_makes_one_line_and_clears_the_code),
        cmocka_unit_test(test_err_set_may_quote_itself),
        cmocka_unit_test(test_err_prefix_keeps_the_code),
        cmocka_unit_test(test_err_long_text_is_cut_between_characters),
        cmocka_unit_test(test_err_what_is_no_utf8_becomes_a_question_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
