#include "workers/source/kafka_properties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MARKER "s3cr3t-Marker"

static enum cv_status make(const struct config_property *properties, size_t count, size_t queue_bytes,
                           enum kafka_role role, rd_kafka_conf_t **out_conf, struct err *err)
{
    const struct consumer_options options = {
        .properties = properties, .property_count = count, .group_id = "g", .queue_bytes = queue_bytes};

    return kafka_properties_new(&options, role, out_conf, err);
}

/* Each case in all roles; `says` NULL: accepted. */
struct property_case {
    struct config_property properties[4];
    const char *says;
};

static void check_cases(const struct property_case *cases, size_t count)
{
    static const enum kafka_role roles[] = {KAFKA_MEMBER, KAFKA_READER, KAFKA_ASKER};

    for (size_t i = 0; i < count * ARRAY_LEN(roles); i++) {
        const struct property_case *c = &cases[i / ARRAY_LEN(roles)];
        size_t n = 0;
        rd_kafka_conf_t *conf = NULL;
        struct err err = ERR_INIT;
        while (n < ARRAY_LEN(c->properties) && c->properties[n].name != NULL)
            n++;
        enum cv_status status = make(c->properties, n, 0, roles[i % ARRAY_LEN(roles)], &conf, &err);
        if (status == CV_OK)
            rd_kafka_conf_destroy(conf);
        if (status != (c->says == NULL ? CV_OK : CV_FATAL))
            fail_msg("case %zu (%s): %s", i / ARRAY_LEN(roles), c->properties[n - 1].value, err.text);
        if (c->says != NULL && strstr(err.text, c->says) == NULL)
            fail_msg("case %zu: the error is \"%s\", without \"%s\"", i / ARRAY_LEN(roles), err.text, c->says);
        if (strstr(err.text, MARKER) != NULL)
            fail_msg("case %zu shows a secret: %s", i / ARRAY_LEN(roles), err.text);
    }
}

#define SERVERS(value)             \
    {                              \
        "bootstrap.servers", value \
    }
#define PROTOCOL(value)            \
    {                              \
        "security.protocol", value \
    }
#define CHECK_CASES(cases) check_cases(cases, ARRAY_LEN(cases))

static void test_new_servers_are_checked(void **state CV_UNUSED)
{
    static const struct property_case cases[] = {
        {{SERVERS("a")}, NULL},
        {{SERVERS("a:9092, b:9093 ,,c")}, NULL},
        {{SERVERS("[::1]:9092,::1,10.0.0.1:1")}, NULL},
        {{SERVERS("PLAINTEXT://a:9092,plaintext://b")}, NULL},
        {{SERVERS("a:9092"), {"metadata.broker.list", "b:9092"}}, NULL},
        {{{"client.rack", "r1"}}, "bootstrap.servers is missing"},
        {{SERVERS("")}, "bootstrap.servers is missing"},
        {{SERVERS(" , ")}, "bootstrap.servers is missing"},
        {{SERVERS("a:9092,SASL_SSL://b:9092")}, "entry 2 begins with SASL_SSL://, but security.protocol is plaintext"},
        {{SERVERS("a:9092"), {"metadata.broker.list", "SSL://b"}}, "entry 1 begins with SSL://"},
        {{PROTOCOL("ssl"), SERVERS("PLAINTEXT://a")}, "set security.protocol=PLAINTEXT"},
        {{PROTOCOL("SASL_SSL"), {"sasl.mechanisms", "PLAIN"}, SERVERS("sasl_ssl://a:9092")}, NULL},
        {{SERVERS("http://a:9092")}, "entry 1 begins with an unknown protocol"},
        {{SERVERS("://a:9092")}, "entry 1 begins with an unknown protocol"},
        {{SERVERS("a:9092/topic")}, "entry 1 has a path"},
        {{SERVERS("a:0")}, "entry 1 has a port that is not a number"},
        {{SERVERS("a:65536")}, "entry 1 has a port that is not a number"},
        {{SERVERS("a:99999999999999999999999")}, "entry 1 has a port that is not a number"},
        {{SERVERS("a:kafka")}, "entry 1 has a port that is not a number"},
        {{SERVERS("b,a:")}, "entry 2 has a port that is not a number"},
        {{SERVERS(":9092")}, "entry 1 has no host"},
        {{SERVERS("SSL://u:" MARKER "@a:9092")}, "entry 1 has a user part"},
        {{SERVERS("u:" MARKER "/x@a:9092")}, "entry 1 has a user part"},
        {{SERVERS(MARKER "://a:9092")}, "entry 1 begins with an unknown protocol"},
    };

    CHECK_CASES(cases);
}

static void test_new_sasl_that_can_never_work_is_refused(void **state CV_UNUSED)
{
    static const struct property_case cases[] = {
        {{SERVERS("a"), {"sasl.mechanisms", "PLAIN"}}, "kafka property sasl.mechanisms has no effect"},
        {{SERVERS("a"), {"sasl.mechanism", "SCRAM-SHA-256"}}, "kafka property sasl.mechanism has no effect"},
        {{SERVERS("a"), PROTOCOL("ssl"), {"sasl.username", "u"}}, "kafka property sasl.username has no effect"},
        {{SERVERS("a"), {"sasl.password", MARKER}}, "kafka property sasl.password has no effect"},
        {{SERVERS("a"), {"sasl.oauthbearer.client.secret", MARKER}}, "kafka property sasl.oauthbearer.client.secret"},
        {{SERVERS("a"), PROTOCOL("sasl_ssl"), {"sasl.mechanisms", "OAUTHBEARER"}}, "needs a source of tokens"},
        {{SERVERS("a"), PROTOCOL("sasl_plaintext"), {"sasl.mechanism", "OAUTHBEARER"}}, "needs a source of tokens"},
        {{PROTOCOL("sasl_plaintext"),
          {"sasl.mechanism", "OAUTHBEARER"},
          {"enable.sasl.oauthbearer.unsecure.jwt", "true"},
          SERVERS("a")},
         NULL},
        {{PROTOCOL("sasl_ssl"), {"sasl.username", "u"}, {"sasl.password", MARKER}, SERVERS("a")}, NULL},
    };

    CHECK_CASES(cases);
}

