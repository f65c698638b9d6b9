#include "caseview/buf.h"
#include "caseview/config.h"
#include "caseview/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static const struct option_def more_options[] = {
    {.name = "count", .type = OPTION_INT, .scope = SCOPE_DEV_PRODUCE, .min = -5, .max = INT64_MAX, .help = "A count"},
    {.name = "names", .type = OPTION_TEXT, .scope = SCOPE_DEV_PRODUCE, .list = true, .fallback = "a, b", .help = "x"},
    {.name = NULL},
};

static const struct option_def *const tables[] = {caseview_options, more_options, NULL};

enum { WORDS_MAX = 8 };

/* One call of config_load: blank-separated arguments, environment entries, lines of a file. */
struct given {
    unsigned scope;
    const char *arguments[WORDS_MAX];
    const char *environment[WORDS_MAX];
    const char *file; /* its content, NULL: none */
};

static char file_name[] = "/tmp/caseview-test-config-XXXXXX";

static void write_file(const char *text)
{
    FILE *file = fopen(file_name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static enum cv_status load(const struct given *given, struct config **out_config, struct err *err)
{
    char *argv[WORDS_MAX + 3] = {NULL};
    char *environ_[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    while (argc < WORDS_MAX && given->arguments[argc]) {
        argv[argc] = cv_strdup(given->arguments[argc]);
        argc++;
    }
    for (size_t i = 0; i < WORDS_MAX && given->environment[i]; i++)
        environ_[i] = cv_strdup(given->environment[i]);
    int words = argc;
    char config_word[] = "--config";
    if (given->file != NULL) {
        write_file(given->file);
        argv[argc++] = config_word;
        argv[argc++] = file_name;
    }
    enum cv_status status = config_load(tables, given->scope, argc, argv, environ_, out_config, err);
    for (int i = 0; i < words; i++)
        free(argv[i]);
    for (size_t i = 0; environ_[i]; i++)
        free(environ_[i]);
    return status;
}

static struct config *load_ok(const struct given *given)
{
    struct err err = ERR_INIT;
    struct config *config = NULL;
    if (load(given, &config, &err) != CV_OK)
        fail_msg("%s", err.text);
    return config;
}

static void test_load_nothing_gives_defaults(void **state CV_UNUSED)
{
    struct config *config = load_ok(&(struct given){.scope = SCOPE_WORKER});
    assert_string_equal(config_text(config, "database"), "");
    assert_string_equal(config_text(config, "case-topic"), "case-events");
    assert_string_equal(config_text(config, "admin-listen"), "127.0.0.1:9464");
    assert_null(config_text(config, "group-id"));
    assert_null(config_text(config, "log-format"));
    assert_int_equal(config_int(config, "gap-alarm-s"), 30);
    assert_int_equal(config_int(config, "memory"), memory_default_budget());
    assert_false(config_is_set(config, "memory"));
    assert_false(config_is_set(config, "gap-alarm-s"));
    size_t pair_count;
    (void)config_pairs(config, "kafka", &pair_count);
    assert_int_equal(pair_count, 0);
    assert_null(config_operand(config, 0));
    assert_false(config_wants_help(config));
    config_free(config);
    config_free(NULL);

    config = load_ok(&(struct given){.scope = SCOPE_API,
                                     .arguments = {"--issuer", "i", "--audience", "a", "--jwks", "/etc/keys.json"}});
    assert_string_equal(config_text(config, "admin-listen"), "127.0.0.1:9465");
    assert_string_equal(config_item(config, "listen", 0), "127.0.0.1:8080");
    assert_null(config_item(config, "listen", 1));
    assert_string_equal(config_text(config, "cache"), "off");
    config_free(config);
}

static void test_load_first_match_wins(void **state CV_UNUSED)
{
    struct config *config = load_ok(&(struct given){
        .scope = SCOPE_WORKER,
        .arguments = {"--gap-alarm-s", "1", "--tombstone-days=11"},
        .environment = {"CASEVIEW_GAP_ALARM_S=2", "CASEVIEW_MEMORY=200000000", "PATH=/bin", "CASEVIEWER=1"},
        .file =
            "gap-alarm-s = 3\nmemory = 300000000\n\n# comment\n  generation=3  # three\r\ndatabase = password=a#b\n",
    });
    assert_int_equal(config_int(config, "gap-alarm-s"), 1);
    assert_int_equal(config_int(config, "tombstone-days"), 11);
    assert_int_equal(config_int(config, "memory"), 200000000);
    assert_int_equal(config_int(config, "generation"), 3);
    assert_string_equal(config_text(config, "database"), "password=a#b");
    assert_true(config_is_set(config, "generation"));
    config_free(config);
}

static void test_load_file_named_by_the_environment(void **state CV_UNUSED)
{
    write_file("generation = 7\n");
    char variable[64];
    snprintf(variable, sizeof variable, "CASEVIEW_CONFIG=%s", file_name);
    struct config *config = load_ok(&(struct given){.scope = SCOPE_WORKER, .environment = {variable}});
    assert_int_equal(config_int(config, "generation"), 7);
    config_free(config);
    /* --config wins, the other file is not read. */
    config = load_ok(&(struct given){
        .scope = SCOPE_WORKER, .environment = {"CASEVIEW_CONFIG=/nonexistent"}, .file = "generation = 8\n"});
    assert_int_equal(config_int(config, "generation"), 8);
    config_free(config);
}

static void test_load_pairs_merge_by_property(void **state CV_UNUSED)
{
    struct config *config = load_ok(&(struct given){
        .scope = SCOPE_WORKER,
        .arguments = {"--kafka", "bootstrap.servers=a:1,b:2", "--kafka=ssl.key.password=x=y"},
        .environment = {"CASEVIEW_KAFKA_BOOTSTRAP_SERVERS=env:1", "CASEVIEW_KAFKA_SECURITY_PROTOCOL=ssl"},
        .file = "kafka = security.protocol=plaintext\nkafka = client.id=\nkafka=bootstrap.servers=file:1\n",
    });
    static const char *const expected[][2] = {
        {"bootstrap.servers", "a:1,b:2"}, {"ssl.key.password", "x=y"}, {"security.protocol", "ssl"}, {"client.id", ""}};
    size_t count;
    const struct config_property *pairs = config_pairs(config, "kafka", &count);
    assert_int_equal(count, ARRAY_LEN(expected));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(pairs[i].name, expected[i][0]);
        assert_string_equal(pairs[i].value, expected[i][1]);
    }
    assert_true(config_is_set(config, "kafka"));
    config_free(config);
}

static void test_load_lists_flags_and_operands(void **state CV_UNUSED)
{
    struct config *config = load_ok(&(struct given){
        .scope = SCOPE_API,
        .arguments = {"--issuer", " one , two,three", "--audience=a", "--jwks", "https://u:p@host/keys", "--listen",
                      "[::1]:0,localhost:8080"},
    });
    assert_string_equal(config_item(config, "issuer", 0), "one");
    assert_string_equal(config_item(config, "issuer", 1), "two");
    assert_string_equal(config_item(config, "issuer", 2), "three");
    assert_null(config_item(config, "issuer", 3));
    assert_string_equal(config_item(config, "listen", 1), "localhost:8080");
    config_free(config);

    config = load_ok(&(struct given){.scope = SCOPE_STATUS,
                                     .arguments = {"first", "--json", "-", "--", "--watch"},
                                     .environment = {"CASEVIEW_CHECK=on", "CASEVIEW_WATCH=off"}});
    assert_true(config_flag(config, "json"));
    assert_true(config_flag(config, "check"));
    assert_false(config_flag(config, "watch"));
    assert_string_equal(config_operand(config, 0), "first");
    assert_string_equal(config_operand(config, 1), "-");
    assert_string_equal(config_operand(config, 2), "--watch");
    assert_null(config_operand(config, 3));
    config_free(config);

    config = load_ok(&(struct given){.scope = SCOPE_DEV_PRODUCE, .arguments = {"--count", "-5"}});
    assert_int_equal(config_int(config, "count"), -5);
    assert_string_equal(config_item(config, "names", 1), "b");
    config_free(config);
    config = load_ok(&(struct given){.scope = SCOPE_DEV_PRODUCE, .arguments = {"--count=9223372036854775807"}});
    assert_true(config_int(config, "count") == INT64_MAX);
    config_free(config);
}

static void test_load_help_stops_reading(void **state CV_UNUSED)
{
    struct config *config = load_ok(&(struct given){
        .scope = SCOPE_API, .arguments = {"--help", "--nonsense"}, .environment = {"CASEVIEW_NONSENSE=1"}});
    assert_true(config_wants_help(config));
    config_free(config);
}

static void test_load_options_of_others_are_known_and_checked(void **state CV_UNUSED)
{
    struct config *config = load_ok(
        &(struct given){.scope = SCOPE_WORKER,
                        .environment = {"CASEVIEW_LISTEN=0.0.0.0:80", "CASEVIEW_TEST_DATABASE=x", "CASEVIEW_COUNT=3"},
                        .file = "issuer = x\nschema-dir = /\nthreads = 5\n"});
    assert_string_equal(config_text(config, "schema-dir"), "/");
    config_free(config);
}

static void test_load_ignores_what_the_kubelet_makes(void **state CV_UNUSED)
{
    static const char *const variables[] = {
        "CASEVIEW_SERVICE_HOST=10.0.0.1",
        "CASEVIEW_SERVICE_PORT=80",
        "CASEVIEW_SERVICE_PORT_HTTP=80",
        "CASEVIEW_PORT=tcp://10.0.0.1:80",
        "CASEVIEW_PORT_80_TCP=tcp://10.0.0.1:80",
        "CASEVIEW_PORT_80_TCP_PROTO=tcp",
        "CASEVIEW_PORT_80_TCP_PORT=80",
        "CASEVIEW_PORT_80_TCP_ADDR=10.0.0.1",
        "CASEVIEW_API_SERVICE_HOST=10.0.0.1",
        "CASEVIEW_API_SERVICE_PORT_ADMIN_HTTP=9465",
        "CASEVIEW_API_V2_PORT_53_UDP=udp://10.0.0.1:53",
        "CASEVIEW_API_PORT_7_SCTP_ADDR=10.0.0.1",
        "CASEVIEW_KAFKA_PORT=tcp://10.0.0.1:9092",
        "CASEVIEW_KAFKA_SERVICE_HOST=10.0.0.1",
        "CASEVIEW_KAFKA_PORT_9092_TCP=tcp://10.0.0.1:9092",
        "CASEVIEW_LISTEN_PORT=tcp://10.0.0.1:80",
    };
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        struct config *config = load_ok(&(struct given){.scope = SCOPE_WORKER, .environment = {variables[i]}});
        assert_false(config_is_set(config, "kafka"));
        config_free(config);
    }
    static const char *const unknown[] = {
        "CASEVIEW_API=1",      "CASEVIEW_SERVICE=1",          "CASEVIEW_API_SERVICE_PORT_=1",
        "CASEVIEW_PORT_TCP=1", "CASEVIEW_PORT_80_TCP_HOST=1", "CASEVIEW_PORT_80_HTTP=1",
        "CASEVIEW_api_PORT=1", "CASEVIEW_SERVICE_HOSTS=1",    "CASEVIEW_PORTS=1",
    };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct err err = ERR_INIT;
        struct config *config = NULL;
        struct given given = {.scope = SCOPE_WORKER, .environment = {unknown[i]}};
        if (load(&given, &config, &err) != CV_FATAL || strstr(err.text, "no such option") == NULL)
            fail_msg("%s is not refused", unknown[i]);
    }
}

