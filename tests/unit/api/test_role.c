#include "api/role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "caseview/buf.h"

static void test_is_impersonator(void **state)
{
    (void)state;
    static const struct {
        const char *role;
        bool want;
    } table[] = {
        {"Agent Impersonator", true},
        {"Agent impersonator", true},
        {"AgentImpersonator", true},
        {"  a g e n tIMPERSONATOR ", true},
        {"", false},
        {" ", false},
        {"Agent", false},
        {"AgentImpersonato", false},
        {"AgentImpersonators", false},
        {"Agent\tImpersonator", false},
        {"Agent-Impersonator", false},
        {"Agent\xc2\xa0Impersonator", false},
        {"\xc4\xb0mpersonator", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (role_is_impersonator(str_of(table[i].role)) != table[i].want)
            fail_msg("%s", table[i].role);
    assert_false(role_is_impersonator((struct str){"AgentImpersonator\0x", 19}));
}

static void put_int(struct buf *out, uint32_t n)
{
    const char bytes[] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    buf_append(out, bytes, sizeof bytes);
}

/* text[] as PostgreSQL sends it; "" in items is a null item. */
static void put_array(struct buf *out, uint32_t dimensions, const char *const *items, uint32_t count)
{
    put_int(out, dimensions);
    put_int(out, 1);
    put_int(out, 25);
    for (uint32_t i = 0; i < dimensions; i++) {
        put_int(out, i == 0 ? count : 1);
        put_int(out, 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        put_int(out, *items[i] ? (uint32_t)strlen(items[i]) : UINT32_MAX);
        buf_puts(out, items[i]);
    }
}

static void test_array_has_impersonator(void **state)
{
    (void)state;
    static const struct {
        uint32_t dimensions;
        const char *items[3];
        uint32_t count;
        bool want;
    } table[] = {
        {0, {NULL}, 0, false},
        {1, {"Reader"}, 1, false},
        {1, {"Agent", "Impersonator"}, 2, false},
        {1, {"", "x", "agent impersonator"}, 3, true},
        {2, {"x", "AgentImpersonator"}, 2, true},
        {1, {"", "", ""}, 3, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf bytes;
        buf_init(&bytes, 4096);
        put_array(&bytes, table[i].dimensions, table[i].items, table[i].count);
        if (role_array_has_impersonator((struct str){bytes.data, bytes.len}) != table[i].want)
            fail_msg("row %zu", i);
        /* cut anywhere: no read past the end, and only the complete role matches */
        for (size_t len = 0; len < bytes.len; len++) {
            char *cut = cv_strndup(bytes.data, len);
            assert_false(role_array_has_impersonator((struct str){cut, len}));
            free(cut);
        }
        buf_done(&bytes);
    }
    assert_false(role_array_has_impersonator(STR_NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_impersonator),
        cmocka_unit_test(test_array_has_impersonator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
