/* The members in which two bodies differ. */
#include "workers/ops/rebuild_compare_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_members(void **state CV_UNUSED)
{
    static const struct {
        const char *one, *other, *members;
        bool only_names;
    } cases[] = {
        {"{\"unitName\":\"a\",\"rank\":1}", "{\"unitName\":\"b\",\"rank\":1}", "unitName", true},
        {"{\"unitName\":\"a\",\"rank\":1}", "{\"unitName\":null,\"rank\":2}", "unitName, rank", false},
        {"{\"lockedBy\":{\"userId\":1,\"initials\":null}}", "{\"lockedBy\":{\"userId\":1,\"initials\":\"x\"}}",
         "lockedBy.initials", true},
        {"{\"lockedBy\":{\"userId\":1}}", "{\"lockedBy\":{\"userId\":2}}", "lockedBy.userId", false},
        {"{\"lockedBy\":{\"userId\":1}}", "{\"lockedBy\":null}", "lockedBy", false},
        {"{\"a\":{\"x\":1}}", "{\"a\":{\"y\":1}}", "a.x, a.y", false},
        {"{\"a\":1}", "{\"b\":1}", "a, b", false},
        {"{\"a\":1}", "{ \"a\": 1 }", "its form", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool only_names;
        struct buf members CV_CLEANUP(buf_done);
        buf_init(&members, 1000);
        assert_true(compare_bodies(str_of(cases[i].one), str_of(cases[i].other), &members, &only_names));
        assert_string_equal(members.data, cases[i].members);
        assert_int_equal(only_names, cases[i].only_names);
    }
}

static void test_what_cannot_be_read_is_refused(void **state CV_UNUSED)
{
    static const char *const bodies[] = {"", "x", "[]", "{\"a\":1e999}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        bool only_names;
        struct buf members CV_CLEANUP(buf_done);
        buf_init(&members, 1000);
        assert_false(compare_bodies(STR("{}"), str_of(bodies[i]), &members, &only_names));
        assert_false(compare_bodies(str_of(bodies[i]), STR("{}"), &members, &only_names));
        assert_int_equal(members.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_what_cannot_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