/* No option may have a name that looks like a Service's variable: it could not be given in the environment. */
static void test_table_has_no_name_of_a_service(void **state CV_UNUSED)
{
    for (const struct option_def *option = caseview_options; option->name != NULL; option++) {
        const char *last = strrchr(option->name, '-');
        assert_true(last == NULL || (strcmp(last, "-port") != 0 && strcmp(last, "-host") != 0));
        assert_null(strstr(option->name, "port-"));
    }
}

static void test_load_file_skips_a_byte_order_mark(void **state CV_UNUSED)
{
    struct config *config = load_ok(
        &(struct given){.scope = SCOPE_WORKER, .file = "\xef\xbb\xbfgeneration = 7\r\ncase-topic = x"});
    assert_int_equal(config_int(config, "generation"), 7);
    assert_string_equal(config_text(config, "case-topic"), "x");
    config_free(config);
    config = load_ok(&(struct given){.scope = SCOPE_WORKER, .file = "\xef\xbb\xbf"});
    config_free(config);
    config = load_ok(&(struct given){.scope = SCOPE_WORKER, .file = ""});
    config_free(config);
}

static const struct {
    struct given given;
    const char *expected; /* FILE is replaced by the file's name */
} wrong[] = {
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s", "0"}}, "--gap-alarm-s: \"0\" is out of range (1–86400 s)"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s=86401"}}, "--gap-alarm-s: \"86401\" is out of range (1–86400 s)"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s", "30s"}}, "--gap-alarm-s: \"30s\" is not a whole number (1–86400 s)"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s", ""}}, "--gap-alarm-s: \"\" is not a whole number (1–86400 s)"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s", "99999999999999999999"}},
     "--gap-alarm-s: \"99999999999999999999\" is not a whole number (1–86400 s)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_GAP_ALARM_S=-1"}},
     "CASEVIEW_GAP_ALARM_S: \"-1\" is out of range (1–86400 s)"},
    {{SCOPE_WORKER, .file = "\n\ngap-alarm-s=+5\n"}, "FILE:3: gap-alarm-s: \"+5\" is not a whole number (1–86400 s)"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s"}}, "--gap-alarm-s: its value is missing"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s", "--generation", "2"}}, "--gap-alarm-s: its value is missing"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm-s", "1", "--gap-alarm-s", "1"}}, "--gap-alarm-s: is given twice"},
    {{SCOPE_WORKER, .file = "gap-alarm-s=1\ngap-alarm-s=2\n"}, "FILE:2: gap-alarm-s: is given twice, first in line 1"},
    {{SCOPE_WORKER, .arguments = {"--gap-alarm"}}, "--gap-alarm: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .arguments = {"--Gap-Alarm-S", "1"}},
     "--Gap-Alarm-S: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .arguments = {"-x"}}, "-x: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_GAP_ALARM=1"}},
     "CASEVIEW_GAP_ALARM: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_gap_alarm_s=1"}},
     "CASEVIEW_gap_alarm_s: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_=1"}}, "CASEVIEW_: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .file = "gap-alarm = 1"}, "FILE:1: gap-alarm: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .file = "# x\nbatch-bytes = 1"},
     "FILE:2: batch-bytes: no such option; it was replaced by `memory` (--help lists what is allowed)"},
    {{SCOPE_API, .environment = {"CASEVIEW_CACHE_BYTES=1"}},
     "CASEVIEW_CACHE_BYTES: no such option; it was replaced by `memory` (--help lists what is allowed)"},
    {{SCOPE_WORKER, .arguments = {"--batch-events=1"}},
     "--batch-events: no such option; it was replaced by `memory` (--help lists what is allowed)"},
    {{SCOPE_WORKER, .arguments = {"--memory", "67108863"}},
     "--memory: \"67108863\" is out of range (67108864–68719476736 bytes)"},
    {{SCOPE_WORKER, .file = "config = x"}, "FILE:1: config: no such option (--help lists what is allowed)"},
    {{SCOPE_WORKER, .file = "gap-alarm-s 1"}, "FILE:1: a line must be `some-name = VALUE`"},
    {{SCOPE_WORKER, .file = "= 1"}, "FILE:1: a line must be `some-name = VALUE`"},
    {{SCOPE_WORKER, .arguments = {"--listen", "a:1"}},
     "--listen: belongs to another command (--help lists what is allowed)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_LISTEN=a"}}, "CASEVIEW_LISTEN: \"a\" is not HOST:PORT"},
    {{SCOPE_WORKER, .file = "threads = 0\n"}, "FILE:1: threads: \"0\" is out of range (1–4096)"},
    {{SCOPE_WORKER, .arguments = {"--log-level", "loud"}},
     "--log-level: \"loud\" is not one of: error warn info debug (Least severe level that is logged)"},
    {{SCOPE_WORKER, .arguments = {"--log-level", "warn info"}},
     "--log-level: \"warn info\" is not one of: error warn info debug (Least severe level that is logged)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_CACHE=on"}},
     "CASEVIEW_CACHE: \"on\" is not one of: off (Cache of answers; only off is possible in this version)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_JSON=yes"}}, "CASEVIEW_JSON: \"yes\" is not one of: on off"},
    {{SCOPE_WORKER, .arguments = {"--case-topic", ""}}, "--case-topic: must be a text that is not empty"},
    {{SCOPE_WORKER, .arguments = {"--schema-registry", "ftp://user:hush@x"}},
     "--schema-registry: is not a valid URL: it must begin with http:// or https://"},
    {{SCOPE_WORKER, .arguments = {"--schema-registry", "http:///path"}},
     "--schema-registry: is not a valid URL: its host or port is not valid (a / ? # in user or password is written as "
     "%2F %3F %23)"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_JWKS=ftp://x"}},
     "CASEVIEW_JWKS: is not a valid URL: it must begin with http:// or https://"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_ISSUER=a,,b"}}, "CASEVIEW_ISSUER: an item of the list is empty"},
    {{SCOPE_WORKER, .arguments = {"--kafka", "hush"}}, "--kafka: must be PROPERTY=VALUE"},
    {{SCOPE_WORKER, .arguments = {"--kafka", "=hush"}}, "--kafka: must be PROPERTY=VALUE"},
    {{SCOPE_WORKER, .arguments = {"--kafka", "a=1", "--kafka", "a=2"}}, "--kafka: a is given twice"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_KAFKA_=1"}},
     "CASEVIEW_KAFKA_: must be followed by a property in capitals, dots as _"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_KAFKA=a=1"}},
     "CASEVIEW_KAFKA: must be followed by a property in capitals, dots as _"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_KAFKA_a.b=1"}},
     "CASEVIEW_KAFKA_a.b: must be a property in capitals, dots as _"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_CONFIG=/nonexistent/x"}},
     "CASEVIEW_CONFIG: /nonexistent/x: No such file or directory"},
    {{SCOPE_WORKER, .arguments = {"--config", "/"}}, "--config: /: Is a directory"},
    {{SCOPE_WORKER, .arguments = {"--config", "/a", "--config", "/b"}}, "--config: is given twice"},
    {{SCOPE_WORKER, .environment = {"CASEVIEW_SCHEMA_DIR=/nonexistent"}},
     "CASEVIEW_SCHEMA_DIR: the folder /nonexistent cannot be read: No such file or directory"},
    {{SCOPE_API, .arguments = {"--issuer=i", "--audience=a"}},
     "--jwks: is required (Key set for the signatures of tokens)"},
};

