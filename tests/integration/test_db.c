/* db against a real PostgreSQL: opening, parameters and results, single statements and scripts. */
#include "caseview/clock.h"
#include "caseview/db.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/database.h"

static const char *conninfo;

/* ---- opening ---- */

static void test_open_contradictory_options_is_fatal(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    assert_int_equal(db_open("sslmode=perhaps", "test_db", NULL, 1000, &db, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "sslmode"));
    assert_int_equal(db_open("host=a,b hostaddr=127.0.0.1", "test_db", NULL, 1000, &db, &err), CV_FATAL);
}

/* Opens with the PG… variables and more words, which come first. */
static enum cv_status open_with(const char *words, struct db **out_db, struct err *err)
{
    if (conninfo[0] != '\0')
        fail_msg("this test needs the PG… variables and an empty CASEVIEW_TEST_DATABASE");
    return db_open(words, "test_db", NULL, TIMEOUT_MS, out_db, err);
}

/* The server's messages quote users and databases: names of the connection string are hidden, other text is not. */
static void test_open_refused_by_the_server_hides_the_values(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    assert_int_equal(open_with("dbname=nowhere", &db, &err), CV_RETRY);
    assert_non_null(strstr(err.text, "database \"nowhere\" does not exist"));
    assert_int_equal(open_with("postgresql:///?dbname=hush", &db, &err), CV_RETRY);
    assert_null(strstr(err.text, "hush"));
    assert_non_null(strstr(err.text, "database \"***\" does not exist"));
    assert_int_equal(open_with("user=hush", &db, &err), CV_RETRY);
    assert_null(strstr(err.text, "hush"));
    assert_non_null(strstr(err.text, "role \"***\" does not exist"));
    assert_int_equal(open_with("options='-c hush.a=1 -c nonsense=hush'", &db, &err), CV_RETRY);
    assert_null(strstr(err.text, "hush"));
    assert_int_equal(open_with("application_name=hush", &db, &err), CV_OK);
    assert_int_equal(
        db_script(db, "DO $$BEGIN RAISE 'seen: %, %', current_setting('application_name'), 'hushed'; END$$", 0, &err),
        CV_RETRY);
    assert_non_null(strstr(err.text, "seen: ***, hushed"));
    db_close(db);
}

static void test_open_database_not_utf8_is_fatal(void **state CV_UNUSED)
{
    struct db *admin = open_db(), *db = NULL;
    struct err err = ERR_INIT;
    run(admin, "DROP DATABASE IF EXISTS test_db_win1252");
    run(admin, "CREATE DATABASE test_db_win1252 ENCODING 'WIN1252' LOCALE 'C' TEMPLATE template0");
    assert_int_equal(open_with("dbname=test_db_win1252", &db, &err), CV_FATAL);
    assert_null(db);
    assert_non_null(strstr(err.text, "its encoding is WIN1252, but Caseview needs UTF8"));
    run(admin, "DROP DATABASE test_db_win1252");
    db_close(admin);
}

static bool asks_for_the_primary(const char *words)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    enum cv_status status = open_with(words, &db, &err);
    db_close(db);
    if (status != CV_OK && strstr(err.text, "session is read-only") == NULL)
        fail_msg("%s: %s", words, err.text);
    return status != CV_OK;
}

