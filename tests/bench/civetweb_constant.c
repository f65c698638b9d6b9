/*
 * The ceiling to compare the API with: one constant answer on keep-alive connections.
 *
 *     civetweb_constant [--raw] [PORT [BYTES [THREADS]]]        default 8088, 2202 bytes (two cases), 160 threads
 *
 * By default through lib/http.c, so the difference to the API is what the API itself does; --raw is CivetWeb alone with
 * the same settings, so the difference to that is what lib/http.c does.
 */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caseview/http.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

static char *body;
static size_t body_length;

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    (void)context;
    (void)request;
    response->status = 200;
    response->content_type = "application/json; charset=utf-8";
    buf_append(&response->body, body, body_length);
}

static int handle_raw(struct mg_connection *connection)
{
    static _Thread_local char answer[256];
    int length = snprintf(
        answer, sizeof answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\n\r\n", body_length);
    char *whole = malloc((size_t)length + body_length);
    if (!whole)
        return 0;
    memcpy(whole, answer, (size_t)length);
    memcpy(whole + length, body, body_length);
    mg_write(connection, whole, (size_t)length + body_length);
    free(whole);
    return 200;
}

static int start_raw(const char *address, const char *threads)
{
    const char *settings[] = {"listening_ports",
                              address,
                              "num_threads",
                              threads,
                              "max_request_size",
                              "8192",
                              "keep_alive_timeout_ms",
                              "1000",
                              "enable_keep_alive",
                              "yes",
                              "tcp_nodelay",
                              "1",
                              "decode_url",
                              "no",
                              "enable_auth_domain_check",
                              "no",
                              NULL};
    struct mg_callbacks callbacks = {.begin_request = handle_raw};
    mg_init_library(MG_FEATURES_DEFAULT);
    return mg_start(&callbacks, NULL, settings) ? 0 : 1;
}

static int start_ours(const char *address, int threads)
{
    const char *listen[] = {address};
    struct http_options options = {
        .listen = listen, .listen_count = 1, .threads = threads, .max_answer = BODY_MAX, .handler = handle};
    struct http_server *server;
    struct err err = ERR_INIT;
    if (http_start(&options, &server, &err) == CV_OK)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}

int main(int argc, char **argv)
{
    bool raw = argc > 1 && strcmp(argv[1], "--raw") == 0;
    char **words = argv + 1 + raw;
    int count = argc - 1 - raw;
    const char *port = count > 0 ? words[0] : "8088";
    body_length = count > 1 ? strtoul(words[1], NULL, 10) : 2202;
    const char *threads = count > 2 ? words[2] : "160";
    if (body_length > BODY_MAX) {
        fprintf(stderr, "at most %d bytes\n", BODY_MAX);
        return 2;
    }
    body = cv_alloc(body_length + 1);
    memset(body, 'x', body_length);

    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%s", port);
    sigset_t stop; /* before threads, which inherit it */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    int failed = raw ? start_raw(address, threads) : start_ours(address, atoi(threads));
    if (failed)
        return 1;
    printf("%s: %zu bytes, %s threads, %s\n", address, body_length, threads, raw ? "CivetWeb alone" : "lib/http.c");
    fflush(stdout);
    int signal_number;
    sigwait(&stop, &signal_number);
    return 0;
}
