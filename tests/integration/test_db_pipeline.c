/* Pipelines of db against a real PostgreSQL. */
#include "caseview/clock.h"
#include "caseview/db.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/support/database.h"

static const struct db_statement st_begin = {"begin", "begin"};
static const struct db_statement st_commit = {"commit", "commit"};
static const struct db_statement st_insert = {"insert", "insert into t values ($1)"};

static enum cv_status wait_pipeline(struct db *db, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + TIMEOUT_MS;
    for (;;) {
        enum cv_status status = db_pipeline_poll(db, err);
        if (!db_pipeline_busy(db))
            return status;
        assert_int_equal(status, CV_RETRY);
        assert_true(clock_mono_ms() < deadline_ms);
        struct pollfd fd = {.fd = db_socket(db), .events = (short)(POLLIN | (db_wants_write(db) ? POLLOUT : 0))};
        poll(&fd, 1, 1000);
    }
}

static void begin(struct db *db)
{
    struct err err = ERR_INIT;
    assert_ok(db_pipeline_begin(db, &err), &err);
}

static void put(struct db *db, const struct db_statement *statement, const struct db_args *args)
{
    struct err err = ERR_INIT;
    assert_ok(db_pipeline_send(db, statement, args, &err), &err);
}

static void end(struct db *db)
{
    struct err err = ERR_INIT;
    assert_ok(db_pipeline_end(db, &err), &err);
}

static void test_pipeline_results_keep_their_numbers(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct arena *arena = arena_new(4096, 65536);
    for (int round = 0; round < 3; round++) { /* with Parse, then without, then with one new statement in between */
        begin(db);
        for (int i = 0; i < 20; i++) {
            char text[16];
            snprintf(text, sizeof text, "%d.%d", round, i);
            struct db_args args;
            db_args_init(&args, arena);
            db_arg_text(&args, str_of(text));
            if (round == 2 && i == 7) {
                static const struct db_statement late = {"late", "select 'late ' || $1::text"};
                put(db, &late, &args);
            } else {
                put(db, &st_echo, &args);
            }
        }
        end(db);
        assert_true(db_pipeline_busy(db));
        struct err err = ERR_INIT;
        assert_ok(wait_pipeline(db, &err), &err);
        for (int i = 0; i < 20; i++) {
            char text[16];
            snprintf(text, sizeof text, "%s%d.%d", round == 2 && i == 7 ? "late " : "", round, i);
            assert_true(str_eq(db_str(db_pipeline_result(db, i), 0, 0), str_of(text)));
        }
        arena_reset(arena);
    }
    arena_free(arena);
    db_close(db);
}

static void test_pipeline_refused_statement_rolls_back_and_names_its_index(void **state CV_UNUSED)
{
    struct db *db = open_db();
    run(db, "create temp table t(a int4)");
    struct arena *arena = arena_new(4096, 65536);
    for (int round = 0; round < 2; round++) {
        struct db_args zero, number;
        db_args_init(&zero, arena);
        db_arg_int4(&zero, 0);
        db_args_init(&number, arena);
        db_arg_int4(&number, 5);
        begin(db);
        put(db, &st_begin, NULL);
        put(db, &st_insert, &number);
        put(db, &st_divide, &zero);
        put(db, &st_count, NULL); /* its Parse is skipped */
        put(db, &st_commit, NULL);
        end(db);
        struct err err = ERR_INIT;
        assert_int_equal(wait_pipeline(db, &err), CV_RETRY);
        assert_int_equal(db_pipeline_failed(db), 2);
        assert_string_equal(err.sqlstate, "22012");
        assert_false(db_is_lost(db));

        /* The caller ends the open transaction, as after any refusal between BEGIN and COMMIT. */
        run(db, "rollback");
        assert_int_equal(count_rows(db), 0);
        begin(db);
        put(db, &st_begin, NULL);
        put(db, &st_commit, NULL);
        end(db);
        assert_ok(wait_pipeline(db, &err), &err);
        assert_int_equal(db_rows(db_pipeline_result(db, 1)), 0);
        assert_int_equal(db_pipeline_failed(db), -1);
    }
    arena_free(arena);
    db_close(db);
}

