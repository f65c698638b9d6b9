#include "caseview/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ID   "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" ID "-" SPAN "-01"

static void test_parse_takes_what_is_valid(void **state CV_UNUSED)
{
    static const struct {
        const char *given, *taken;
    } cases[] = {
        {GOOD, GOOD},
        {" \t" GOOD "\t ", GOOD},
        {"00-" ID "-" SPAN "-00", "00-" ID "-" SPAN "-00"},
        {"00-" ID "-" SPAN "-ff", "00-" ID "-" SPAN "-ff"},
        {"00-00000000000000000000000000000001-0000000000000001-01",
         "00-00000000000000000000000000000001-0000000000000001-01"},
        {"00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
         "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01"},
        {"01-" ID "-" SPAN "-01", GOOD},
        {"fe-" ID "-" SPAN "-03-what the future brings'*/", GOOD},
        {"cc-" ID "-" SPAN "-08-", "00-" ID "-" SPAN "-00"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trace trace;
        if (!trace_parse(str_of(cases[i].given), &trace))
            fail_msg("refused: %s", cases[i].given);
        assert_string_equal(trace.text, cases[i].taken);
        assert_true(trace_is_set(&trace));
    }
}

static void test_parse_refuses_what_is_not(void **state CV_UNUSED)
{
    static const char *const cases[] = {
        "",
        " ",
        "0",
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-",
        "00-" ID "-" SPAN "-01x",
        "00-" ID "-" SPAN "-01-more",
        "01-" ID "-" SPAN "-01x",
        "ff-" ID "-" SPAN "-01",
        "0g-" ID "-" SPAN "-01",
        "0A-" ID "-" SPAN "-01",
        "00_" ID "-" SPAN "-01",
        "00-" ID "_" SPAN "-01",
        "00-" ID "-" SPAN "_01",
        "00-" ID "-" SPAN "-0G",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" ID "-00F067AA0BA902B7-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47'*-" SPAN "-01",
        "00-" ID "-" SPAN "-01'*/; DROP TABLE x; --",
        "00-" ID "\xc3\xa9" SPAN "-01",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trace trace = {.text = "before"};
        if (trace_parse(str_of(cases[i]), &trace))
            fail_msg("taken: %s", cases[i]);
        assert_false(trace_is_set(&trace));
    }
    struct trace trace;
    assert_false(trace_parse(STR_NULL, &trace));
    assert_false(trace_is_set(NULL));
}

/* Each single byte that differs from the valid text: what is taken consists of hexadecimal digits and hyphens only. */
static void test_parse_any_byte_in_any_place(void **state CV_UNUSED)
{
    for (size_t at = 0; at < TRACE_TEXT_LEN; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[] = GOOD;
            struct trace trace;
            text[at] = (char)byte;
            bool taken = trace_parse((struct str){text, TRACE_TEXT_LEN}, &trace);
            bool hex = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
            bool hyphen = at == 2 || at == 35 || at == 52;
            assert_int_equal(taken, hyphen ? byte == '-' : hex && !(at < 2 && memcmp(text, "ff", 2) == 0));
            assert_int_equal(strspn(trace.text, "0123456789abcdef-"), taken ? TRACE_TEXT_LEN : 0);
            assert_int_equal(strlen(trace.text), taken ? TRACE_TEXT_LEN : 0);
        }
    }
}

static void test_sampled_is_bit_0_of_the_flags(void **state CV_UNUSED)
{
    for (unsigned flags = 0; flags < 256; flags++) {
        char text[TRACE_TEXT_LEN + 1];
        struct trace trace;
        snprintf(text, sizeof text, "00-" ID "-" SPAN "-%02x", flags);
        assert_true(trace_parse(str_of(text), &trace));
        assert_int_equal(trace_is_sampled(&trace), flags & 1);
    }
    assert_false(trace_is_sampled(NULL));
    assert_false(trace_is_sampled(&(struct trace){.text = ""}));
}

static void test_ids_are_the_parts(void **state CV_UNUSED)
{
    struct trace trace;
    assert_true(trace_parse(STR(GOOD), &trace));
    assert_true(str_eq(trace_id(&trace), STR(ID)));
    assert_true(str_eq(trace_span_id(&trace), STR(SPAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_takes_what_is_valid),   cmocka_unit_test(test_parse_refuses_what_is_not),
        cmocka_unit_test(test_parse_any_byte_in_any_place), cmocka_unit_test(test_sampled_is_bit_0_of_the_flags),
        cmocka_unit_test(test_ids_are_the_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
