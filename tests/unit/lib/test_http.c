/* The server over real sockets: accepted and refused requests, and answers byte for byte. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/http_client.h"

struct fixture {
    struct http_server *server;
    atomic_int handled;
    atomic_int slow_entered;
    atomic_bool let_go;
};

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    struct fixture *fixture = context;
    atomic_fetch_add(&fixture->handled, 1);
    if (str_eq(request->path, STR("/slow"))) {
        atomic_store(&fixture->slow_entered, 1);
        while (!atomic_load(&fixture->let_go))
            usleep(1000);
    }
    response->status = str_eq(request->path, STR("/none")) ? 204 : 200;
    response->content_type = "text/plain";
    const char *echo = http_header(request, "x-echo", 1);
    buf_printf(&response->headers, "X-Seen: %s\r\n", echo ? echo : "-");
    if (str_eq(request->path, STR("/big")))
        for (int i = 0; i < 100000; i++)
            buf_str(&response->body, STR("0123456789"));
    else if (!str_eq(request->path, STR("/bug")))
        buf_printf(&response->body, "%s %.*s", request->method, (int)request->path.len, request->path.ptr);
    else
        response->status = 0;
}

static void refused(void *context, const struct http_request *request, struct http_response *response)
{
    (void)context;
    response->status = request->refusal_status;
    buf_printf(&response->body, "refused: %s", request->refusal);
}

static int start(void **state)
{
    struct fixture *fixture = cv_zalloc(sizeof *fixture);
    static const char *const listen[] = {"127.0.0.1:0"};
    struct http_options options = {.listen = listen,
                                   .listen_count = 1,
                                   .threads = 10,
                                   .max_answer = 4 << 20,
                                   .handler = handle,
                                   .refused = refused,
                                   .context = fixture};
    struct err err = ERR_INIT;
    assert_int_equal(http_start(&options, &fixture->server, &err), CV_OK);
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    atomic_store(&fixture->let_go, true);
    http_stop(fixture->server);
    free(fixture);
    return 0;
}

static char *exchange(struct fixture *fixture, const char *bytes, size_t len)
{
    int fd = dial(fixture->server);
    assert_true(fd >= 0);
    say(fd, bytes, len);
    return hear(fd, NULL);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

/* For each request: the number of answers, the status of the first one and a part of its text. */
static const struct {
    const char *name;
    const char *bytes;
    int answers;
    const char *status;
    const char *part;
} cases[] = {
    {"plain", "GET /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200 OK", "GET /a"},
    {"tab before a value", "GET / HTTP/1.1\r\nHost:\tx\r\nConnection:\tclose\r\nX-Echo:1\r\nX-Echo:\t 7\r\n\r\n", 1,
     "200", "X-Seen: 7\r\n"},
    {"tab in a value", "GET / HTTP/1.0\r\nX-Echo: 1\r\nX-Echo: a\tb\r\n\r\n", 1, "200", "X-Seen: a\tb\r\n"},
    {"tabs around list items", "GET / HTTP/1.1\r\nHost: x\r\nConnection: te\t,\tclose\t\r\n\r\n", 1, "200", "GET /"},
    {"tab in a name", "GET / HTTP/1.1\r\nHost: x\r\nX\t: 1\r\n\r\n", 1, "400", "refused"},
    {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 1, "400", "refused"},
    {"tab that folds", "GET / HTTP/1.1\r\nHost: x\r\nX-Echo: 1\r\n\tfolded\r\n\r\n", 1, "400", "refused"},
    {"tab in an unknown method's fields",
     "BREW / HTTP/1.1\r\nHost:\tx\r\nConnection: close\r\nX-Echo: 1\r\nX-Echo:\t7\r\n\r\n", 1, "200", "X-Seen: 7\r\n"},
    {"HTTP/1.0 without Host", "GET /a HTTP/1.0\r\n\r\n", 1, "200", "GET /a"},
    {"path as sent", "GET //a/../%61%2F/./ HTTP/1.0\r\n\r\n", 1, "200", "GET //a/../%61%2F/./"},
    {"second of two fields", "GET / HTTP/1.0\r\nX-Echo: 1\r\nx-eCHO: 2\r\n\r\n", 1, "200", "X-Seen: 2"},
    {"HEAD", "HEAD /a HTTP/1.0\r\n\r\n", 1, "200", "Content-Length: 7\r\n"},
    {"no body with 204", "GET /none HTTP/1.0\r\n\r\n", 1, "204", "\r\n\r\n"},
    {"handler without an answer", "GET /bug HTTP/1.0\r\n\r\n", 1, "500", "Content-Length: 0"},
    {"absolute form", "GET http://127.0.0.1/a?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200", "GET /a"},
    {"absolute form, another port", "GET http://x:1/a?x:/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200",
     "GET /a\0"},
    {"absolute form, colon in the query", "GET http://x/a?t=1:2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1,
     "200", "GET /a"},
    {"absolute form without path", "GET http://x?/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200",
     "GET /"},
    {"absolute form, https", "GET hTTps://x/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200", "GET /a"},
    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200", "OPTIONS *"},
    {"another scheme", "GET ftp://x/a HTTP/1.1\r\nHost: x\r\n\r\n", 1, "400", "refused"},
    {"unknown method", "BREW /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Echo: 1\r\nX-Echo: 7\r\n\r\n", 1, "200",
     "X-Seen: 7"},
    {"unknown method's text", "get /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1, "200", "get /a"},
    {"unknown method without Host", "TRACE /a HTTP/1.1\r\n\r\n", 1, "400", "Host"},
    {"unknown method, folded", "BREW /a HTTP/1.1\r\nHost: x\r\n y: z\r\n\r\n", 1, "400", "refused"},
    {"unknown method, HTTP/1.0", "BREW /a HTTP/1.0\r\n\r\n", 1, "200", "BREW /a"},
    {"no Host", "GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", 1, "400", "Host"},
    {"two Hosts", "GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 1, "400", "Host"},
    {"HTTP/2.0", "GET /a HTTP/2.0\r\nHost: x\r\n\r\n", 1, "505", ""},
    {"rubbish", "\x16\x03\x01\x02\r\n\r\n", 1, "400", ""},
    {"bare LF", "GET /a HTTP/1.1\nHost: x\n\n", 1, "400", "CRLF"},
    {"bare LF in a field", "GET /a HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 1, "400", "CRLF"},
    {"bare LF in the last field", "GET /a HTTP/1.1\r\nHost: x\n\r\nX: y\r\n\r\n", 1, "400", "CRLF"},
    {"bare LF at the end", "GET /a HTTP/1.1\r\nHost: x\r\n\n", 1, "400", "CRLF"},
    {"folded line", "GET /a HTTP/1.1\r\nHost: x\r\n folded\r\nContent-Length: 9\r\n\r\nGET /b HT", 1, "400", "folded"},
    {"space before the first field", "GET /a HTTP/1.1\r\n Host: x\r\n\r\n", 1, "400", "space"},
    {"empty field name", "GET /a HTTP/1.1\r\nHost: x\r\n: y\r\nContent-Length: 9\r\n\r\n", 1, "400", "refused"},
    {"space before colon", "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length : 9\r\n\r\n", 1, "400", "colon"},
    {"field name no token", "GET /a HTTP/1.1\r\nHost: x\r\nA(b): 9\r\n\r\n", 1, "400", "token"},
    {"two spaces", "GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", 1, "400", "space"},
    {"length twice", "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 1, "400",
     "Length"},
    {"length list", "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n12345", 1, "400", "Length"},
    {"length signed", "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n12345", 1, "400", "Length"},
    {"length in hex", "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n12345", 1, "400", "Length"},
    {"length too long", "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\n", 1, "400", ""},
    {"length and coding",
     "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1, "400",
     "both"},
    {"coding and length",
     "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 1, "400",
     "both"},
    {"coding identity", "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", 1, "400", "chunked"},
    {"coding twice",
     "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1,
     "400", "chunked"},
    {"coding in HTTP/1.0", "GET /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1, "400", "1.0"},
    {"chunked body", "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1,
     "200", "Connection: close"},
    {"chunked body with trailer",
     "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 1,
     "200", "GET /a"},
    {"chunked body, broken",
     "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nGET /b HTTP/1.0\r\n\r\n", 1, "400",
     "body"},
    {"body, then a second request",
     "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /no HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2,
     "200", "GET /b"},
    {"pipelined", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 2, "200",
     "GET /b"},
    {"empty line before", "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", 1, "200", "Connection: close"},
    {"empty lines before a body",
     "\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\n\r\nGET /b HTTP/1.0\r\n\r\nGET /c HTTP/1.0\r\n\r\n",
     1, "400", "White space"},
    {"HTTP/1.0 keep-alive", "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2, "200",
     "Connection: keep-alive"},
    {"unknown method, then a second request",
     "FOO /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.0\r\n\r\n", 2, "200", "GET /b"},
    {"WebDAV, then a second request", "PROPFIND /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2, "200",
     "GET /b"},
    {"method no token", "B(REW /a HTTP/1.1\r\nHost: x\r\n\r\n", 1, "400", "method"},
    {"asterisk, then a second request", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2, "200",
     "GET /b"},
    {"another port, then a second request", "GET http://x:1/a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2,
     "200", "GET /b"},
    {"another connection option, then a second request",
     "GET /a HTTP/1.1\r\nHost: x\r\nConnection: te\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2, "200", "GET /b"},
    {"upgrade to h2c, then a second request",
     "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
     2, "200", "GET /b"},
    {"upgrade to WebSocket, then a second request",
     "GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2, "200",
     "GET /b"},
    {"white space after a length",
     "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2 \t\r\n\r\nhiGET /b HTTP/1.0\r\n\r\n", 2, "200", "GET /b"},
    {"white space after a coding",
     "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\t \r\n\r\n2\r\nhi\r\n0\r\n\r\n", 1, "200", "POST /a"},
    {"another coding that begins alike", "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
     1, "400", "chunked"},
    {"white space after a connection option",
     "GET /a HTTP/1.0\r\nConnection: Keep-Alive\t\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 2, "200", "GET /b"},
    {"white space after values", "GET /a HTTP/1.0\r\nX-Echo: 1\t\r\nX-Echo: 2 3 \t\r\nX-Empty: \t\r\n\r\n", 1, "200",
     "X-Seen: 2 3\r\n"},
    {"white space before a bare LF", "GET /a HTTP/1.1\r\nHost: x\r\nA: b \nC: d\r\n\r\n", 1, "400", "CRLF"},
    {"close wins", "GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\nGET /b HTTP/1.0\r\n\r\n", 1,
     "200", "Connection: close"},
};

static void test_exchange(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *heard = exchange(*state, cases[i].bytes, strlen(cases[i].bytes));
        char want[64];
        snprintf(want, sizeof want, "HTTP/1.1 %s", cases[i].status);
        if (count(heard, "\r\nDate: ") != cases[i].answers || strncmp(heard, want, strlen(want)) != 0 ||
            !strstr(heard, cases[i].part))
            fail_msg("%s: wanted %d answers, %s, \"%s\"; got:\n%s", cases[i].name, cases[i].answers, cases[i].status,
                     cases[i].part, heard);
        free(heard);
    }
}

static void test_head_has_length_but_no_body(void **state)
{
    char *heard = exchange(*state, "HEAD /a HTTP/1.0\r\n\r\n", 20);
    assert_non_null(strstr(heard, "Content-Length: 7\r\n"));
    assert_string_equal(strstr(heard, "\r\n\r\n"), "\r\n\r\n");
    free(heard);
}

/* n fields next to Host and Connection. */
static char *with_fields(struct fixture *fixture, int n, const char *last)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (int i = 0; i < n; i++)
        buf_printf(&text, "A%d: b\r\n", i);
    buf_printf(&text, "%s\r\n", last);
    char *heard = exchange(fixture, text.data, text.len);
    buf_done(&text);
    return heard;
}

static void test_field_count_63_passes_64_is_refused(void **state)
{
    char *heard = with_fields(*state, 61, "");
    assert_int_equal(strncmp(heard, "HTTP/1.1 200", 12), 0);
    free(heard);
    heard = with_fields(*state, 62, "");
    assert_int_equal(strncmp(heard, "HTTP/1.1 400", 12), 0);
    free(heard);
    /* the 65th field is a length that the parser never sees: its body must not become a request */
    heard = with_fields(*state, 62, "Content-Length: 22\r\n\r\nGET /smuggled HTTP/1.0\r\n");
    assert_int_equal(strncmp(heard, "HTTP/1.1 400", 12), 0);
    assert_int_equal(count(heard, "\r\nDate: "), 1);
    free(heard);
}

static void test_header_block_8_kib_is_refused(void **state)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "GET /a HTTP/1.1\r\nHost: x\r\nA: ");
    for (int i = 0; i < 9000; i++)
        buf_byte(&text, 'a');
    buf_puts(&text, "\r\n\r\n");
    char *heard = exchange(*state, text.data, text.len);
    /* unread data resets the connection, so the answer may be lost; but it must never be a success */
    assert_true(heard[0] == '\0' || strncmp(heard, "HTTP/1.1 400", 12) == 0);
    free(heard);
    buf_done(&text);
}

static void test_body_64_kib_passes_above_is_413(void **state)
{
    static const struct {
        int length;
        const char *status;
    } sizes[] = {{64 * 1024, "HTTP/1.1 200"}, {64 * 1024 + 1, "HTTP/1.1 413"}, {500 * 1024, "HTTP/1.1 413"}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int chunked = 0; chunked < 2; chunked++) {
            struct buf text;
            buf_init(&text, 2 << 20);
            buf_puts(&text, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
            if (chunked)
                buf_printf(&text, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", (unsigned)sizes[i].length);
            else
                buf_printf(&text, "Content-Length: %d\r\n\r\n", sizes[i].length);
            for (int k = 0; k < sizes[i].length; k++)
                buf_byte(&text, 'x');
            if (chunked)
                buf_puts(&text, "\r\n0\r\n\r\n");
            char *heard = exchange(*state, text.data, text.len);
            if (strncmp(heard, sizes[i].status, strlen(sizes[i].status)) != 0)
                fail_msg("%d bytes, chunked %d: %s", sizes[i].length, chunked, heard);
            free(heard);
            buf_done(&text);
        }
}

static void test_expect_is_answered_before_the_body(void **state)
{
    int fd = dial(((struct fixture *)*state)->server);
    static const char head[] = "GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue \t\r\nContent-Length: 4\r\n"
                               "Connection: close\r\n\r\n";
    say(fd, head, sizeof head - 1);
    char interim[25];
    assert_int_equal(recv(fd, interim, sizeof interim, MSG_WAITALL), 25);
    assert_memory_equal(interim, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    say(fd, "body", 4);
    char *heard = hear(fd, NULL);
    assert_int_equal(strncmp(heard, "HTTP/1.1 200", 12), 0);
    free(heard);
}

static void test_big_answer_arrives_whole(void **state)
{
    int fd = dial(((struct fixture *)*state)->server);
    say(fd, "GET /big HTTP/1.0\r\n\r\n", 21);
    size_t len;
    char *heard = hear(fd, &len);
    assert_non_null(strstr(heard, "Content-Length: 1000000\r\n"));
    assert_int_equal((size_t)(strstr(heard, "\r\n\r\n") - heard) + 4 + 1000000, len);
    free(heard);
}

static void *stop_server(void *context)
{
    struct fixture *fixture = context;
    http_stop(fixture->server);
    return NULL;
}

static void test_stop_answers_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture->server);
    say(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", 31);
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    while (!atomic_load(&fixture->slow_entered) && clock_mono_ms() < deadline)
        usleep(1000);
    assert_int_equal(atomic_load(&fixture->slow_entered), 1);

    pthread_t thread;
    pthread_create(&thread, NULL, stop_server, fixture);
    int refused_fd;
    while ((refused_fd = dial(fixture->server)) >= 0 && clock_mono_ms() < deadline)
        close(refused_fd);
    assert_int_equal(refused_fd, -1); /* no new connections */
    atomic_store(&fixture->let_go, true);
    char *heard = hear(fd, NULL); /* the old one gets its answer */
    assert_int_equal(strncmp(heard, "HTTP/1.1 200", 12), 0);
    assert_non_null(strstr(heard, "Connection: close"));
    assert_non_null(strstr(heard, "GET /slow"));
    free(heard);
    pthread_join(thread, NULL);
    fixture->server = NULL;
}

static void test_start_taken_address_is_named(void **state)
{
    struct fixture *fixture = *state;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", http_port(fixture->server, 0));
    const char *listen[] = {address};
    struct http_options options = {
        .listen = listen, .listen_count = 1, .threads = 2, .max_answer = 1, .handler = handle};
    struct http_server *server = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(http_start(&options, &server, &err), CV_FATAL);
    assert_non_null(strstr(err.text, address));
    assert_null(server);
}

static void test_decode_segment(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want; /* NULL: refused */
    } table[] = {
        {"agents", "agents"},
        {"%61gents", "agents"},
        {"a%2Fb", "a/b"},
        {"a%2fb", "a/b"},
        {"%2561", "%61"},
        {"%C3%A9", "\xc3\xa9"},
        {"", ""},
        {"%", NULL},
        {"%6", NULL},
        {"%zz", NULL},
        {"%00", NULL},
        {"%C3", NULL},
        {"%FF", NULL},
        {"%C0%AF", NULL},
        {"%ED%A0%80", NULL},
        {"%F4%90%80%80", NULL},
        {"%E0%80%80", NULL},
        {"%C3%28", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char out[64];
        size_t len = 0;
        bool ok = http_decode_segment(str_of(table[i].text), out, &len);
        if (ok != (table[i].want != NULL) || (ok && !str_eq((struct str){out, len}, str_of(table[i].want))))
            fail_msg("%s", table[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, start, stop),
        cmocka_unit_test_setup_teardown(test_head_has_length_but_no_body, start, stop),
        cmocka_unit_test_setup_teardown(test_field_count_63_passes_64_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_header_block_8_kib_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_body_64_kib_passes_above_is_413, start, stop),
        cmocka_unit_test_setup_teardown(test_expect_is_answered_before_the_body, start, stop),
        cmocka_unit_test_setup_teardown(test_big_answer_arrives_whole, start, stop),
        cmocka_unit_test_setup_teardown(test_stop_answers_what_is_under_way, start, stop),
        cmocka_unit_test_setup_teardown(test_start_taken_address_is_named, start, stop),
        cmocka_unit_test(test_decode_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