static void test_pipeline_refused_at_the_sync_is_laid_to_the_last_statement(void **state CV_UNUSED)
{
    struct db *db = open_db();
    run(db, "create temp table u(a int4 unique deferrable initially deferred)");
    static const struct db_statement twice = {"twice", "insert into u values (1), (1)"};
    begin(db);
    put(db, &st_one, NULL);
    put(db, &twice, NULL);
    end(db);
    struct err err = ERR_INIT;
    assert_int_equal(wait_pipeline(db, &err), CV_RETRY);
    assert_int_equal(db_pipeline_failed(db), 1);
    assert_string_equal(err.sqlstate, "23505");
    assert_ok(db_exec(db, &st_one, NULL, TIMEOUT_MS, NULL, &err), &err);
    db_close(db);
}

static void test_pipeline_stale_statement_heals_at_the_next_use(void **state CV_UNUSED)
{
    struct db *db = open_db();
    static const struct db_statement statement = {"stale", "select * from v"};
    struct err err = ERR_INIT;
    run(db, "create temp view v as select 1::int4 as a");
    assert_ok(db_exec(db, &statement, NULL, TIMEOUT_MS, NULL, &err), &err);
    run(db, "drop view v; create temp view v as select 'x'::text as a");
    begin(db);
    put(db, &st_one, NULL);
    put(db, &statement, NULL);
    end(db);
    assert_int_equal(wait_pipeline(db, &err), CV_RETRY);
    assert_int_equal(db_pipeline_failed(db), 1);
    begin(db);
    put(db, &st_one, NULL);
    put(db, &statement, NULL);
    put(db, &statement, NULL);
    end(db);
    assert_ok(wait_pipeline(db, &err), &err);
    assert_int_equal(db_int4(db_pipeline_result(db, 0), 0, 0), 1);
    assert_true(str_eq(db_str(db_pipeline_result(db, 2), 0, 0), STR("x")));
    db_close(db);
}

static void test_pipeline_polling_never_blocks(void **state CV_UNUSED)
{
    struct db *db = open_db();
    static const struct db_statement nap = {"nap", "select pg_sleep(2)"};
    begin(db);
    put(db, &nap, NULL);
    end(db);
    struct err err = ERR_INIT;
    int64_t start = clock_mono_ms();
    for (int i = 0; i < 10; i++)
        assert_int_equal(db_pipeline_poll(db, &err), CV_RETRY);
    assert_true(db_pipeline_busy(db));
    assert_true(clock_mono_ms() - start < 1500);
    assert_ok(wait_pipeline(db, &err), &err);
    assert_true(clock_mono_ms() - start >= 1990);
    db_close(db);
}

/* Both sides send more than the sockets hold: a client that does not read while it writes would hang. */
static void test_pipeline_big_both_ways_does_not_deadlock(void **state CV_UNUSED)
{
    struct db *db = open_db();
    enum { SIZE = 2 << 20, COUNT = 16 };
    struct arena *arena = arena_new(1 << 20, (SIZE + 64) * COUNT);
    char *text = cv_alloc(SIZE);
    memset(text, 'x', SIZE);
    begin(db);
    for (int i = 0; i < COUNT; i++) {
        struct db_args args;
        db_args_init(&args, arena);
        db_arg_text(&args, (struct str){text, SIZE});
        put(db, &st_echo, &args);
    }
    end(db);
    struct err err = ERR_INIT;
    assert_ok(wait_pipeline(db, &err), &err);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(db_str(db_pipeline_result(db, i), 0, 0).len, SIZE);
    free(text);
    arena_free(arena);
    db_close(db);
}