/* A role with read-only sessions takes the part of a standby. */
static void test_open_of_several_hosts_wants_the_primary(void **state CV_UNUSED)
{
    const char *host = getenv("PGHOST"), *port = getenv("PGPORT");
    char several[300], words[400];
    struct db *admin = open_db();
    run(admin, "DROP ROLE IF EXISTS test_db_reader; CREATE ROLE test_db_reader LOGIN SUPERUSER;"
               "ALTER ROLE test_db_reader SET default_transaction_read_only = on");
    snprintf(several, sizeof several, "user=test_db_reader host=%s,%s port=%s,%s", host, host, port, port);
    assert_true(asks_for_the_primary(several));
    assert_false(asks_for_the_primary("user=test_db_reader"));
    snprintf(words, sizeof words, "%s target_session_attrs=any", several);
    assert_false(asks_for_the_primary(words));
    setenv("PGTARGETSESSIONATTRS", "any", 1);
    assert_false(asks_for_the_primary(several));
    unsetenv("PGTARGETSESSIONATTRS");
    snprintf(words, sizeof words, "%s,%s", host, host);
    char *saved CV_CLEANUP(cv_free_ptr) = cv_strdup(host);
    setenv("PGHOST", words, 1);
    assert_true(asks_for_the_primary("user=test_db_reader"));
    setenv("PGHOST", saved, 1);
    run(admin, "DROP ROLE test_db_reader");
    db_close(admin);
}

static void test_same_server_of_two_connections(void **state CV_UNUSED)
{
    struct db *first = open_db(), *second = open_db();
    struct err err = ERR_INIT;
    assert_ok(db_same_server(first, second, TIMEOUT_MS, &err), &err);
    /* A schema before pg_catalog makes one connection appear to be on another server. */
    run(second, "DROP SCHEMA IF EXISTS test_db_fake CASCADE; CREATE SCHEMA test_db_fake;"
                "CREATE FUNCTION test_db_fake.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql AS "
                "$$SELECT now()$$;"
                "SET search_path = test_db_fake, pg_catalog");
    assert_int_equal(db_same_server(first, second, TIMEOUT_MS, &err), CV_RETRY);
    assert_non_null(strstr(err.text, "different servers"));
    db_close(second);
    second = open_db();
    run(second, "DROP FUNCTION test_db_fake.pg_postmaster_start_time;"
                "CREATE FUNCTION test_db_fake.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT true';"
                "SET search_path = test_db_fake, pg_catalog");
    assert_int_equal(db_same_server(first, second, TIMEOUT_MS, &err), CV_RETRY);
    assert_non_null(strstr(err.text, "standby"));
    run(first, "DROP SCHEMA test_db_fake CASCADE");
    db_close(second);
    db_close(first);
}

/* A listening socket that never answers. */
static int deaf_socket(int *out_port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void test_open_deaf_server_ends_at_the_deadline(void **state CV_UNUSED)
{
    int port;
    int fd = deaf_socket(&port);
    char text[128];
    snprintf(text, sizeof text, "host=127.0.0.1 port=%d password=hush user=u dbname=d", port);
    struct err err = ERR_INIT;
    struct db *db = NULL;
    int64_t start = clock_mono_ms();
    assert_int_equal(db_open(text, "test_db", NULL, 300, &db, &err), CV_RETRY);
    int64_t took = clock_mono_ms() - start;
    assert_true(took >= 290 && took < 3000);
    assert_null(strstr(err.text, "hush"));
    assert_string_equal(err.sqlstate, "");
    close(fd);
}

static void test_open_refused_port_is_retry(void **state CV_UNUSED)
{
    int port;
    int fd = deaf_socket(&port);
    close(fd);
    char text[128];
    snprintf(text, sizeof text, "host=127.0.0.1 port=%d", port);
    struct err err = ERR_INIT;
    struct db *db = NULL;
    assert_int_equal(db_open(text, "test_db", NULL, TIMEOUT_MS, &db, &err), CV_RETRY);
    assert_non_null(strstr(err.text, "refused"));
}

static void test_open_first_host_dead_takes_the_second(void **state CV_UNUSED)
{
    const char *host = getenv("PGHOST");
    const char *port = getenv("PGPORT");
    if (conninfo[0] || !host || !port)
        fail_msg("this test needs the PG… variables and an empty CASEVIEW_TEST_DATABASE");
    int dead_port;
    int fd = deaf_socket(&dead_port);
    close(fd);
    char text[512];
    snprintf(text, sizeof text, "host=127.0.0.1,%s port=%d,%s", host, dead_port, port);
    struct err err = ERR_INIT;
    struct db *db = NULL;
    assert_ok(db_open(text, "test_db", NULL, TIMEOUT_MS, &db, &err), &err);
    db_close(db);
}

static void test_open_setup_runs_and_its_refusal_is_reported(void **state CV_UNUSED)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    assert_ok(db_open(conninfo, "test_db", "set search_path = pg_catalog; set work_mem = '7MB'", TIMEOUT_MS, &db, &err),
              &err);
    static const struct db_statement settings = {
        "settings", "select current_setting('work_mem'), current_setting('application_name'), "
                    "current_setting('client_encoding'), pg_backend_pid()"};
    struct db_result *result = NULL;
    assert_ok(db_exec(db, &settings, NULL, TIMEOUT_MS, &result, &err), &err);
    assert_true(str_eq(db_str(result, 0, 0), STR("7MB")));
    assert_true(str_eq(db_str(result, 0, 1), STR("test_db")));
    assert_true(str_eq(db_str(result, 0, 2), STR("UTF8")));
    assert_int_equal(db_int4(result, 0, 3), db_backend_pid(db));
    db_result_free(result);
    db_close(db);

    db = NULL;
    assert_int_equal(db_open(conninfo, "test_db", "set nonsense = 1", TIMEOUT_MS, &db, &err), CV_RETRY);
    assert_null(db);
    assert_string_equal(err.sqlstate, "42704");
}

