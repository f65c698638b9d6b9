#include "workers/source/kafka_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_redact_cuts_user_part_and_query_of_urls(void **state CV_UNUSED)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain text, no URL: a@b ?x", "plain text, no URL: a@b ?x"},
        {"sasl_ssl://host:9092/bootstrap: Connect failed", "sasl_ssl://host:9092/bootstrap: Connect failed"},
        {"token from \"https://u:p@host/t?key=s\": 401", "token from \"https://host/t\": 401"},
        {"http://K:s3cr/et+P@host", "http://host"},
        {"http://K:s3cr@et?x@host/p and https://b?q", "http://host/p and https://b"},
        {"https://host?u=a@b c", "https://b c"}, /* hides too much rather than too little */
        {"://", "://"},
        {"", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char shown[100];
        kafka_client_redact(cases[i].text, shown, sizeof shown);
        assert_string_equal(shown, cases[i].shown);
        for (size_t size = 1; size < sizeof shown; size++) {
            kafka_client_redact(cases[i].text, shown, size);
            assert_true(strlen(shown) < size);
            assert_memory_equal(shown, cases[i].shown, strlen(shown));
        }
    }
}

static void test_limits_intervals_double_and_count_what_is_held_back(void **state CV_UNUSED)
{
    struct kafka_limits limits = {.kinds = {{.key = 0}}};
    unsigned suppressed = 99, shown = 0, held = 0;

    assert_true(kafka_limits_allow(&limits, 1, 1000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(kafka_limits_allow(&limits, 1, 1999, &suppressed));
    assert_true(kafka_limits_allow(&limits, 2, 1999, &suppressed)); /* another kind has its own interval */
    assert_true(kafka_limits_allow(&limits, 1, 2000, &suppressed));
    assert_int_equal(suppressed, 1);
    assert_false(kafka_limits_allow(&limits, 1, 3999, &suppressed));
    assert_true(kafka_limits_allow(&limits, 1, 4000, &suppressed));

    for (int64_t now_ms = 5000; now_ms < 3605000; now_ms += 100) { /* for an hour, ten times a second */
        if (kafka_limits_allow(&limits, 1, now_ms, &suppressed)) {
            shown++;
            held += suppressed;
        }
    }
    assert_in_range(shown, 59, 70);
    assert_true(held > 35000);
    /* After a quiet time the first one is shown at once, with the shortest interval after it. */
    assert_true(kafka_limits_allow(&limits, 1, 10000000, &suppressed));
    assert_true(kafka_limits_allow(&limits, 1, 10001000, &suppressed));
}

static void test_limits_more_kinds_than_places_forget_the_quietest(void **state CV_UNUSED)
{
    struct kafka_limits limits = {.kinds = {{.key = 0}}};
    unsigned suppressed;

    for (int key = 1; key <= KAFKA_LIMIT_KINDS; key++)
        assert_true(kafka_limits_allow(&limits, key, 1000 + key, &suppressed));
    assert_true(kafka_limits_allow(&limits, 100, 1500, &suppressed));
    assert_false(kafka_limits_allow(&limits, 2, 1600, &suppressed));
    assert_true(kafka_limits_allow(&limits, 1, 1600, &suppressed)); /* its slot was reused */
}

/* Settings that librdkafka refuses when the client is created. */
static void test_open_refusals_of_the_library_are_fatal(void **state CV_UNUSED)
{
    static const struct config_property cases[][3] = {
        {{"security.protocol", "sasl_plaintext"}, {"sasl.mechanisms", "PLAIN"}, {"client.id", "x"}},
        {{"security.protocol", "sasl_plaintext"}, {"sasl.mechanisms", "NO-SUCH"}, {"client.id", "x"}},
        {{"security.protocol", "sasl_plaintext"}, {"sasl.mechanisms", "SCRAM-SHA-512"}, {"sasl.username", "u"}},
        {{"security.protocol", "ssl"}, {"ssl.ca.location", "/no/such/file.pem"}, {"client.id", "x"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_property properties[] = {
            {"bootstrap.servers", "127.0.0.1:1"}, cases[i][0], cases[i][1], cases[i][2]};
        const struct consumer_options options = {.properties = properties, .property_count = ARRAY_LEN(properties)};
        struct kafka_client client;
        struct err err = ERR_INIT;
        if (kafka_client_open(&client, &options, KAFKA_ASKER, &err) != CV_FATAL)
            fail_msg("case %zu was accepted", i);
        assert_true(strlen(err.text) > 10);
        kafka_client_close(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redact_cuts_user_part_and_query_of_urls),
        cmocka_unit_test(test_limits_intervals_double_and_count_what_is_held_back),
        cmocka_unit_test(test_limits_more_kinds_than_places_forget_the_quietest),
        cmocka_unit_test(test_open_refusals_of_the_library_are_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
