#include "lib/authorities.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* A certificate of an authority "test" (EC, expired): only the TLS library validates it. */
static const char authority[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBcjCCARmgAwIBAgIULWO3gcWxehPOW4Qs5QFoiwTzqZEwCgYIKoZIzj0EAwIw\n"
                                "DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjkxMDM4MDRaFw0yNjExMzAxMDM4MDRa\n"
                                "MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATap6U+\n"
                                "rUEg5o3FKWeuSoYsRPDj934DjUuzp3gqqtupolW00881pD9yPiLxesJo1Y+DfI2X\n"
                                "sgztZnctDdifeQ6to1MwUTAdBgNVHQ4EFgQUex9k1wTipr/VbAz0YAuHAAGAlfsw\n"
                                "HwYDVR0jBBgwFoAUex9k1wTipr/VbAz0YAuHAAGAlfswDwYDVR0TAQH/BAUwAwEB\n"
                                "/zAKBggqhkjOPQQDAgNHADBEAiBX9Mn7M1ylevU9dTzzOtztjty1Sq8waa3ZlNVm\n"
                                "nw5AUwIgJ8UK+O4NwrLv5EwLkoa+gYGuHDlPe7U27qNYp85WZBY=\n"
                                "-----END CERTIFICATE-----\n";

static char path[] = "/tmp/caseview-test-authorities-XXXXXX";
static char system_path[] = "/tmp/caseview-test-authorities-system-XXXXXX";

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void assert_read(const char *system_bundle, const char *expected)
{
    struct buf out CV_CLEANUP(buf_done);
    buf_init(&out, AUTHORITIES_MAX_BYTES);
    assert_true(authorities_read(system_bundle, &out));
    assert_string_equal(out.data, expected);
}

static void test_without_a_file_nothing_is_added(void **state CV_UNUSED)
{
    struct buf out CV_CLEANUP(buf_done);
    buf_init(&out, AUTHORITIES_MAX_BYTES);
    assert_false(authorities_read(system_path, &out));
    assert_int_equal(out.len, 0);
}

/* Every truncated text and every text with a replaced letter is refused. */
static void test_use_refuses_what_is_not_whole(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    size_t len = sizeof authority - 1;
    char copy[sizeof authority];
    for (size_t cut = 0; cut < len - 1; cut++) {
        write_file(path, authority, cut);
        if (authorities_use(path, &err) != CV_FATAL)
            fail_msg("cut at %zu is accepted", cut);
    }
    static const char others[] = {'-', '\0', '!', '='};
    for (size_t i = 28; i < len - 30; i++) {
        for (size_t k = 0; k < sizeof others; k++) {
            memcpy(copy, authority, sizeof copy);
            if (copy[i] == '\n' || copy[i] == others[k])
                continue;
            copy[i] = others[k];
            write_file(path, copy, len);
            if (authorities_use(path, &err) != CV_FATAL)
                fail_msg("\"%c\" at %zu is accepted", others[k], i);
        }
    }
    write_file(path, "no certificate\n", 15);
    assert_int_equal(authorities_use(path, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "contains no certificate"));
    assert_int_equal(authorities_use("/nonexistent", &err), CV_FATAL);
}

static void test_read_adds_to_the_system_and_follows_changes(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    char both[2 * sizeof authority + 10];
    write_file(path, authority, sizeof authority - 1);
    write_file(system_path, "SYSTEM", 6);
    assert_int_equal(authorities_use(path, &err), CV_OK);
    snprintf(both, sizeof both, "SYSTEM\n%s", authority);
    assert_read(system_path, both);
    assert_read(NULL, authority);
    assert_read("/nonexistent", authority);

    write_file(path, authority, 200); /* being written */
    assert_read(NULL, authority);
    unlink(path);
    assert_read(NULL, authority);
    snprintf(both, sizeof both, "# two\r\n%s%s", authority, authority);
    write_file(path, both, strlen(both));
    assert_read(NULL, both);
}

int main(void)
{
    close(mkstemp(path));
    close(mkstemp(system_path));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_file_nothing_is_added),
        cmocka_unit_test(test_use_refuses_what_is_not_whole),
        cmocka_unit_test(test_read_adds_to_the_system_and_follows_changes),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(system_path);
    return failures;
}
