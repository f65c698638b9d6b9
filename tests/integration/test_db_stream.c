/* Streams of db against a real PostgreSQL. */
#include "caseview/clock.h"
#include "caseview/db.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/database.h"

static const struct db_statement st_tenth = {"tenth", "select 10 / $1"};
static const struct db_statement st_length = {"length", "select length($1)"};
static const struct db_statement st_view = {"view", "select * from v where $1 >= 0"};

/* Receives one answer or failure. */
static enum cv_status receive(struct db *db, struct db_result **out_result, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + TIMEOUT_MS;
    for (;;) {
        enum cv_status status = db_stream_receive(db, out_result, err);
        if (status != CV_OK || *out_result)
            return status;
        assert_true(clock_mono_ms() < deadline_ms);
        struct pollfd fd = {.fd = db_socket(db), .events = (short)(POLLIN | (db_wants_write(db) ? POLLOUT : 0))};
        poll(&fd, 1, 1000);
    }
}

static void send_number(struct db *db, const struct db_statement *statement, int32_t number)
{
    struct arena *arena = arena_new(256, 4096);
    struct db_args args;
    struct err err = ERR_INIT;
    db_args_init(&args, arena);
    db_arg_int4(&args, number);
    assert_ok(db_stream_send(db, statement, &args, &err), &err);
    arena_free(arena); /* the stream does not refer to it any more */
}

static void expect_number(struct db *db, int32_t number)
{
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_ok(receive(db, &result, &err), &err);
    assert_int_equal(db_rows(result), 1);
    assert_int_equal(db_int4(result, 0, 0), number);
    db_result_free(result);
}

static void expect_refusal(struct db *db, const char *sqlstate)
{
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_int_equal(receive(db, &result, &err), CV_RETRY);
    assert_null(result);
    assert_string_equal(err.sqlstate, sqlstate);
    assert_false(db_is_lost(db));
}

static void expect_nothing(struct db *db)
{
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_ok(db_stream_receive(db, &result, &err), &err);
    assert_null(result);
}

static void test_answers_come_in_the_order_of_sending(void **state CV_UNUSED)
{
    struct db *db = open_db();
    for (int round = 0; round < 200; round++) { /* never empty: the list of what was sent must not grow */
        send_number(db, &st_tenth, 1 + round % 10);
        if (round > 0)
            expect_number(db, 10 / (1 + (round - 1) % 10));
    }
    expect_number(db, 1);
    expect_nothing(db);
    db_close(db);
}

static void test_a_refusal_is_of_one_call_only(void **state CV_UNUSED)
{
    struct db *db = open_db();
    for (int round = 0; round < 3; round++) {
        send_number(db, &st_tenth, 5);
        send_number(db, &st_tenth, 0);
        send_number(db, &st_tenth, 2);
        expect_number(db, 2);
        expect_refusal(db, "22012");
        expect_number(db, 5);
    }
    db_close(db);
}

static void send_commented(struct db *db, const struct db_statement *statement, int32_t number, const char *comment)
{
    struct arena *arena = arena_new(256, 4096);
    char copy[200];
    struct db_args args;
    struct err err = ERR_INIT;
    db_args_init(&args, arena);
    db_arg_int4(&args, number);
    snprintf(copy, sizeof copy, "%s", comment);
    args.comment = copy;
    assert_ok(db_stream_send(db, statement, &args, &err), &err);
    arena_free(arena); /* nor to the comment */
}

static void expect_text(struct db *db, const char *text)
{
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_ok(receive(db, &result, &err), &err);
    assert_true(str_eq(db_str(result, 0, 0), str_of(text)));
    db_result_free(result);
}

/* The call is the whole text with its comment; calls without one still use the prepared statement. */
static void test_a_comment_is_of_one_call_only(void **state CV_UNUSED)
{
    static const struct db_statement st_query = {"query", "select current_query() where 1 / $1 = 1"};
    static const struct db_statement st_prepared = {"prepared", "select count(*)::int4 from pg_prepared_statements "
                                                                "where name = 'query' and $1 = 1"};
    struct db *db = open_db();
    send_commented(db, &st_query, 1, "/*first*/");
    send_number(db, &st_prepared, 1);
    send_number(db, &st_query, 1);
    send_commented(db, &st_query, 0, "/*refused*/");
    send_commented(db, &st_query, 1, "/*second*/");
    send_number(db, &st_query, 1);
    send_number(db, &st_prepared, 1);
    expect_text(db, "select current_query() where 1 / $1 = 1/*first*/");
    expect_number(db, 0);
    expect_text(db, "select current_query() where 1 / $1 = 1");
    expect_refusal(db, "22012");
    expect_text(db, "select current_query() where 1 / $1 = 1/*second*/");
    expect_text(db, "select current_query() where 1 / $1 = 1");
    expect_number(db, 1);
    db_close(db);
}

