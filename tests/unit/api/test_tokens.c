#include "api/tokens.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct metrics *metrics;
    struct tokens *tokens;
};

static int start(void **state)
{
    struct fixture *fixture = cv_zalloc(sizeof *fixture);
    fixture->metrics = metrics_new();
    fixture->tokens = tokens_new(fixture->metrics);
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    tokens_free(fixture->tokens);
    metrics_free(fixture->metrics);
    free(fixture);
    return 0;
}

static struct principal make(const char *client, uint64_t version)
{
    struct principal principal = {.not_before_us = 1000, .expires_us = 2000, .keys_version = version, .has_role = true};
    principal.client_len = (uint16_t)strlen(client);
    memcpy(principal.client, client, principal.client_len);
    return principal;
}

static double remembered(const struct fixture *fixture)
{
    return metric_value(metrics_gauge(fixture->metrics, "caseview_api_remembered_tokens", NULL, ""));
}

static void test_find_only_in_time_and_with_the_same_keys(void **state)
{
    struct fixture *fixture = *state;
    struct principal principal = make("client", 7);
    struct principal found;
    assert_false(tokens_find(fixture->tokens, STR("token"), 7, 1500, &found));
    tokens_remember(fixture->tokens, STR("token"), &principal);
    assert_true(tokens_find(fixture->tokens, STR("token"), 7, 1500, &found));
    assert_true(found.has_role);
    assert_true(str_eq((struct str){found.client, found.client_len}, STR("client")));
    assert_true(tokens_find(fixture->tokens, STR("token"), 7, 1000, &found));
    assert_false(tokens_find(fixture->tokens, STR("token"), 7, 999, &found));
    assert_false(tokens_find(fixture->tokens, STR("token"), 7, 2000, &found));
    assert_false(tokens_find(fixture->tokens, STR("token"), 8, 1500, &found));
    assert_false(tokens_find(fixture->tokens, STR("tokeN"), 7, 1500, &found));
    assert_false(tokens_find(fixture->tokens, STR("toke"), 7, 1500, &found));
}

static void test_remember_again_replaces(void **state)
{
    struct fixture *fixture = *state;
    struct principal principal = make("old", 1);
    tokens_remember(fixture->tokens, STR("token"), &principal);
    principal = make("new", 2);
    tokens_remember(fixture->tokens, STR("token"), &principal);
    struct principal found;
    assert_false(tokens_find(fixture->tokens, STR("token"), 1, 1500, &found));
    assert_true(tokens_find(fixture->tokens, STR("token"), 2, 1500, &found));
    assert_true(str_eq((struct str){found.client, found.client_len}, STR("new")));
    assert_int_equal((int)remembered(fixture), 1);
}

static void test_remember_is_bounded_in_entries_and_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct principal principal = make("client", 1);
    char *text = cv_alloc(8000);
    memset(text, 'x', 8000);
    struct principal found;
    for (int i = 0; i < 200000; i++) {
        snprintf(text, 20, "%d", i);
        text[strlen(text)] = 'x';
        struct str token = {text, i < 100000 ? 24 : 6000};
        tokens_remember(fixture->tokens, token, &principal);
        assert_true(tokens_find(fixture->tokens, token, 1, 1500, &found)); /* the latest one is always there */
        if (i == 99999)
            assert_in_range((int)remembered(fixture), 50000, 65536);
    }
    assert_in_range((int)remembered(fixture), 5000, 64 * 1024 * 1024 / 6000);
    free(text);
}

static atomic_int wrong;

static void *hammer(void *context)
{
    struct fixture *fixture = context;
    for (unsigned i = 0; i < 20000; i++) {
        char token[16], client[16];
        snprintf(token, sizeof token, "t%u", i * 2654435761u % 500);
        snprintf(client, sizeof client, "c%s", token + 1);
        struct principal found;
        if (!tokens_find(fixture->tokens, str_of(token), 1, 1500, &found)) {
            struct principal principal = make(client, 1);
            tokens_remember(fixture->tokens, str_of(token), &principal);
        } else if (!str_eq((struct str){found.client, found.client_len}, str_of(client))) {
            atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

static void test_threads_never_see_another_token(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, hammer, *state);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_find_only_in_time_and_with_the_same_keys, start, stop),
        cmocka_unit_test_setup_teardown(test_remember_again_replaces, start, stop),
        cmocka_unit_test_setup_teardown(test_remember_is_bounded_in_entries_and_bytes, start, stop),
        cmocka_unit_test_setup_teardown(test_threads_never_see_another_token, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
