#include "api/problem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The contract's table, section 1. */
static const struct {
    enum problem problem;
    int status;
    const char *name;
    const char *error_code;
    const char *field;
} table[] = {
    {PROBLEM_NOT_FOUND, 404, "not-found", NULL, NULL},
    {PROBLEM_METHOD_NOT_ALLOWED, 405, "method-not-allowed", NULL, "Allow: GET, HEAD, OPTIONS\r\n"},
    {PROBLEM_NO_TOKEN, 401, "no-token", NULL, "WWW-Authenticate: Bearer\r\n"},
    {PROBLEM_INVALID_TOKEN, 401, "invalid-token", NULL, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"},
    {PROBLEM_INVALID_ID, 400, "invalid-id", NULL, NULL},
    {PROBLEM_APPLICATION_REFUSED, 403, "application-refused", NULL, NULL},
    {PROBLEM_ROLE_MISSING, 403, "role-missing", NULL, NULL},
    {PROBLEM_NO_CURRENT_UNIT, 403, "no-current-unit", NULL, NULL},
    {PROBLEM_NO_CURRENT_WORKSPACES, 409, "no-current-workspaces", "\"errorCode\":1011", NULL},
    {PROBLEM_UNAVAILABLE, 503, "unavailable", NULL, "Retry-After: 1\r\n"},
    {PROBLEM_LIST_TOO_LONG, 503, "list-too-long", NULL, "Retry-After: 60\r\n"},
    {PROBLEM_BODY_TOO_LARGE, 413, "body-too-large", NULL, NULL},
};

static void test_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct http_response response = {.status = 0};
        buf_init(&response.headers, 4096);
        buf_init(&response.body, 4096);
        buf_puts(&response.body, "[half an answer");
        problem_answer(&response, table[i].problem, i % 2 ? "Why \"so\"." : NULL);
        char type[80] = "{\"type\":\"urn:caseview:problem:";
        strncat(type, table[i].name, 40);
        strncat(type, "\",", 3);
        assert_int_equal(response.status, table[i].status);
        assert_string_equal(problem_name(table[i].problem), table[i].name);
        assert_int_equal(problem_status(table[i].problem), table[i].status);
        assert_string_equal(response.content_type, "application/problem+json");
        assert_int_equal(strncmp(response.body.data, type, strlen(type)), 0);
        assert_int_equal(response.body.data[response.body.len - 1], '}');
        if (i % 2)
            assert_non_null(strstr(response.body.data, "\"detail\":\"Why \\\"so\\\".\""));
        assert_true(!table[i].error_code == !strstr(response.body.data, "errorCode"));
        if (table[i].error_code)
            assert_non_null(strstr(response.body.data, table[i].error_code));
        if (table[i].field)
            assert_non_null(strstr(response.headers.data, table[i].field));
        buf_done(&response.headers);
        buf_done(&response.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