/* ---- parameters and results ---- */

static void test_args_scalars_come_back(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct arena *arena = arena_new(4096, 1 << 20);
    struct uuid uuid;
    uuid_random(&uuid);
    const int64_t times[] = {0, -1, CLOCK_MIN_US, CLOCK_MAX_US, 1712834018008222};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct db_args args;
        db_args_init(&args, arena);
        db_arg_int4(&args, INT32_MIN);
        db_arg_int8(&args, INT64_MIN);
        db_arg_bool(&args, true);
        db_arg_text(&args, STR("Zoë"));
        db_arg_bytea(&args, (struct str){"\0\xff", 2});
        db_arg_uuid(&args, &uuid);
        db_arg_time_array(&args, &times[i], sizeof times[i], 1);
        db_arg_null(&args, DB_INT4);
        db_arg_text(&args, STR_NULL);
        db_arg_text(&args, STR(""));
        static const struct db_statement statement = {"scalars",
                                                      "select $1, $2, $3, $4, $5, $6, $7[1], $8, $9, $10, (-7)::int2"};
        struct err err = ERR_INIT;
        struct db_result *result = NULL;
        assert_ok(db_exec(db, &statement, &args, TIMEOUT_MS, &result, &err), &err);
        assert_int_equal(db_rows(result), 1);
        assert_int_equal(db_int4(result, 0, 0), INT32_MIN);
        assert_true(db_int8(result, 0, 1) == INT64_MIN);
        assert_true(db_bool(result, 0, 2));
        assert_true(str_eq(db_str(result, 0, 3), STR("Zoë")));
        assert_true(str_eq(db_str(result, 0, 4), (struct str){"\0\xff", 2}));
        struct uuid back = db_uuid(result, 0, 5);
        assert_true(uuid_eq(&back, &uuid));
        assert_true(db_time(result, 0, 6) == times[i]);
        assert_true(db_is_null(result, 0, 7));
        assert_null(db_str(result, 0, 8).ptr);
        assert_true(db_str(result, 0, 9).ptr && db_str(result, 0, 9).len == 0);
        assert_int_equal(db_int2(result, 0, 10), -7);
        db_result_free(result);
        arena_reset(arena);
    }
    arena_free(arena);
    db_close(db);
}

struct row {
    struct uuid id;
    bool present;
    struct str text;
    int64_t time;
    int64_t big;
    int32_t number;
    int16_t small;
    bool yes;
};

