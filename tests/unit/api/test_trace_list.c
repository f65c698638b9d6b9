#include "api/trace_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct trace numbered(unsigned number)
{
    struct trace trace;
    char text[TRACE_TEXT_LEN + 1];
    snprintf(text, sizeof text, "00-%032x-%016x-01", number, number);
    assert_true(trace_parse(str_of(text), &trace));
    return trace;
}

static void test_comment_of_one(void **state CV_UNUSED)
{
    struct trace_list list = {.count = 0};
    const struct trace none = {.text = ""}, one = numbered(0xabc);
    struct trace unsampled = numbered(0xdef);
    char comment[TRACE_COMMENT_MAX];

    trace_list_add(&list, NULL);
    trace_list_add(&list, &none);
    unsampled.text[TRACE_TEXT_LEN - 1] = '0';
    trace_list_add(&list, &unsampled);
    assert_int_equal(list.count + list.more, 0);
    trace_list_add(&list, &one);
    trace_list_add(&list, &one);
    assert_int_equal(list.count + list.more, 1);
    trace_list_comment(&list, comment);
    assert_string_equal(comment, "/*traceparent='00-00000000000000000000000000000abc-0000000000000abc-01'*/");
}

static void test_comment_has_a_bound(void **state CV_UNUSED)
{
    struct trace_list list = {.count = 0};
    char comment[TRACE_COMMENT_MAX];
    size_t named = 0;

    for (unsigned i = 1; i <= 1000; i++) {
        const struct trace trace = numbered(i);
        trace_list_add(&list, &trace);
    }
    list.more = SIZE_MAX; /* the longest number */
    trace_list_comment(&list, comment);
    for (const char *at = comment; (at = strstr(at, "traceparent='")) != NULL; at++)
        named++;
    assert_int_equal(named, TRACE_LIST_MAX);
    assert_non_null(strstr(comment, ",traceparents_left_out='18446744073709551615'*/"));
    assert_true(strlen(comment) < TRACE_COMMENT_MAX);
    assert_ptr_equal(strstr(comment, "*/"), comment + strlen(comment) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comment_of_one),
        cmocka_unit_test(test_comment_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
