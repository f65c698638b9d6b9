#include "caseview/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { EXIT_FLUSHED = 100 };

/* The exit code of a child that prints `bytes` to fd, flushes when told so, and ends with output_finish(…, 3). */
static int run_child(int fd, size_t bytes, bool flush, char *out_error, size_t size)
{
    int error[2];
    assert_int_equal(pipe(error), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        dup2(fd, STDOUT_FILENO);
        dup2(error[1], STDERR_FILENO);
        for (size_t i = 0; i < bytes; i++)
            putchar('x');
        if (flush && !output_flush())
            _exit(EXIT_FLUSHED);
        _exit(output_finish("program", 3));
    }
    close(error[1]);
    ssize_t n = read(error[0], out_error, size - 1);
    out_error[n > 0 ? n : 0] = '\0';
    close(error[0]);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static void test_finish_keeps_the_exit_code_when_all_is_written(void **state CV_UNUSED)
{
    char error[200];
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(run_child(fd, 100000, true, error, sizeof error), 3);
    assert_int_equal(run_child(fd, 0, false, error, sizeof error), 3);
    assert_string_equal(error, "");
    close(fd);
}

static void test_finish_on_a_full_disk_is_74(void **state CV_UNUSED)
{
    char error[200];
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    static const size_t sizes[] = {1, 100000}; /* the write fails at the end, or earlier */
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(run_child(fd, sizes[i], false, error, sizeof error), CV_EXIT_OUTPUT);
        assert_string_equal(error, "program: the output could not be written: No space left on device\n");
    }
    assert_int_equal(run_child(fd, 0, false, error, sizeof error), 3);
    assert_int_equal(run_child(fd, 1, true, error, sizeof error), EXIT_FLUSHED);
    close(fd);
}

static void test_finish_without_a_reader_is_74(void **state CV_UNUSED)
{
    char error[200];
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    close(pipe_fds[0]);
    assert_int_equal(run_child(pipe_fds[1], 1, false, error, sizeof error), CV_EXIT_OUTPUT);
    assert_string_equal(error, "program: the output could not be written: Broken pipe\n");
    assert_int_equal(run_child(pipe_fds[1], 1, true, error, sizeof error), EXIT_FLUSHED);
    close(pipe_fds[1]);
}

/* A text that outgrew its buffer is no JSON any more: nothing of it is printed, and the command fails. */
static void test_finish_after_a_text_that_was_left_out_is_74(void **state CV_UNUSED)
{
    char printed[100] = "", error[200] = "";
    int out[2], fault[2];
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(fault), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(fault[1], STDERR_FILENO);
        struct buf text;
        buf_init(&text, 8);
        output_buf(&text);
        buf_puts(&text, "[1,2]\n");
        output_buf(&text);
        buf_puts(&text, "[3,4]\n");
        output_buf(&text);
        buf_done(&text);
        _exit(output_finish("program", 3));
    }
    close(out[1]);
    close(fault[1]);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), CV_EXIT_OUTPUT);
    assert_int_equal(read(out[0], printed, sizeof printed - 1), 6);
    assert_string_equal(printed, "[1,2]\n");
    assert_true(read(fault[0], error, sizeof error - 1) > 0);
    assert_string_equal(error, "program: the output was left out, it is longer than 8 bytes: select less\n");
    close(out[0]);
    close(fault[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finish_keeps_the_exit_code_when_all_is_written),
        cmocka_unit_test(test_finish_on_a_full_disk_is_74),
        cmocka_unit_test(test_finish_without_a_reader_is_74),
        cmocka_unit_test(test_finish_after_a_text_that_was_left_out_is_74),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
