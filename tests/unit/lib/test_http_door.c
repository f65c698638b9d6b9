/* Connections without a request: how long they are kept, their cost, and the behaviour at the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/http_door.h"
#include "tests/support/http_client.h"

struct fixture {
    struct http_server *server;
};

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    (void)context;
    response->status = 200;
    response->content_type = "text/plain";
    buf_printf(&response->body, "%s %.*s", request->method, (int)request->path.len, request->path.ptr);
}

/* The initial state, if any, is the maximum number of connections. */
static int start(void **state)
{
    struct fixture *fixture = cv_zalloc(sizeof *fixture);
    static const char *const listen[] = {"127.0.0.1:0"};
    struct http_options options = {.listen = listen,
                                   .listen_count = 1,
                                   .threads = 10,
                                   .connections_max = *state != NULL ? *(const int *)*state : 0,
                                   .keep_alive_s = 3,
                                   .max_answer = 4096,
                                   .handler = handle};
    struct err err = ERR_INIT;
    assert_int_equal(http_start(&options, &fixture->server, &err), CV_OK);
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    http_stop(fixture->server);
    free(fixture);
    return 0;
}

static char *exchange(struct http_server *server, const char *bytes, size_t len)
{
    int fd = dial(server);
    assert_true(fd >= 0);
    say(fd, bytes, len);
    return hear(fd, NULL);
}

static int connections(const struct fixture *fixture)
{
    struct http_stats stats;
    http_stats(fixture->server, &stats);
    return stats.connections;
}

static void wait_connections(const struct fixture *fixture, int wanted)
{
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    while (connections(fixture) != wanted && clock_mono_ms() < deadline)
        usleep(1000);
    assert_int_equal(connections(fixture), wanted);
}

/* Reads one answer of an open connection; its header says that the connection is kept. */
static void hear_kept(int fd, const char *part)
{
    char text[4096] = "";
    size_t len = 0;
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    while (strstr(text, part) == NULL && clock_mono_ms() < deadline) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&ready, 1, 100) == 1 ? recv(fd, text + len, sizeof text - 1 - len, 0) : 0;
        len += n > 0 ? (size_t)n : 0;
        text[len] = '\0';
    }
    assert_non_null(strstr(text, part));
    assert_non_null(strstr(text, "Keep-Alive: timeout=3\r\n"));
    assert_null(strstr(text, "Connection: close"));
}

/* Three times as many of each kind as there are threads: silent, in the middle of a header, idle after an answer. */
static void test_connections_without_a_request_hold_no_thread(void **state)
{
    struct fixture *fixture = *state;
    enum { EACH = 30 };
    int fds[3 * EACH];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial(fixture->server);
        assert_true(fds[i] >= 0);
        if (i % 3 == 1)
            say(fds[i], "GET /a HTTP/1.1\r\nHost: x\r\n", 26);
        if (i % 3 == 2) {
            say(fds[i], "GET /idle HTTP/1.1\r\nHost: x\r\n\r\n", 31);
            hear_kept(fds[i], "GET /idle");
        }
    }
    int64_t begin = clock_mono_ms();
    char *heard = exchange(fixture->server, "GET /b HTTP/1.0\r\n\r\n", 19);
    assert_non_null(strstr(heard, "GET /b"));
    assert_true(clock_mono_ms() - begin < 4000);
    free(heard);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* all of them can still be used */
        if (i % 3 == 0)
            say(fds[i], "GET /c HTTP/1.1\r\nHost: x\r\n\r\n", 28);
        else if (i % 3 == 1)
            say(fds[i], "\r\n", 2);
        else
            say(fds[i], "GET /d HTTP/1.1\r\nHost: x\r\n\r\n", 28);
        hear_kept(fds[i], i % 3 == 0 ? "GET /c" : i % 3 == 1 ? "GET /a" : "GET /d");
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    wait_connections(fixture, 0);
}