static void test_load_errors_are_one_precise_line(void **state CV_UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = ERR_INIT;
        struct config *config = NULL;
        assert_int_equal(load(&wrong[i].given, &config, &err), CV_FATAL);
        assert_null(config);
        char expected[600];
        bool file = strncmp(wrong[i].expected, "FILE", 4) == 0;
        snprintf(expected, sizeof expected, "%s%s", file ? file_name : "", wrong[i].expected + (file ? 4 : 0));
        assert_string_equal(err.text, expected);
    }
}

static void test_load_listen_table(void **state CV_UNUSED)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"127.0.0.1:0", true},
        {"localhost:65535", true},
        {"[::]:80", true},
        {"[fe80::1]:1", true},
        {"my-host.example:9", true},
        {"127.0.0.1:65536", false},
        {"127.0.0.1", false},
        {":80", false},
        {"::1:80", false},
        {"[::1]", false},
        {"[]:80", false},
        {"[1]:80", false},
        {"a b:80", false},
        {"a:", false},
        {"a:-1", false},
        {"a:1x", false},
        {"http://a:80", false},
        {"", false},
        {"a:000080", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        struct config *config = NULL;
        struct given given = {.scope = SCOPE_WORKER, .arguments = {"--admin-listen", cases[i].text}};
        enum cv_status status = load(&given, &config, &err);
        if (status != (cases[i].valid ? CV_OK : CV_FATAL))
            fail_msg("\"%s\": status %d", cases[i].text, (int)status);
        config_free(config);
    }
}

