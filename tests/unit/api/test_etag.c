#include "api/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_of_differs_with_the_body(void **state)
{
    (void)state;
    char a[ETAG_LEN + 1], b[ETAG_LEN + 1], again[ETAG_LEN + 1];
    etag_of(STR("[]"), a);
    etag_of(STR("[ ]"), b);
    etag_of(STR("[]"), again);
    assert_int_equal(strlen(a), ETAG_LEN);
    assert_true(a[0] == '"' && a[ETAG_LEN - 1] == '"');
    assert_string_equal(a, again);
    assert_string_not_equal(a, b);
}

static void test_value_matches(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool want;
    } table[] = {
        {"\"e\"", true},
        {"W/\"e\"", true},
        {"*", true},
        {" * ", true},
        {"\"x\", \"e\"", true},
        {"\"x\",\"e\",\"y\"", true},
        {"\"a,b\" , W/\"e\"", true},
        {",, ,\"e\",", true},
        {"\"*\", \"e\"", true},
        {"", false},
        {" ", false},
        {"e", false},
        {"\"e", false},
        {"e\"", false},
        {"\"ee\"", false},
        {"\"x\" \"e\"", false},
        {"\"x\"\"e\"", false},
        {"w/\"e\"", false},
        {"W/ \"e\"", false},
        {"*, \"x\"", false},
        {"**", false},
        {"W/", false},
        {"W/e, \"e\"", false},
        {"\"E\"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (etag_value_matches(table[i].value, "\"e\"") != table[i].want)
            fail_msg("%s", table[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_differs_with_the_body),
        cmocka_unit_test(test_value_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