/* No error contains a marker in any position of a secret, for any mistake. */
static void test_new_secrets_are_not_shown(void **state CV_UNUSED)
{
    static const struct property_case cases[] = {
        {{SERVERS("a"), {"sasl.jaas.config", "org.apache… password=\"" MARKER "\";"}}, "sasl.jaas.config"},
        {{SERVERS("a"), {"sasl.pasword", MARKER}}, "kafka property sasl.pasword: "},
        {{SERVERS("a"), {"ssl.keystore.password", MARKER}, {"no.such", MARKER}}, "kafka property no.such: "},
        {{SERVERS("a"), {"sasl.oauthbearer.method", "https://u:" MARKER "@a"}},
         "kafka property sasl.oauthbearer.method"},
        {{SERVERS("a"), {"security.protocol", "sasl_ssl://u:" MARKER "@a"}}, "this value is not accepted"},
        {{PROTOCOL("sasl_ssl"),
          {"sasl.username", "u"},
          {"sasl.oauthbearer.token.endpoint.url", "https://u:" MARKER "@a/token"},
          SERVERS("a")},
         "sasl.oauthbearer.token.endpoint.url"},
        {{SERVERS("a"), {"ssl.key.password", MARKER}, {"group.id", MARKER}}, "--group-id"},
    };

    CHECK_CASES(cases);
}

static void test_new_queue_bytes_set_fitting_sizes(void **state CV_UNUSED)
{
    static const struct {
        size_t queue_bytes;
        struct config_property property;
        int queue_kbytes, fetch_bytes;
    } cases[] = {
        {0, {NULL, NULL}, 8192, 2 << 20},
        {1, {NULL, NULL}, 1024, 1 << 20},
        {4u << 20, {NULL, NULL}, 4096, 1 << 20},
        {16u << 20, {NULL, NULL}, 16384, 4 << 20},
        {64u << 20, {NULL, NULL}, 65536, 8 << 20},
        {SIZE_MAX, {NULL, NULL}, 2097151, 8 << 20},
        {16u << 20, {"queued.max.messages.kbytes", "500"}, 500, 4 << 20},
        {16u << 20, {"fetch.max.bytes", "3000000"}, 16384, 3000000},
        {4u << 20, {"message.max.bytes", "20000000"}, 4096, 20000000},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct config_property properties[] = {SERVERS("a"), cases[i].property};
        rd_kafka_conf_t *conf;
        struct err err = ERR_INIT;
        if (make(properties, cases[i].property.name != NULL ? 2 : 1, cases[i].queue_bytes, KAFKA_MEMBER, &conf, &err))
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(kafka_properties_int(conf, "queued.max.messages.kbytes"), cases[i].queue_kbytes);
        assert_int_equal(kafka_properties_int(conf, "fetch.max.bytes"), cases[i].fetch_bytes);
        rd_kafka_conf_destroy(conf);
    }
}

/* Others notice a rebalance with their next heartbeat; a static member that stays in the group is expected back. */
static void test_new_sessions_depend_on_the_membership(void **state CV_UNUSED)
{
    static const struct {
        struct consumer_options options;
        int session_ms;
    } cases[] = {
        {{.group_id = "g"}, 10000},
        {{.group_id = "g", .group_instance_id = "i"}, 45000},
        {{.group_id = "g", .group_instance_id = "i", .leave_group = true}, 10000},
    };
    const struct config_property properties[] = {SERVERS("a"), {"session.timeout.ms", "7000"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct consumer_options options = cases[i].options;
        struct err err = ERR_INIT;
        rd_kafka_conf_t *conf;
        options.properties = properties;
        for (options.property_count = 1; options.property_count <= 2; options.property_count++) {
            assert_int_equal(kafka_properties_new(&options, KAFKA_MEMBER, &conf, &err), CV_OK);
            assert_int_equal(kafka_properties_int(conf, "session.timeout.ms"),
                             options.property_count == 1 ? cases[i].session_ms : 7000);
            assert_int_equal(kafka_properties_int(conf, "heartbeat.interval.ms"), 500);
            rd_kafka_conf_destroy(conf);
        }
    }
}

static void test_new_what_is_fixed_holds_in_every_role(void **state CV_UNUSED)
{
    const struct config_property properties[] = {SERVERS("a")};
    rd_kafka_conf_t *conf;
    struct err err = ERR_INIT;

    for (unsigned role = KAFKA_MEMBER; role <= KAFKA_ASKER; role <<= 1) {
        assert_int_equal(make(properties, 1, 0, (enum kafka_role)role, &conf, &err), CV_OK);
        assert_true(kafka_properties_contain(conf, "isolation.level", "read_committed"));
        assert_int_equal(kafka_properties_contain(conf, "enable.partition.eof", "true"), role != KAFKA_ASKER);
        rd_kafka_conf_destroy(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_servers_are_checked),
        cmocka_unit_test(test_new_sasl_that_can_never_work_is_refused),
        cmocka_unit_test(test_new_secrets_are_not_shown),
        cmocka_unit_test(test_new_queue_bytes_set_fitting_sizes),
        cmocka_unit_test(test_new_sessions_depend_on_the_membership),
        cmocka_unit_test(test_new_what_is_fixed_holds_in_every_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