static void test_load_file_with_binary_bytes_is_refused(void **state CV_UNUSED)
{
    FILE *file = fopen(file_name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite("generation = 1\0\n", 1, 16, file), 16);
    assert_int_equal(fclose(file), 0);
    char option[] = "--config";
    char *argv[] = {option, file_name, NULL};
    struct err err = ERR_INIT;
    struct config *config = NULL;
    assert_int_equal(config_load(tables, SCOPE_WORKER, 2, argv, NULL, &config, &err), CV_FATAL);
    assert_non_null(strstr(err.text, ":1: the line contains a NUL byte"));
}

/* The output of a printing function. */
static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void print_worker_help(FILE *out)
{
    config_help(out, tables, SCOPE_WORKER, "usage: caseview worker [OPTIONS]");
}

static void print_page(FILE *out)
{
    config_markdown(out, tables);
}

static void test_help_lists_its_own_options_only(void **state CV_UNUSED)
{
    char *text = printed(print_worker_help);
    assert_int_equal(strncmp(text, "usage: caseview worker [OPTIONS]\n", 33), 0);
    assert_non_null(strstr(text, "  --gap-alarm-s 1–86400 s (default 30)\n"));
    assert_non_null(strstr(text, "  --admin-listen HOST:PORT (default 127.0.0.1:9464)\n"));
    assert_non_null(strstr(text, "  --log-format text|json\n"));
    assert_non_null(strstr(text, "  --memory 67108864–68719476736 bytes\n"));
    assert_non_null(strstr(text, "by default half of the cgroup's"));
    assert_non_null(strstr(text, "  --config FILE\n"));
    assert_null(strstr(text, "--jwks"));
    assert_null(strstr(text, "9465"));
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        assert_true(len <= 130); /* bytes */
        line += len + (line[len] == '\n');
    }
    free(text);
}