/* libpq moves the rest of its buffer to the front after each write, and keeps the buffer: it gets a part at a time. */
static void test_pipeline_large_is_given_to_the_library_in_pieces(void **state CV_UNUSED)
{
    struct db *db = open_db();
    enum { SIZE = 1 << 20, COUNT = 256 };
    static const struct db_statement length = {"length", "select length($1::text)"};
    struct arena *arena = arena_new(1 << 20, 2 * SIZE);
    char *text = cv_alloc(SIZE);
    memset(text, 'x', SIZE);
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_text(&args, (struct str){text, SIZE});
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    begin(db);
    for (int i = 0; i < COUNT; i++)
        put(db, &length, &args);
    end(db);
    struct err err = ERR_INIT;
    assert_ok(wait_pipeline(db, &err), &err);
    getrusage(RUSAGE_SELF, &after);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(db_int4(db_pipeline_result(db, i), 0, 0), SIZE);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024); /* KiB */
    free(text);
    arena_free(arena);
    db_close(db);
}

/* After a refusal, statements that were not sent yet are dropped. */
static void test_pipeline_large_refused_at_once_is_not_sent_to_its_end(void **state CV_UNUSED)
{
    struct db *db = open_db();
    enum { SIZE = 1 << 20, COUNT = 64 };
    struct arena *arena = arena_new(1 << 20, 2 * SIZE);
    char *text = cv_alloc(SIZE);
    memset(text, 'x', SIZE);
    struct db_args divide, args;
    db_args_init(&divide, arena);
    db_arg_int4(&divide, 0);
    db_args_init(&args, arena);
    db_arg_text(&args, (struct str){text, SIZE});
    for (int round = 0; round < 2; round++) {
        begin(db);
        put(db, &st_begin, NULL);
        put(db, &st_divide, &divide);
        for (int i = 0; i < COUNT; i++)
            put(db, &st_echo, &args);
        put(db, &st_commit, NULL);
        end(db);
        struct err err = ERR_INIT;
        assert_int_equal(wait_pipeline(db, &err), CV_RETRY);
        assert_string_equal(err.sqlstate, "22012");
        assert_int_equal(db_pipeline_failed(db), 1);
        run(db, "rollback");
    }
    begin(db);
    put(db, &st_one, NULL);
    put(db, &st_echo, &args);
    end(db);
    struct err err = ERR_INIT;
    assert_ok(wait_pipeline(db, &err), &err);
    assert_int_equal(db_str(db_pipeline_result(db, 1), 0, 0).len, SIZE);
    free(text);
    arena_free(arena);
    db_close(db);
}

static void test_pipeline_terminated_backend_is_a_lost_connection(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct db *killer = open_db();
    static const struct db_statement sleepy = {"sleepy", "select pg_sleep(60)"};
    begin(db);
    put(db, &sleepy, NULL);
    end(db);
    char sql[64];
    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d)", db_backend_pid(db));
    run(killer, sql);
    struct err err = ERR_INIT;
    assert_int_equal(wait_pipeline(db, &err), CV_RETRY);
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(db_pipeline_failed(db), -1);
    assert_true(db_is_lost(db));
    assert_int_equal(db_pipeline_begin(db, &err), CV_RETRY);
    db_close(db);
    db_close(killer);
}

int main(void)
{
    if (!test_database("test_db_pipeline"))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipeline_results_keep_their_numbers),
        cmocka_unit_test(test_pipeline_refused_statement_rolls_back_and_names_its_index),
        cmocka_unit_test(test_pipeline_refused_at_the_sync_is_laid_to_the_last_statement),
        cmocka_unit_test(test_pipeline_stale_statement_heals_at_the_next_use),
        cmocka_unit_test(test_pipeline_polling_never_blocks),
        cmocka_unit_test(test_pipeline_big_both_ways_does_not_deadlock),
        cmocka_unit_test(test_pipeline_large_is_given_to_the_library_in_pieces),
        cmocka_unit_test(test_pipeline_large_refused_at_once_is_not_sent_to_its_end),
        cmocka_unit_test(test_pipeline_terminated_backend_is_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