static void test_a_missing_view_is_found_once_it_is_there(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct db *other = open_db();
    run(other, "drop view if exists v");
    for (int i = 0; i < 3; i++)
        send_number(db, &st_view, i);
    expect_refusal(db, "42P01"); /* its Parse; the later calls had none */
    send_number(db, &st_view, 3);
    expect_refusal(db, "26000");
    send_number(db, &st_view, 4);
    expect_refusal(db, "26000");
    expect_refusal(db, "42P01");
    expect_refusal(db, "26000");
    run(other, "create view v as select 7::int4 as a");
    for (int i = 0; i < 3; i++)
        send_number(db, &st_view, i);
    for (int i = 0; i < 3; i++)
        expect_number(db, 7);
    run(other, "drop view v");
    db_close(other);
    db_close(db);
}

static void test_a_changed_view_is_refused_until_it_is_sent_again(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct db *other = open_db();
    run(other, "drop view if exists v; create view v as select 7::int4 as a");
    send_number(db, &st_view, 1);
    expect_number(db, 7);
    run(other, "drop view v; create view v as select 8::int4 as a, 'more'::text as b");
    send_number(db, &st_view, 1);
    send_number(db, &st_view, 1);
    expect_refusal(db, "0A000");
    send_number(db, &st_view, 1); /* deallocates the old one, and so does the next call */
    send_number(db, &st_view, 1);
    expect_refusal(db, "0A000");
    expect_number(db, 8);
    send_number(db, &st_view, 1);
    expect_number(db, 8);
    expect_number(db, 8);
    run(other, "drop view v");
    db_close(other);
    db_close(db);
}

static void test_a_name_that_is_taken_is_free_for_the_next_send(void **state CV_UNUSED)
{
    struct db *db = open_db();
    run(db, "prepare tenth as select 'not ours'");
    send_number(db, &st_tenth, 2);
    send_number(db, &st_tenth, 2); /* runs the prepared statement with one parameter too many */
    expect_refusal(db, "42P05");
    expect_refusal(db, "08P01");
    send_number(db, &st_tenth, 2);
    expect_number(db, 5);
    db_close(db);
}

static void test_what_the_socket_does_not_take_is_sent_by_receive(void **state CV_UNUSED)
{
    enum { LENGTH = 4 << 20, CALLS = 3 };
    struct db *db = open_db();
    struct arena *arena = arena_new(LENGTH + 4096, (CALLS + 1) * (LENGTH + 8192));
    char *text = cv_alloc(LENGTH);
    memset(text, 'x', LENGTH);
    bool waited = false;
    for (int i = 0; i < CALLS; i++) {
        struct db_args args;
        struct err err = ERR_INIT;
        db_args_init(&args, arena);
        db_arg_text(&args, (struct str){text, (size_t)(LENGTH - i)});
        assert_ok(db_stream_send(db, &st_length, &args, &err), &err);
        waited |= db_wants_write(db);
    }
    assert_true(waited);
    for (int i = 0; i < CALLS; i++)
        expect_number(db, LENGTH - i);
    assert_false(db_wants_write(db));
    free(text);
    arena_free(arena);
    db_close(db);
}

static void test_arguments_that_do_not_fit_send_nothing(void **state CV_UNUSED)
{
    struct db *db = open_db();
    struct db_args args = {.failed = true};
    struct err err = ERR_INIT;
    assert_int_equal(db_stream_send(db, &st_tenth, &args, &err), CV_FATAL);
    send_number(db, &st_tenth, 5);
    expect_number(db, 2);
    expect_nothing(db);
    db_close(db);
}