static void test_markdown_has_a_row_for_every_option(void **state CV_UNUSED)
{
    char *text = printed(print_page);
    for (const struct option_def *const *table = tables; *table; table++) {
        for (const struct option_def *option = *table; option->name; option++) {
            char cell[64];
            snprintf(cell, sizeof cell, "\n| `%s` | ", option->name);
            assert_non_null(strstr(text, cell));
        }
    }
    assert_non_null(strstr(text, "| `gap-alarm-s` | caseview worker | 1–86400 s | `30` | "));
    assert_non_null(
        strstr(text, "67108864–68719476736 bytes | half of the cgroup's memory limit but at least 96 MiB, "));
    assert_non_null(strstr(text, "| `issuer` | caseview-api | text, list | required | "));
    assert_non_null(strstr(text, "| `kafka` | caseview | PROPERTY=VALUE | – | "));
    assert_non_null(strstr(text, "| `log-level` | all | error warn info debug | `info` | "));
    free(text);
}

static void test_table_is_sound(void **state CV_UNUSED)
{
    for (const struct option_def *option = caseview_options; option->name; option++) {
        assert_true(option->scope != 0);
        assert_non_null(option->help);
        assert_true(option->help[0] >= 'A' && option->help[0] <= 'Z');
        assert_true(option->help[strlen(option->help) - 1] != '.');
        assert_int_equal(strspn(option->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(option->name));
        if (option->type == OPTION_INT)
            assert_true(option->min < option->max);
        if (option->type == OPTION_CHOICE)
            assert_non_null(option->choices);
    }
}

int main(void)
{
    int fd = mkstemp(file_name);
    if (fd < 0) {
        perror(file_name);
        return 1;
    }
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_nothing_gives_defaults),
        cmocka_unit_test(test_load_first_match_wins),
        cmocka_unit_test(test_load_file_named_by_the_environment),
        cmocka_unit_test(test_load_pairs_merge_by_property),
        cmocka_unit_test(test_load_lists_flags_and_operands),
        cmocka_unit_test(test_load_help_stops_reading),
        cmocka_unit_test(test_load_options_of_others_are_known_and_checked),
        cmocka_unit_test(test_load_ignores_what_the_kubelet_makes),
        cmocka_unit_test(test_load_file_skips_a_byte_order_mark),
        cmocka_unit_test(test_table_has_no_name_of_a_service),
        cmocka_unit_test(test_load_errors_are_one_precise_line),
        cmocka_unit_test(test_load_listen_table),
        cmocka_unit_test(test_load_file_with_binary_bytes_is_refused),
        cmocka_unit_test(test_help_lists_its_own_options_only),
        cmocka_unit_test(test_markdown_has_a_row_for_every_option),
        cmocka_unit_test(test_table_is_sound),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file_name);
    return failed;
}