/* Sends all kinds of arrays from an array of structs through unnest and reads them back. */
static void check_arrays(struct db *db, const struct row *rows, size_t n)
{
    static const struct db_statement statement = {
        "arrays", "select * from unnest($1::uuid[],$2::uuid[],$3::text[],$4::bytea[],$5::timestamptz[],$6::int8[],"
                  "$7::int4[],$8::int2[],$9::bool[]) with ordinality as u(a,b,c,d,e,f,g,h,i,n) order by n"};
    struct arena *arena = arena_new(65536, 64 << 20);
    struct db_args args;
    db_args_init(&args, arena);
    const size_t stride = sizeof *rows;
    db_arg_uuid_array(&args, &rows->id, stride, n);
    db_arg_uuid_null_array(&args, &rows->id, &rows->present, stride, n);
    db_arg_text_array(&args, &rows->text, stride, n);
    db_arg_bytea_array(&args, &rows->text, stride, n);
    db_arg_time_array(&args, &rows->time, stride, n);
    db_arg_int8_array(&args, &rows->big, stride, n);
    db_arg_int4_array(&args, &rows->number, stride, n);
    db_arg_int2_array(&args, &rows->small, stride, n);
    db_arg_bool_array(&args, &rows->yes, stride, n);
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_ok(db_exec(db, &statement, &args, TIMEOUT_MS, &result, &err), &err);
    assert_int_equal(db_rows(result), n);
    for (int i = 0; i < (int)n; i++) {
        struct uuid id = db_uuid(result, i, 0);
        assert_true(uuid_eq(&id, &rows[i].id));
        assert_int_equal(db_is_null(result, i, 1), !rows[i].present);
        if (rows[i].present) {
            id = db_uuid(result, i, 1);
            assert_true(uuid_eq(&id, &rows[i].id));
        }
        assert_true(str_eq(db_str(result, i, 2), rows[i].text));
        assert_true(str_eq(db_str(result, i, 3), rows[i].text));
        assert_int_equal(db_is_null(result, i, 4), rows[i].time == INT64_MIN);
        if (rows[i].time != INT64_MIN)
            assert_true(db_time(result, i, 4) == rows[i].time);
        assert_true(db_int8(result, i, 5) == rows[i].big);
        assert_int_equal(db_int4(result, i, 6), rows[i].number);
        assert_int_equal(db_int2(result, i, 7), rows[i].small);
        assert_int_equal(db_bool(result, i, 8), rows[i].yes);
    }
    db_result_free(result);
    arena_free(arena);
}

static void test_args_arrays_come_back(void **state CV_UNUSED)
{
    struct db *db = open_db();
    enum { N = 5000 };
    struct row *rows = cv_zalloc(N * sizeof *rows);
    for (size_t i = 0; i < N; i++) {
        uuid_random(&rows[i].id);
        rows[i].present = i % 3;
        rows[i].text = i % 5 == 0 ? STR_NULL : i % 5 == 1 ? STR("") : STR("naïve \"quoted\" {brace}");
        rows[i].time = i % 7 == 0 ? INT64_MIN : (int64_t)i * 1000003 - 1000000;
        rows[i].big = i % 2 ? INT64_MAX - (int64_t)i : INT64_MIN + (int64_t)i;
        rows[i].number = i % 2 ? INT32_MAX : -(int32_t)i;
        rows[i].small = (int16_t)(i % 2 ? INT16_MIN : (int)i);
        rows[i].yes = i % 2;
    }
    check_arrays(db, rows, N);
    check_arrays(db, rows, 1);
    check_arrays(db, rows, 0);
    free(rows);
    db_close(db);
}