static void end_backend(int pid)
{
    struct db *killer = open_db();
    char sql[64];
    snprintf(sql, sizeof sql, "select pg_terminate_backend(%d)", pid);
    run(killer, sql);
    db_close(killer);
}

static void expect_lost(struct db *db)
{
    int64_t deadline_ms = clock_mono_ms() + TIMEOUT_MS;
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    while (db_stream_receive(db, &result, &err) == CV_OK) {
        assert_null(result);
        assert_true(clock_mono_ms() < deadline_ms);
        struct pollfd fd = {.fd = db_socket(db), .events = POLLIN};
        poll(&fd, 1, 1000);
    }
    assert_string_equal(err.sqlstate, "");
    assert_true(db_is_lost(db));
    assert_int_equal(db_stream_receive(db, &result, &err), CV_RETRY);
}

static void test_a_backend_that_ends_is_a_lost_connection(void **state CV_UNUSED)
{
    static const struct db_statement sleepy = {"sleepy", "select $1, pg_sleep(60)"};
    struct db *asked = open_db();
    struct db *idle = open_db();
    struct db *fresh = open_db();
    expect_nothing(fresh);
    send_number(asked, &sleepy, 1);
    send_number(asked, &st_tenth, 1);
    send_number(idle, &st_tenth, 1);
    expect_number(idle, 10);
    end_backend(db_backend_pid(asked));
    end_backend(db_backend_pid(idle));
    end_backend(db_backend_pid(fresh));
    expect_lost(asked);
    expect_lost(idle); /* while nothing was in flight */
    expect_lost(fresh);
    db_close(fresh);
    db_close(asked);
    db_close(idle);
}

struct shared {
    struct db *db;
    pthread_mutex_t mutex;
    int sent;
    const char *failed;
};

enum { TWO_THREADS_CALLS = 2000, TWO_THREADS_DEPTH = 8 };

static void *receive_all(void *context)
{
    struct shared *shared = context;
    int received = 0;
    while (received < TWO_THREADS_CALLS) {
        struct err err = ERR_INIT;
        struct db_result *result = NULL;
        pthread_mutex_lock(&shared->mutex);
        enum cv_status status = db_stream_receive(shared->db, &result, &err);
        if (result != NULL)
            shared->sent--;
        pthread_mutex_unlock(&shared->mutex);
        if (status != CV_OK) {
            shared->failed = "refused or lost";
            return NULL;
        }
        if (result == NULL) {
            struct pollfd fd = {.fd = db_socket(shared->db), .events = POLLIN};
            poll(&fd, 1, 1000);
            continue;
        }
        if (db_int4(result, 0, 0) != 10 / (1 + received++ % 10))
            shared->failed = "an answer out of order";
        db_result_free(result);
    }
    return NULL;
}

static void test_one_thread_sends_another_receives(void **state CV_UNUSED)
{
    struct shared shared = {.db = open_db()};
    pthread_mutex_init(&shared.mutex, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, receive_all, &shared), 0);
    for (int i = 0; i < TWO_THREADS_CALLS;) {
        pthread_mutex_lock(&shared.mutex);
        if (shared.sent < TWO_THREADS_DEPTH) {
            send_number(shared.db, &st_tenth, 1 + i++ % 10);
            shared.sent++;
        }
        pthread_mutex_unlock(&shared.mutex);
    }
    pthread_join(thread, NULL);
    assert_null(shared.failed);
    pthread_mutex_destroy(&shared.mutex);
    db_close(shared.db);
}

int main(void)
{
    if (!test_database("test_db_stream"))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_come_in_the_order_of_sending),
        cmocka_unit_test(test_a_refusal_is_of_one_call_only),
        cmocka_unit_test(test_a_comment_is_of_one_call_only),
        cmocka_unit_test(test_a_missing_view_is_found_once_it_is_there),
        cmocka_unit_test(test_a_changed_view_is_refused_until_it_is_sent_again),
        cmocka_unit_test(test_a_name_that_is_taken_is_free_for_the_next_send),
        cmocka_unit_test(test_what_the_socket_does_not_take_is_sent_by_receive),
        cmocka_unit_test(test_arguments_that_do_not_fit_send_nothing),
        cmocka_unit_test(test_a_backend_that_ends_is_a_lost_connection),
        cmocka_unit_test(test_one_thread_sends_another_receives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
