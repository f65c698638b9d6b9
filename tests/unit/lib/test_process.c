#include "caseview/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_is_host_and_pid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
