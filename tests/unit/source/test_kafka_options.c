#include "workers/source/kafka_options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char longest[250], too_long[251];

static void test_topics_check_follows_kafkas_rules(void **state CV_UNUSED)
{
    const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"case-events", true}, {"a", true},    {"A.b_C-9", true}, {"...", true},
        {longest, true},       {"", false},    {".", false},      {"..", false},
        {"^case.*", false},    {"a b", false}, {"a/b", false},    {"caf\xc3\xa9", false},
        {too_long, false},     {"a,b", false}, {"a\nb", false},
    };

    memset(longest, 'x', sizeof longest - 1);
    memset(too_long, 'x', sizeof too_long - 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (enum topic t = 0; t < TOPIC_COUNT; t++) {
            const char *topics[TOPIC_COUNT] = {"one", "two", "three"};
            struct err err = ERR_INIT;
            topics[t] = cases[i].name;
            enum cv_status status = consumer_topics_check(topics, &err);
            if (status != (cases[i].valid ? CV_OK : CV_FATAL))
                fail_msg("\"%s\": %s", cases[i].name, err.text);
            if (cases[i].valid)
                continue;
            assert_non_null(strstr(err.text, topic_options[t]));
            assert_null(strchr(err.text, '\n'));
        }
    }
}

static void test_topics_check_two_of_one_name_are_refused(void **state CV_UNUSED)
{
    const char *const topics[TOPIC_COUNT] = {"events", "agents", "events"};
    struct err err = ERR_INIT;

    assert_int_equal(consumer_topics_check(topics, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "--case-topic and --directory-topic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics_check_follows_kafkas_rules),
        cmocka_unit_test(test_topics_check_two_of_one_name_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
