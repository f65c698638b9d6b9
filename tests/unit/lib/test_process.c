#include "caseview/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_name_is_host_and_pid(void **state CV_UNUSED)
{
    char host[256] = "", expected[300], name[300], short_name[12];
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    snprintf(expected, sizeof expected, "%s:%d", host, (int)getpid());
    process_name(name, sizeof name);
    assert_string_equal(name, expected);
    process_name(short_name, sizeof short_name); /* the host name is cut, the pid is not */
    assert_true(strlen(short_name) < sizeof short_name);
    assert_string_equal(strchr(short_name, ':'), strrchr(expected, ':'));
    assert_memory_equal(short_name, host, strcspn(short_name, ":"));
}

/*
 * In a child: closes the descriptors in `closed` (bit a number), calls process_start(); exit code 0 when all is well.
 */
static void start_in_child(unsigned closed)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int kept = open("/", O_RDONLY | O_CLOEXEC); /* becomes 0, 1 and 2 where they are not closed */
        for (int fd = 0; fd <= 2; fd++)
            if (closed & 1u << fd)
                close(fd);
            else
                dup2(kept, fd);
        process_start();
        int bad = 0;
        for (int fd = 0; fd <= 2; fd++) {
            struct stat status;
            bad |= fstat(fd, &status) != 0 || (S_ISCHR(status.st_mode) != 0) != ((closed & 1u << fd) != 0);
        }
        bad |= open("/dev/null", O_RDONLY | O_CLOEXEC) <= 2;
        _exit(bad);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    if (result != 0)
        fail_msg("closed %x: wait status %x", closed, (unsigned)result);
}

static void test_start_opens_closed_descriptors_only(void **state CV_UNUSED)
{
    for (unsigned closed = 0; closed < 8; closed++)
        start_in_child(closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_opens_closed_descriptors_only),
        cmocka_unit_test(test_name_is_host_and_pid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