static void test_args_full_arena_is_fatal_and_sends_nothing(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct arena *arena = arena_new(64, 64);
    char big[100] = "";
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_text(&args, (struct str){big, sizeof big});
    struct err err = ERR_INIT;
    assert_int_equal(db_exec(db, &st_echo, &args, TIMEOUT_MS, NULL, &err), CV_FATAL);
    assert_false(db_is_lost(db));
    assert_ok(db_exec(db, &st_one, NULL, TIMEOUT_MS, NULL, &err), &err);

    db_args_init(&args, arena);
    for (int i = 0; i < 33; i++)
        db_arg_null(&args, DB_TEXT);
    assert_int_equal(db_exec(db, &st_echo, &args, TIMEOUT_MS, NULL, &err), CV_FATAL);
    arena_free(arena);
    db_close(db);
}

/* ---- one statement ---- */

static void test_exec_refusal_has_sqlstate_and_leaves_a_usable_connection(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct arena *arena = arena_new(4096, 4096);
    for (int i = 0; i < 2; i++) { /* the second time it is prepared */
        struct db_args args;
        db_args_init(&args, arena);
        db_arg_int4(&args, 0);
        struct err err = ERR_INIT;
        struct db_result *result = NULL;
        assert_int_equal(db_exec(db, &st_divide, &args, TIMEOUT_MS, &result, &err), CV_RETRY);
        assert_string_equal(err.sqlstate, "22012");
        assert_string_equal(err.text, "divide: division by zero (SQLSTATE 22012)");
        assert_null(result);
        assert_false(db_is_lost(db));
    }
    static const struct db_statement broken = {"broken", "selec 1"};
    for (int i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(db_exec(db, &broken, NULL, TIMEOUT_MS, NULL, &err), CV_RETRY);
        assert_string_equal(err.sqlstate, "42601");
    }
    struct err err = ERR_INIT;
    assert_ok(db_exec(db, &st_one, NULL, 0, NULL, &err), &err);
    arena_free(arena);
    db_close(db);
}

static void test_exec_error_detail_stays_out_of_the_text(void **state CV_UNUSED)
{
    struct db *db = open_db();
    run(db, "create temp table secretive(a text check (a <> 'body of a case'))");
    static const struct db_statement statement = {"violate", "insert into secretive values ('body of a case')"};
    struct err err = ERR_INIT;
    assert_int_equal(db_exec(db, &statement, NULL, TIMEOUT_MS, NULL, &err), CV_RETRY);
    assert_string_equal(err.sqlstate, "23514");
    assert_null(strstr(err.text, "body of a case"));
    db_close(db);
}

static void test_exec_timeout_loses_the_connection(void **state CV_UNUSED)
{
    struct db *db = open_db();
    static const struct db_statement sleepy = {"sleepy", "select pg_sleep(60)"};
    struct err err = ERR_INIT;
    int64_t start = clock_mono_ms();
    assert_int_equal(db_exec(db, &sleepy, NULL, 200, NULL, &err), CV_RETRY);
    assert_true(clock_mono_ms() - start < 5000);
    assert_string_equal(err.sqlstate, "");
    assert_non_null(strstr(err.text, "no answer within the time-out"));
    assert_true(db_is_lost(db));
    assert_int_equal(db_exec(db, &st_one, NULL, 200, NULL, &err), CV_RETRY);
    assert_int_equal(db_script(db, "select 1", 0, &err), CV_RETRY);
    db_close(db);
}

static void test_exec_changed_view_is_prepared_again(void **state CV_UNUSED)
{
    struct db *db = open_db();
    run(db, "create temp view v as select 1::int4 as a");
    static const struct db_statement statement = {"changing", "select * from v"};
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_ok(db_exec(db, &statement, NULL, TIMEOUT_MS, &result, &err), &err);
    db_result_free(result);
    run(db, "drop view v; create temp view v as select 'x'::text as a");
    assert_ok(db_exec(db, &statement, NULL, TIMEOUT_MS, &result, &err), &err);
    assert_true(str_eq(db_str(result, 0, 0), STR("x")));
    db_result_free(result);

    /* Inside a transaction the statement cannot be tried again; after it, it can. */
    run(db, "drop view v; create temp view v as select true as a");
    run(db, "begin");
    assert_int_equal(db_exec(db, &statement, NULL, TIMEOUT_MS, NULL, &err), CV_RETRY);
    assert_string_equal(err.sqlstate, "0A000");
    run(db, "rollback");
    assert_ok(db_exec(db, &statement, NULL, TIMEOUT_MS, &result, &err), &err);
    assert_true(db_bool(result, 0, 0));
    db_result_free(result);
    db_close(db);
}