static void test_an_idle_connection_is_kept_as_long_as_was_said(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture->server);
    for (int i = 0; i < 2; i++) {
        say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 28);
        hear_kept(fd, "GET /a");
        usleep(2800 * 1000); /* within the three seconds that were announced */
    }
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 28);
    hear_kept(fd, "GET /a");
    int64_t begin = clock_mono_ms();
    free(hear(fd, NULL));
    assert_in_range(clock_mono_ms() - begin, 3000, 8000);
    wait_connections(fixture, 0);
}

/*
 * The header of a second request that comes in two parts, with a pause longer than a thread waits for an idle client.
 */
static void test_a_later_request_may_come_in_parts(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture->server);
    say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 28);
    hear_kept(fd, "GET /a");
    say(fd, "GET /b HTTP/1.1\r\n", 17);
    usleep(400 * 1000);
    say(fd, "Host: x\r\nConnection: close\r\n\r\n", 30);
    char *heard = hear(fd, NULL);
    assert_non_null(strstr(heard, "GET /b"));
    free(heard);
}

static void test_a_connection_that_never_asks_is_closed(void **state)
{
    struct fixture *fixture = *state;
    int silent = dial(fixture->server), slow = dial(fixture->server);
    say(slow, "GET / HT", 8);
    int64_t begin = clock_mono_ms();
    free(hear(silent, NULL));
    free(hear(slow, NULL));
    assert_in_range(clock_mono_ms() - begin, 3000, 10000);
    wait_connections(fixture, 0);
}

/* At the limit the oldest silent connection is closed for a new one, so requests are always served. */
static void test_silent_connections_displace_each_other(void **state)
{
    struct fixture *fixture = *state;
    int fds[200];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = dial(fixture->server);
    char *heard = exchange(fixture->server, "GET /b HTTP/1.0\r\n\r\n", 19);
    assert_non_null(strstr(heard, "GET /b"));
    free(heard);
    struct http_stats stats;
    http_stats(fixture->server, &stats);
    assert_in_range(stats.shed, 150, 200); /* 100 connections, half of them from one address */
    assert_in_range(stats.connections, 1, 50);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    wait_connections(fixture, 0);
}

static atomic_bool released;

static void hold(void *context, const struct http_request *request, struct http_response *response)
{
    while (!atomic_load(&released))
        usleep(10 * 1000);
    handle(context, request, response);
}

static void refuse(void *context, const struct http_request *request, struct http_response *response)
{
    (void)context;
    const char *id = http_header(request, "x-request-id", 0);
    response->status = request->refusal_status;
    buf_printf(&response->body, "refused %s", id != NULL ? id : "without id");
}

