/* Fail points. Each list is tried in a child, since a process reads it once. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "caseview/failpoint.h"

#ifndef CASEVIEW_FAIL_POINTS
#error "the tests are built with fail points"
#endif

static char folder[] = "/tmp/caseview-failpoint-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/b.go", folder);
    unlink(path);
    return rmdir(folder);
}

/* Wait status of a child that reaches "a" three times, then "b" once. Its report is written to `out`. */
static int run(const char *list, char *out, size_t size, pid_t *out_child)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("CASEVIEW_TEST_FAIL_POINTS", list, 1);
        setenv("CASEVIEW_TEST_FAIL_FOLDER", folder, 1);
        for (int i = 0; i < 3; i++)
            FAIL_POINT("a");
        FAIL_POINT("b");
        _exit((int)FAIL_POINT_NUMBER("CASEVIEW_TEST_NUMBER", 10));
    }
    *out_child = child;
    int status;
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);

    char path[128];
    snprintf(path, sizeof path, "%s/%d.reached", folder, (int)child);
    FILE *file = fopen(path, "r");
    size_t length = file != NULL ? fread(out, 1, size - 1, file) : 0;
    out[length] = '\0';
    if (file != NULL)
        fclose(file);
    unlink(path);
    return status;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void test_reach_note_counts(void **state)
{
    (void)state;
    char report[512];
    pid_t child;
    int status = run("a:note:2,b:note:0", report, sizeof report, &child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 10);
    assert_int_equal(lines(report), 2);
    assert_memory_equal(report, "a 2 ", 4);
    assert_non_null(strstr(report, "\nb 1 "));
    run("a:note:0", report, sizeof report, &child);
    assert_int_equal(lines(report), 3);
}

static void test_reach_unarmed_does_nothing(void **state)
{
    (void)state;
    char report[512];
    pid_t child;
    int status = run("c:kill:1", report, sizeof report, &child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 10);
    assert_string_equal(report, "");
}

static void test_reach_kill_is_sigkill(void **state)
{
    (void)state;
    char report[512];
    pid_t child;
    int status = run("a:kill:3", report, sizeof report, &child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_memory_equal(report, "a 3 ", 4);
}

static void test_reach_stop_goes_on_after_sigcont(void **state)
{
    (void)state;
    char report[512];
    pid_t child;
    int status = run("b:stop:1", report, sizeof report, &child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGSTOP);
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
}

static void test_reach_wait_until_let_go(void **state)
{
    (void)state;
    char path[128], report[512];
    pid_t child, opener;
    snprintf(path, sizeof path, "%s/b.go", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    opener = fork();
    if (opener == 0)
        _exit(open(path, O_WRONLY) < 0); /* blocks until the child has opened the other end */
    int status = run("b:wait:1", report, sizeof report, &child);
    assert_true(WIFEXITED(status));
    assert_int_equal(waitpid(opener, &status, 0), opener);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_memory_equal(report, "b 1 ", 4);
}

static void test_reach_bad_list_aborts(void **state)
{
    (void)state;
    static const char *const lists[] = {"a", "a:kill", "a:kill:", "a:explode:1", "a:kill:x", "a:kill:-1", "a:kill:1:2"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        char report[512];
        pid_t child;
        int status = run(lists[i], report, sizeof report, &child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("%s was taken: status %d", lists[i], status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach_note_counts),       cmocka_unit_test(test_reach_unarmed_does_nothing),
        cmocka_unit_test(test_reach_kill_is_sigkill),   cmocka_unit_test(test_reach_stop_goes_on_after_sigcont),
        cmocka_unit_test(test_reach_wait_until_let_go), cmocka_unit_test(test_reach_bad_list_aborts),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
