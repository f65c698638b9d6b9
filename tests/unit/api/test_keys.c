#include "api/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* RFC 7515, appendices A.2 and A.3. */
#define N                                                                                                            \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-" \
    "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2Ca" \
    "pHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb5" \
    "4h4FRWyuXpoQ"
#define RSA "\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAB\""
#define EC                                                                                    \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

static const struct {
    const char *members;
    enum key_kind want;
} keys[] = {
    {RSA, KEY_RSA},
    {RSA ",\"use\":\"sig\",\"alg\":\"RS256\",\"key_ops\":[\"verify\"],\"x\":1e400000",
     KEY_UNUSABLE}, /* not valid JSON */
    {RSA ",\"use\":\"sig\",\"alg\":\"RS256\",\"key_ops\":[\"sign\",\"verify\"]", KEY_RSA},
    {RSA ",\"use\":\"enc\"", KEY_UNUSABLE},
    {RSA ",\"use\":1", KEY_UNUSABLE},
    {RSA ",\"key_ops\":[]", KEY_RSA},
    {RSA ",\"key_ops\":[\"encrypt\"]", KEY_UNUSABLE},
    {RSA ",\"key_ops\":{}", KEY_UNUSABLE},
    {RSA ",\"use\":null,\"key_ops\":null,\"alg\":null,\"x5c\":null,\"d\":null,\"p\":null,\"k\":null", KEY_RSA},
    {EC ",\"use\":null,\"alg\":null,\"d\":null", KEY_EC_P256},
    {RSA ",\"key_ops\":\"verify\"", KEY_UNUSABLE},
    {RSA ",\"alg\":7", KEY_UNUSABLE},
    {RSA ",\"d\":\"AQAB\"", KEY_UNUSABLE},
    {RSA ",\"p\":\"AQAB\"", KEY_UNUSABLE},
    {"\"kty\":\"RSA\",\"n\":\"" N "\"", KEY_UNUSABLE},
    {"\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"", KEY_UNUSABLE},
    {"\"kty\":\"rsa\",\"n\":\"" N "\",\"e\":\"AQAB\"", KEY_UNUSABLE},
    {EC, KEY_EC_P256},
    {"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"AQAB\"",
     KEY_UNUSABLE},
    {"\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AQAB\",\"y\":\"AQAB\"", KEY_UNUSABLE},
    {"\"kty\":\"oct\",\"k\":\"AAAA\"", KEY_UNUSABLE},
    {"\"kty\":7", KEY_UNUSABLE},
};

static void test_parse_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char text[4096];
        snprintf(text, sizeof text, "{\"keys\":[{\"kid\":\"k\",%s}]}", keys[i].members);
        struct key_set *set = NULL;
        struct err err = ERR_INIT;
        if (key_set_parse(str_of(text), &set, &err) != CV_OK) {
            if (keys[i].want != KEY_UNUSABLE)
                fail_msg("%s: %s", keys[i].members, err.text);
            continue;
        }
        const struct key *key = &set->keys[0];
        if (key->kind != keys[i].want)
            fail_msg("%s: kind %d", keys[i].members, key->kind);
        assert_int_equal(key_set_usable(set), keys[i].want != KEY_UNUSABLE);
        assert_int_equal(key->signature_length, key->kind == KEY_RSA       ? 256
                                                : key->kind == KEY_EC_P256 ? 64
                                                                           : key->signature_length);
        key_set_release(set);
    }
}

static void test_parse_what_is_no_set(void **state)
{
    (void)state;
    static const char *const texts[] = {"",          "{",
                                        "[]",        "{}",
                                        "null",      "{\"keys\":{}}",
                                        "{\"keys\"", "{\"keys\":[],\"keys\":[]}",
                                        "\xff",      "{\"keys\":[]}x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct key_set *set = NULL;
        struct err err = ERR_INIT;
        if (key_set_parse(str_of(texts[i]), &set, &err) != CV_RETRY || !err.text[0])
            fail_msg("%s", texts[i]);
        assert_null(set);
    }
}

static void test_parse_skips_a_byte_order_mark(void **state)
{
    (void)state;
    struct key_set *set = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(key_set_parse(STR("\xef\xbb\xbf{\"keys\":[{\"kid\":\"k\"," EC "}]}"), &set, &err), CV_OK);
    assert_int_equal(key_set_usable(set), 1);
    key_set_release(set);
}

static void test_find(void **state)
{
    (void)state;
    static const char text[] = "{\"keys\":[{\"kid\":\"rsa\"," RSA "},{\"kid\":\"mixed\"," EC "},{\"kid\":\"mixed\"," RSA
                               "},"
                               "{\"kid\":\"uses\"," RSA ",\"use\":\"enc\"},{\"kid\":\"uses\"," RSA ",\"use\":\"sig\"},"
                               "{\"kid\":\"algs\"," RSA ",\"alg\":\"RS256\"},{\"kid\":\"algs\"," RSA
                               ",\"alg\":\"PS256\"},"
                               "{\"kid\":\"twice\"," RSA "},{\"kid\":\"twice\"," RSA ",\"alg\":\"RS256\"},"
                               "{\"kid\":\"enc\"," RSA ",\"use\":\"enc\"},{" RSA "},{\"kid\":\"\"," RSA
                               "},{\"kid\":7," RSA "},"
                               "{\"kid\":null," RSA "},null,\"x\"]}";
    static const struct {
        const char *kid, *alg;
        enum key_search want;
        size_t index; /* of the key found */
    } table[] = {
        {"rsa", "RS256", KEY_FOUND, 0},   {"rsa", "PS256", KEY_FOUND, 0},       {"rsa", "ES256", KEY_UNFIT, 0},
        {"mixed", "ES256", KEY_FOUND, 1}, {"mixed", "RS256", KEY_FOUND, 2},     {"uses", "RS256", KEY_FOUND, 4},
        {"algs", "RS256", KEY_FOUND, 5},  {"algs", "PS256", KEY_FOUND, 6},      {"algs", "ES256", KEY_UNFIT, 0},
        {"twice", "PS256", KEY_FOUND, 7}, {"twice", "RS256", KEY_AMBIGUOUS, 0}, {"enc", "RS256", KEY_UNFIT, 0},
        {"RSA", "RS256", KEY_UNKNOWN, 0}, {"", "RS256", KEY_UNKNOWN, 0},
    };
    struct key_set *set = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(key_set_parse(str_of(text), &set, &err), CV_OK);
    assert_int_equal(set->count, 10);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct key *key = NULL;
        enum key_search found = key_set_find(set, table[i].kid, table[i].alg, &key);
        if (found != table[i].want || (found == KEY_FOUND && key != &set->keys[table[i].index]))
            fail_msg("%s %s: %d", table[i].kid, table[i].alg, found);
    }
    key_set_release(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_kinds),
        cmocka_unit_test(test_parse_what_is_no_set),
        cmocka_unit_test(test_parse_skips_a_byte_order_mark),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
