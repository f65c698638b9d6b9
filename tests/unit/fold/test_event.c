/* The contract's names in record.h and event.h. */
#include "workers/fold/event.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_park_reason_name_all_are_the_contracts(void **state)
{
    (void)state;
    static const char *const names[] = {
        "not-avro", "unknown-schema", "wrong-type",  "bad-guid",     "bad-text", "bad-rank",  "bad-json",
        "bad-time", "bad-sequence",   "missing-key", "key-mismatch", "no-value", "too-large", "refused-by-database"};
    assert_int_equal(ARRAY_LEN(names), PARK_REASON_COUNT - 1);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        assert_string_equal(park_reason_name((enum park_reason)(PARK_NOT_AVRO + i)), names[i]);
    assert_string_equal(park_reason_name(PARK_NONE), "none");
}

static void test_entity_kind_parse_every_name_round_trips(void **state)
{
    (void)state;
    static const char *const names[] = {"unit", "service-category", "service-type", "inbox", "workstation", "workspace",
                                        "user", "customer",         "application"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        enum entity_kind kind;
        assert_true(entity_kind_parse(str_of(names[i]), &kind));
        assert_int_equal(kind, i + 1);
        assert_string_equal(entity_kind_name(kind), names[i]);
    }
}

static void test_entity_kind_parse_other_texts_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "Unit", "unit ", "uni", "units", "service_type", NULL};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        enum entity_kind kind;
        assert_false(entity_kind_parse(str_of(texts[i]), &kind));
    }
    assert_null(entity_kind_name((enum entity_kind)0));
    assert_null(entity_kind_name((enum entity_kind)10));
    assert_null(entity_kind_name((enum entity_kind) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_park_reason_name_all_are_the_contracts),
        cmocka_unit_test(test_entity_kind_parse_every_name_round_trips),
        cmocka_unit_test(test_entity_kind_parse_other_texts_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