/* Both threads are held for longer than a request waits for one. */
static void test_a_request_that_no_thread_takes_is_503(void **state)
{
    (void)state;
    static const char *const listen[] = {"127.0.0.1:0"};
    struct http_options options = {
        .listen = listen, .listen_count = 1, .threads = 2, .max_answer = 4096, .handler = hold, .refused = refuse};
    struct fixture fixture = {.server = NULL};
    struct err err = ERR_INIT;
    int fds[4];
    assert_int_equal(http_start(&options, &fixture.server, &err), CV_OK);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial(fixture.server);
        const char *text = i == 3 ? "HEAD /d HTTP/1.1\r\n\r\n" : "GET /c HTTP/1.0\r\nX-Request-Id:  mine\r\n\r\n";
        say(fds[i], text, strlen(text));
        if (i == 1) { /* the others come when no thread is free */
            struct http_stats stats = {.active = 0};
            for (int64_t deadline = clock_mono_ms() + PATIENCE_MS; stats.active < 2 && clock_mono_ms() < deadline;)
                http_stats(fixture.server, &stats);
            assert_int_equal(stats.active, 2);
        }
    }
    char *get = hear(fds[2], NULL), *head = hear(fds[3], NULL);
    assert_non_null(strstr(get, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_non_null(strstr(get, "\r\nConnection: close\r\n\r\nrefused mine"));
    assert_non_null(strstr(head, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_null(strstr(head, "refused"));
    free(get);
    free(head);
    struct http_stats stats;
    http_stats(fixture.server, &stats);
    assert_int_equal(stats.unserved, 2);
    assert_int_equal(stats.shed, 0);
    atomic_store(&released, true);
    for (size_t i = 0; i < 2; i++) {
        char *heard = hear(fds[i], NULL);
        assert_non_null(strstr(heard, "GET /c"));
        free(heard);
    }
    http_stop(fixture.server);
}

struct handed_over {
    int fds[3];
    atomic_size_t count;
};

static void note(void *context, const struct http_kept *kept)
{
    struct handed_over *handed_over = context;
    size_t count = atomic_load(&handed_over->count);
    assert_true(count < ARRAY_LEN(handed_over->fds));
    handed_over->fds[count] = kept->fd;
    atomic_store(&handed_over->count, count + 1);
}

/* Three connections come back from their threads, each with a further request, before the acceptor sees the first. */
static void test_kept_connections_get_threads_in_their_order(void **state)
{
    (void)state;
    static const char *const listen[] = {"127.0.0.1:0"};
    struct handed_over handed_over = {.count = 0};
    const struct http_door_options options = {.listen = listen,
                                              .listen_count = 1,
                                              .threads = 3,
                                              .connections_max = 10,
                                              .keep_alive_s = 3,
                                              .hand_over = note,
                                              .context = &handed_over};
    struct http_door *door = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(http_door_open(&options, &door, &err), CV_OK);
    int pairs[3][2];
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
        say(pairs[i][1], "GET /a HTTP/1.1\r\n\r\n", 19);
        http_door_keep(door, &(struct http_kept){.fd = pairs[i][0]});
    }
    http_door_start(door);
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    while (atomic_load(&handed_over.count) < 3 && clock_mono_ms() < deadline)
        usleep(1000);
    http_door_end(door);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        assert_int_equal(handed_over.fds[i], pairs[i][0]);
        http_door_ended(door, pairs[i][0]);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    http_door_free(door);
}

static void test_listens_on_ipv6(void **state)
{
    (void)state;
    struct fixture fixture = {.server = NULL};
    static const char *const listen[] = {"[::1]:0", "[::]:0", "127.0.0.1:0"};
    struct http_options options = {
        .listen = listen, .listen_count = 3, .threads = 2, .max_answer = 4096, .handler = handle, .context = &fixture};
    struct err err = ERR_INIT;
    assert_int_equal(http_start(&options, &fixture.server, &err), CV_OK);
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    for (size_t i = 0; i < 2; i++) {
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        to.sin6_port = htons((uint16_t)http_port(fixture.server, i));
        union {
            struct sockaddr_in6 in;
            struct sockaddr any;
        } address = {.in = to};
        assert_int_equal(connect(fd, &address.any, sizeof to), 0);
        say(fd, "GET http://[::1]/six HTTP/1.0\r\n\r\n", 34);
        char *heard = hear(fd, NULL);
        assert_non_null(strstr(heard, "GET /six"));
        free(heard);
    }
    http_stop(fixture.server);
}

static void test_more_threads_than_open_files_are_refused(void **state)
{
    (void)state;
    static const char *const listen[] = {"127.0.0.1:0"};
    struct http_options options = {
        .listen = listen, .listen_count = 1, .threads = 5000000, .max_answer = 1, .handler = handle};
    struct http_server *server = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(http_start(&options, &server, &err), CV_FATAL);
    assert_non_null(strstr(err.text, "5000000 threads need a limit of at least 5000096 open files"));
}

int main(void)
{
    static int hundred = 100;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connections_without_a_request_hold_no_thread, start, stop),
        cmocka_unit_test_setup_teardown(test_an_idle_connection_is_kept_as_long_as_was_said, start, stop),
        cmocka_unit_test_setup_teardown(test_a_later_request_may_come_in_parts, start, stop),
        cmocka_unit_test_setup_teardown(test_a_connection_that_never_asks_is_closed, start, stop),
        cmocka_unit_test_prestate_setup_teardown(test_silent_connections_displace_each_other, start, stop, &hundred),
        cmocka_unit_test(test_a_request_that_no_thread_takes_is_503),
        cmocka_unit_test(test_kept_connections_get_threads_in_their_order),
        cmocka_unit_test(test_listens_on_ipv6),
        cmocka_unit_test(test_more_threads_than_open_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
