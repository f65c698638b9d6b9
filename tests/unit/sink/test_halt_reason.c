#include "workers/sink/halt_reason.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_each_reason_is_found_by_its_name_and_has_all_texts(void **state CV_UNUSED)
{
    for (enum halt_reason reason = 0; reason < HALT_REASON_COUNT; reason++) {
        enum halt_reason found = HALT_REASON_COUNT;
        assert_true(halt_reason_parse(str_of(halt_reason_name(reason)), &found));
        assert_int_equal(found, reason);
        assert_true(strlen(halt_reason_detail(reason)) > 20);
        assert_true(strlen(halt_reason_advice(reason)) > 20);
    }
}

/* The names are stored in databases. */
static void test_names_are_fixed(void **state CV_UNUSED)
{
    static const char *const names[HALT_REASON_COUNT] = {
        [HALT_RECREATED] = "recreated",       [HALT_RETENTION_GAP] = "retention-gap",
        [HALT_BEYOND_END] = "beyond-end",     [HALT_DIRECTORY_REPARTITIONED] = "directory-repartitioned",
        [HALT_POISON_FLOOD] = "poison-flood", [HALT_REFUSED_BY_DATABASE] = "refused-by-database",
    };
    for (enum halt_reason reason = 0; reason < HALT_REASON_COUNT; reason++)
        assert_string_equal(halt_reason_name(reason), names[reason]);
}

static void test_an_operators_text_is_no_reason(void **state CV_UNUSED)
{
    enum halt_reason reason;
    assert_false(halt_reason_parse(STR("recreate"), &reason));
    assert_false(halt_reason_parse(STR("recreated "), &reason));
    assert_false(halt_reason_parse(STR(""), &reason));
    assert_false(halt_reason_parse(STR_NULL, &reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_reason_is_found_by_its_name_and_has_all_texts),
        cmocka_unit_test(test_names_are_fixed),
        cmocka_unit_test(test_an_operators_text_is_no_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
