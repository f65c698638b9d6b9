/*
 * Secrets in every place where a user may write one: no error contains a marker in that place. A refused value is not
 * shown at all; an accepted one is shown without user, password and query.
 */
#include "caseview/config.h"
#include "caseview/db.h"
#include "caseview/fetch.h"
#include "caseview/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/random.h"

#define MARK  "hush"
#define TRIES 20000

static const struct option_def *const tables[] = {caseview_options, NULL};

static char file_name[] = "/tmp/caseview-test-secrets-XXXXXX";

static void assert_hidden(const char *shown, const char *given)
{
    if (strstr(shown, MARK) != NULL)
        fail_msg("\"%s\" shows the secret of \"%s\"", shown, given);
}

/* ---- options ---- */

#define WAYS 3

/* Loads a value from command line, environment and file. Returns how many of these accepted it. */
static size_t load(const char *option, const char *variable, const char *value)
{
    char word[1024], assignment[1100], line[1100];
    snprintf(word, sizeof word, "--%s=%s", option, value);
    snprintf(assignment, sizeof assignment, "%s=%s", variable, value);
    snprintf(line, sizeof line, "%s = %s\n", option, value);
    FILE *file = fopen(file_name, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(line, 1, strlen(line), file), strlen(line));
    assert_int_equal(fclose(file), 0);
    bool api = strcmp(option, "jwks") == 0;
    char config_word[] = "--config", issuer[] = "CASEVIEW_ISSUER=i", audience[] = "CASEVIEW_AUDIENCE=a";
    char *from_words[] = {word, NULL}, *from_file[] = {config_word, file_name, NULL};
    char *from_environment[] = {issuer, audience, assignment, NULL}, *others[] = {issuer, audience, NULL};
    const struct {
        char **argv;
        int argc;
        char **environment;
    } ways[WAYS] = {{from_words, 1, others}, {from_words, 0, from_environment}, {from_file, 2, others}};
    size_t accepted = 0;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct err err = ERR_INIT;
        struct config *config = NULL;
        if (config_load(tables, api ? SCOPE_API : SCOPE_WORKER, ways[i].argc, ways[i].argv, ways[i].environment,
                        &config, &err) == CV_OK)
            accepted++;
        assert_hidden(err.text, value);
        config_free(config);
    }
    return accepted;
}

static const struct {
    const char *url;
    bool valid; /* as a key set's URL */
    const char *shown;
} urls[] = {
    {"https://host/keys", true, "https://host/keys"},
    {"https://host", true, "https://host"},
    {"http://" MARK "@host:81/keys", true, "http://host:81/keys"},
    {"http://u:" MARK "@[::1]:81/keys", true, "http://[::1]:81/keys"},
    {"http://" MARK ":p%2F%40@host/keys?x=" MARK "#" MARK, true, "http://host/keys"},
    {"http://u:" MARK "@" MARK "@host/keys", true, "http://host/keys"},
    {"https://host/keys?apiKey=" MARK, true, "https://host/keys"},
    {"https://host?apiKey=" MARK, true, "https://host"},
    {"https://host/keys#" MARK, true, "https://host/keys"},
    {"http://KEY:" MARK "/et+Pass@host", false, "http://host"},
    {"http://KEY:1/" MARK "@host/keys", false, "http://host/keys"},
    {"http://KEY" MARK "/x@host", false, "http://host"},
    {"http://u:1?" MARK "@host/keys", false, "http://…"},
    {"http://u:1#" MARK "@host/keys", false, "http://…"},
    {"http://host/keys?mail=" MARK "@x", false, "http://…"},
    {"http://u:" MARK "%zz@host", false, "http://host"},
    {"http://u:" MARK " x@host", false, "http://host"},
    {"http://host:port", false, "http://host:port"},
    {"http://host:0x1/", false, "http://host:0x1/"},
    {"http://[::1/keys", false, "http://[::1/keys"},
    {"http://u:" MARK "@/keys", false, "http:///keys"},
    {"ftp://u:" MARK "@host", false, "ftp://host"},
    {"http:u:" MARK "@host", false, "host"},
    {"u:" MARK "@host/keys", false, "host/keys"},
};