static void test_exec_forgotten_statement_is_prepared_at_the_next_call(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct err err = ERR_INIT;
    assert_ok(db_exec(db, &st_one, NULL, TIMEOUT_MS, NULL, &err), &err);
    run(db, "deallocate all");
    assert_int_equal(db_exec(db, &st_one, NULL, TIMEOUT_MS, NULL, &err), CV_RETRY);
    assert_string_equal(err.sqlstate, "26000");
    assert_ok(db_exec(db, &st_one, NULL, TIMEOUT_MS, NULL, &err), &err);
    db_close(db);
}

static void test_script_many_statements_or_none(void **state CV_UNUSED)
{
    struct db *db = open_db();
    run(db, "create temp table t(a int4); insert into t select generate_series(1, 3); do $$begin raise notice 'hello'; "
            "end$$;");
    assert_int_equal(count_rows(db), 3);
    struct err err = ERR_INIT;
    assert_int_equal(db_script(db, "insert into t values (4); select 1/0; insert into t values (5)", 0, &err),
                     CV_RETRY);
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(count_rows(db), 3);
    run(db, "");
    assert_int_equal(db_script(db, "copy t from stdin", 0, &err), CV_RETRY);
    assert_true(db_is_lost(db));
    db_close(db);
}

static void test_exec_connection_closed_while_idle_is_lost(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct db *killer = open_db();
    char sql[64];
    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d, 10000)", db_backend_pid(db));
    run(killer, sql);
    struct err err = ERR_INIT;
    assert_int_equal(db_exec(db, &st_one, NULL, TIMEOUT_MS, NULL, &err), CV_RETRY);
    assert_string_equal(err.sqlstate, "");
    assert_non_null(strstr(err.text, "lost"));
    assert_true(db_is_lost(db));
    db_close(db);
    db_close(killer);
}

int main(void)
{
    conninfo = test_database("test_db");
    if (conninfo == NULL)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_contradictory_options_is_fatal),
        cmocka_unit_test(test_open_refused_by_the_server_hides_the_values),
        cmocka_unit_test(test_open_database_not_utf8_is_fatal),
        cmocka_unit_test(test_open_of_several_hosts_wants_the_primary),
        cmocka_unit_test(test_same_server_of_two_connections),
        cmocka_unit_test(test_open_deaf_server_ends_at_the_deadline),
        cmocka_unit_test(test_open_refused_port_is_retry),
        cmocka_unit_test(test_open_first_host_dead_takes_the_second),
        cmocka_unit_test(test_open_setup_runs_and_its_refusal_is_reported),
        cmocka_unit_test(test_args_scalars_come_back),
        cmocka_unit_test(test_args_arrays_come_back),
        cmocka_unit_test(test_args_full_arena_is_fatal_and_sends_nothing),
        cmocka_unit_test(test_exec_refusal_has_sqlstate_and_leaves_a_usable_connection),
        cmocka_unit_test(test_exec_error_detail_stays_out_of_the_text),
        cmocka_unit_test(test_exec_timeout_loses_the_connection),
        cmocka_unit_test(test_exec_changed_view_is_prepared_again),
        cmocka_unit_test(test_exec_forgotten_statement_is_prepared_at_the_next_call),
        cmocka_unit_test(test_script_many_statements_or_none),
        cmocka_unit_test(test_exec_connection_closed_while_idle_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
