#include "api/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define A "AAAAAAAA-0000-4000-8000-00000000000a"
#define U "bbbbbbbb-0000-4000-8000-000000000001"

enum outcome { NO_ROUTE, BAD_IDS, GOOD };

static const struct {
    const char *path;
    enum outcome want;
} table[] = {
    {"/" A "/agents/" U "/activeCases", GOOD},
    {"/" A "/%61%67%65%6e%74%73/" U "/active%43ases", GOOD},
    {"/%41AAAAAA%41-0000-4000-8000-00000000000a/agents/" U "/activeCases", GOOD},
    {"/x/agents/y/activeCases", BAD_IDS},
    {"/" A "/agents/" U "0/activeCases", BAD_IDS},
    {"/" A "/agents/%/activeCases", BAD_IDS},
    {"/" A "/agents/%zz/activeCases", BAD_IDS},
    {"/" A "/agents/%ff/activeCases", BAD_IDS},
    {"/" A "/agents/%00/activeCases", BAD_IDS},
    {"/" A "/agents/.../activeCases", BAD_IDS},
    {"/" A "/agents/ ./activeCases", BAD_IDS},
    {"/%25/agents/" U "/activeCases", BAD_IDS},
    {"", NO_ROUTE},
    {"*", NO_ROUTE},
    {"/", NO_ROUTE},
    {"//", NO_ROUTE},
    {"////", NO_ROUTE},
    {"/" A "/agents/" U, NO_ROUTE},
    {"/" A "/agents/" U "/", NO_ROUTE},
    {"/" A "/agents/" U "/activeCases/", NO_ROUTE},
    {"/" A "/agents/" U "/activeCases/x", NO_ROUTE},
    {"//" A "/agents/" U "/activeCases", NO_ROUTE},
    {"/" A "//agents/" U "/activeCases", NO_ROUTE},
    {"/" A "/Agents/" U "/activeCases", NO_ROUTE},
    {"/" A "/agents/" U "/activecases", NO_ROUTE},
    {"/" A "/%2561gents/" U "/activeCases", NO_ROUTE},
    {"/" A "/agents%00/" U "/activeCases", NO_ROUTE},
    {"/" A "/agents%/" U "/activeCases", NO_ROUTE},
    {"/" A "%2Fagents/" U "/activeCases", NO_ROUTE},
    {"/" A "/agents/" U "%2factiveCases", NO_ROUTE},
    {"/" A "%2F/agents/" U "/activeCases", NO_ROUTE},
    {"/" A "/agents/%2f/activeCases", NO_ROUTE},
    {"/" A "/agents/./activeCases", NO_ROUTE},
    {"/" A "/agents/../activeCases", NO_ROUTE},
    {"/" A "/agents/%2e/activeCases", NO_ROUTE},
    {"/%2e./agents/" U "/activeCases", NO_ROUTE},
    {"/%2E%2e/agents/" U "/activeCases", NO_ROUTE},
    {"/" A "/./agents/" U "/activeCases", NO_ROUTE},
};

static void test_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct route route = {.ids_valid = false};
        bool matched = route_match(str_of(table[i].path), &route);
        enum outcome got = !matched ? NO_ROUTE : route.ids_valid ? GOOD : BAD_IDS;
        if (got != table[i].want)
            fail_msg("%s: %d, not %d", table[i].path, got, table[i].want);
    }
}

static void test_match_good_gives_the_ids(void **state)
{
    (void)state;
    struct route route;
    assert_true(route_match(STR("/" A "/agents/" U "/activeCases"), &route));
    char text[UUID_TEXT_LEN + 1];
    uuid_format(&route.application, text);
    assert_string_equal(text, "aaaaaaaa-0000-4000-8000-00000000000a");
    uuid_format(&route.user, text);
    assert_string_equal(text, U);
}

/* Parsing any prefix of a valid path, or the path without one byte, does not read past its end. */
static void test_match_cut_paths(void **state)
{
    (void)state;
    static const char good[] = "/" A "/%61gents/" U "/activeCases";
    struct route route;
    for (size_t len = 0; len < sizeof good - 1; len++) {
        char *cut = cv_strndup(good, len); /* so that a sanitizer detects a read past the end */
        assert_false(route_match((struct str){cut, len}, &route));
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_match_good_gives_the_ids),
        cmocka_unit_test(test_match_cut_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