static void test_url_is_refused_or_shown_without_its_secrets(void **state CV_UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        if (load("jwks", "CASEVIEW_JWKS", urls[i].url) != (urls[i].valid ? WAYS : 0))
            fail_msg("%s: %s", urls[i].url, urls[i].valid ? "is refused" : "is accepted");
        char shown[200];
        fetch_redact(urls[i].url, shown, sizeof shown);
        assert_string_equal(shown, urls[i].shown);
    }
    const char *registry = "schema-registry", *variable = "CASEVIEW_SCHEMA_REGISTRY";
    assert_int_equal(load(registry, variable, "http://host/base?apiKey=" MARK), 0);
    assert_int_equal(load(registry, variable, "http://u:" MARK "@host/apis/ccompat/v7"), WAYS);
}

static void test_fetch_error_hides_the_secrets(void **state CV_UNUSED)
{
    static const char *const refused[] = {
        "http://" MARK "@127.0.0.1:1/keys",
        "http://u:" MARK "@127.0.0.1:1/keys?x=" MARK,
        "https://u:" MARK "@" MARK "@127.0.0.1:1/keys#" MARK,
        "https://127.0.0.1:1?" MARK,
        "http://u:p@127.0.0.1:1/" MARK "/x@127.0.0.1",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err err = ERR_INIT;
        struct buf body CV_CLEANUP(buf_done);
        buf_init(&body, 1000);
        int status;
        assert_int_equal(fetch_get(refused[i], 2000, &status, &body, &err), CV_RETRY);
        assert_non_null(strstr(err.text, "127.0.0.1"));
        assert_hidden(err.text, refused[i]);
    }
}

/* Random texts of a URL's delimiters, each with a user or password that contains the marker. */
static void test_random_urls_never_show_the_marker(void **state CV_UNUSED)
{
    static const char letters[] = "ab1:/@?#%[]=&;. ";
    struct random random = random_start(__func__);
    for (int i = 0; i < TRIES; i++) {
        char url[200], part[3][12], shown[200];
        for (size_t k = 0; k < ARRAY_LEN(part); k++) {
            size_t len = random_below(&random, sizeof part[k] - 1);
            for (size_t c = 0; c < len; c++)
                part[k][c] = letters[random_below(&random, sizeof letters - 1)];
            part[k][len] = '\0';
        }
        bool userinfo = random_below(&random, 2) == 0;
        snprintf(url, sizeof url, userinfo ? "http://%s" MARK "%s@h.example%s" : "http://h.example%s?%s" MARK "%s",
                 part[0], part[1], part[2]);
        fetch_redact(url, shown, sizeof shown);
        if (strstr(shown, MARK) != NULL)
            fail_msg("\"%s\" is shown as \"%s\"", url, shown);
        if (i % 50 == 0)
            load("jwks", "CASEVIEW_JWKS", url);
    }
}

static void test_words_that_are_no_options_are_not_shown(void **state CV_UNUSED)
{
    static const char *const arguments[] = {
        "--postgresql://u:" MARK "@h/x?y=1",
        "-postgresql://u:" MARK "@h/x?y=1",
        "--host=x password=" MARK,
        "--password=" MARK,
        "-p=" MARK,
    };
    static const char *const lines[] = {
        "postgresql://u:" MARK "@h/x?sslmode=require\n",
        "host=x password=" MARK "\n",
        "password = " MARK "\n",
        "u:" MARK "@h = 1\n",
        MARK "/\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
        char word[100], config_word[] = "--config";
        snprintf(word, sizeof word, "%s", arguments[i]);
        char *from_words[] = {word, NULL}, *from_file[] = {config_word, file_name, NULL}, *none[] = {NULL};
        struct err err = ERR_INIT;
        struct config *config = NULL;
        assert_int_equal(config_load(tables, SCOPE_WORKER, 1, from_words, none, &config, &err), CV_FATAL);
        assert_hidden(err.text, arguments[i]);
        FILE *file = fopen(file_name, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(lines[i], 1, strlen(lines[i]), file), strlen(lines[i]));
        assert_int_equal(fclose(file), 0);
        assert_int_equal(config_load(tables, SCOPE_WORKER, 2, from_file, none, &config, &err), CV_FATAL);
        assert_hidden(err.text, lines[i]);
    }
}

