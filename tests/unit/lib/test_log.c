#include "caseview/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static int pipe_fds[2];

/* Redirects standard error into a pipe. */
static void capture(void)
{
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_true(fcntl(pipe_fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
}

static const char *captured(void)
{
    static char text[1 << 20];
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipe_fds[1]);
    size_t len = 0;
    for (ssize_t n; len < sizeof text - 1 && (n = read(pipe_fds[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    text[len] = '\0';
    close(pipe_fds[0]);
    return text;
}

static void test_level_hides_what_is_less_important(void **state CV_UNUSED)
{
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        log_init("program", (enum log_level)level, LOG_FORMAT_TEXT);
        capture();
        log_error("line-error");
        log_warn("line-warn");
        log_info("line-info");
        log_debug("line-debug");
        const char *text = captured();
        assert_non_null(strstr(text, "error program: line-error\n"));
        assert_int_equal(strstr(text, "warn  program: line-warn\n") != NULL, level >= LOG_LEVEL_WARN);
        assert_int_equal(strstr(text, "info  program: line-info\n") != NULL, level >= LOG_LEVEL_INFO);
        assert_int_equal(strstr(text, "debug program: line-debug\n") != NULL, level >= LOG_LEVEL_DEBUG);
        assert_int_equal(log_enabled(LOG_LEVEL_INFO), level >= LOG_LEVEL_INFO);
    }
}

static void test_text_is_one_line_whatever_the_message(void **state CV_UNUSED)
{
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture();
    errno = EBADF;
    log_info("a\nb\tc\x1b[31m %s %d\r\n\n", "Zo\xc3\xab \xff\xc3 \xed\xa0\x80", 5);
    assert_int_equal(errno, EBADF);
    const char *text = captured();
    const char *message = strstr(text, "program: ");
    assert_non_null(message);
    assert_string_equal(message, "program: a\\nb\\x09c\\x1b[31m Zo\xc3\xab \xef\xbf\xbd\xef\xbf\xbd "
                                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd 5\n");
    assert_int_equal(text[10], 'T');
}

static void test_json_is_one_object_a_line(void **state CV_UNUSED)
{
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture();
    log_warn("a\n\"b\" %s", "\x01\xff Zo\xc3\xab");
    const char *text = captured();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 4);
    assert_string_equal(json_string_value(json_object_get(json, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(json, "program")), "program");
    assert_string_equal(json_string_value(json_object_get(json, "message")), "a\n\"b\" \x01\xef\xbf\xbd Zo\xc3\xab");
    const char *time = json_string_value(json_object_get(json, "time"));
    assert_true(strlen(time) >= 20 && time[strlen(time) - 1] == 'Z');
    assert_int_equal(strncmp(text, "{\"time\":\"", 9), 0);
    json_decref(json);
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static void test_long_message_is_cut(void **state CV_UNUSED)
{
    static char big[20000];
    memset(big, '\n', sizeof big - 1); /* worst case: each byte becomes two; trailing ones are dropped */
    big[0] = 'x';
    big[sizeof big - 2] = 'y';
    enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        log_init("program", LOG_LEVEL_INFO, formats[i]);
        capture();
        log_info("%s", big);
        const char *text = captured();
        assert_non_null(strstr(text, "\xe2\x80\xa6"));
        assert_true(strlen(text) > 16000 && strlen(text) < 20000);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    }
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static void test_a_trace_is_shown_by_two_fields(void **state CV_UNUSED)
{
    struct trace trace, none = {.text = ""};
    assert_true(trace_parse(STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), &trace));
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture();
    log_traced(LOG_LEVEL_WARN, &trace, "one %d\n", 1);
    log_traced(LOG_LEVEL_WARN, &none, "two");
    log_traced(LOG_LEVEL_WARN, NULL, "three");
    log_traced(LOG_LEVEL_DEBUG, &trace, "four");
    const char *text = captured();
    assert_non_null(strstr(text, "warn  program: one 1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736 "
                                 "span_id=00f067aa0ba902b7\n"));
    assert_non_null(strstr(text, ": two\n"));
    assert_non_null(strstr(text, ": three\n"));
    assert_null(strstr(text, "four"));

    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture();
    log_traced(LOG_LEVEL_INFO, &trace, "one");
    json_t *json = json_loads(captured(), 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 6);
    assert_string_equal(json_string_value(json_object_get(json, "message")), "one");
    assert_string_equal(json_string_value(json_object_get(json, "trace_id")), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(json_string_value(json_object_get(json, "span_id")), "00f067aa0ba902b7");
    json_decref(json);
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static void *log_many(void *context)
{
    for (int i = 0; i < 500; i++)
        log_info("thread %s says something that is as long as this line %d", (const char *)context, i);
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state CV_UNUSED)
{
    log_init("program", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture();
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    int lines = 0;
    for (const char *line = captured(); *line; lines++) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(line[4], '-');
        const char *message = strstr(line, "program: thread ");
        assert_true(message && message < end);
        line = end + 1;
    }
    assert_int_equal(lines, 4 * 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_hides_what_is_less_important),
        cmocka_unit_test(test_text_is_one_line_whatever_the_message),
        cmocka_unit_test(test_json_is_one_object_a_line),
        cmocka_unit_test(test_a_trace_is_shown_by_two_fields),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