/* ---- connection strings ---- */

static const struct {
    const char *conninfo;
    bool valid; /* it is tried, and cannot be reached */
} conninfos[] = {
    {"postgresql://u:" MARK "@127.0.0.1:1/x", true},
    {"postgresql://" MARK ":p@127.0.0.1:1/x?options=-c%20a%3D" MARK, true},
    {"postgresql://127.0.0.1:1/?dbname=" MARK, true},
    {"postgres://127.0.0.1:1/x?password=" MARK, true},
    {"host=127.0.0.1 port=1 user=" MARK " password='" MARK "' dbname=x options='-c a=" MARK "'", true},
    {"host=127.0.0.1 port=1 sslmode=verify-full sslrootcert=/" MARK " sslpassword=" MARK, true},
    {"host=127.0.0.1 port=1 service=" MARK, true},
    {"postgresql://u:" MARK "/et@127.0.0.1:1/x", false},
    {"postgresql://u:1/" MARK "@127.0.0.1/x", false},
    {"postgresql://u:" MARK "@et@127.0.0.1:1/x", false},
    {"postgresql://u:a@" MARK "@127.0.0.1:1/x", false},
    {"postgresql://u:1?" MARK "@127.0.0.1:1/x", false},
    {"postgresql://u:a@127.0.0.1:1/x?password=" MARK "@1", false},
    {"postgresql://u:" MARK "%zz@127.0.0.1/x", false},
    {"postgresql://u:" MARK "@[::1:1/x", false},
    {"postgresql://127.0.0.1:" MARK "/x", false},
    {"host=x;password=" MARK, false},
    {"host=127.0.0.1 port=1;password=" MARK, false},
    {"host=127.0.0.1 dbname=x;password=" MARK, false},
    {"host=127.0.0.1 user=x,password=" MARK, false},
    {"host=127.0.0.1 port=" MARK, false},
    {"host=127.0.0.1 sslmode=" MARK, false},
    {"host=127.0.0.1 " MARK "=1", false},
    {"host=127.0.0.1 password=a " MARK, false},
    {"password='" MARK, false},
    {MARK, false},
};

static void test_conninfo_is_refused_or_its_values_are_hidden(void **state CV_UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(conninfos); i++) {
        struct err err = ERR_INIT;
        struct db *db = NULL;
        enum cv_status status = db_open(conninfos[i].conninfo, "test_secrets", NULL, 2000, &db, &err);
        assert_true(err.text[0] != '\0');
        assert_hidden(err.text, conninfos[i].conninfo);
        if (status != (conninfos[i].valid ? CV_RETRY : CV_FATAL))
            fail_msg("%s: status %d: %s", conninfos[i].conninfo, (int)status, err.text);
    }
}

int main(void)
{
    close(mkstemp(file_name));
    stop_init(STOP_HANGUP_RELOADS);
    fetch_global_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_is_refused_or_shown_without_its_secrets),
        cmocka_unit_test(test_fetch_error_hides_the_secrets),
        cmocka_unit_test(test_random_urls_never_show_the_marker),
        cmocka_unit_test(test_words_that_are_no_options_are_not_shown),
        cmocka_unit_test(test_conninfo_is_refused_or_its_values_are_hidden),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file_name);
    return failures;
}
