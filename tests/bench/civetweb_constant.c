/*
 * CivetWeb alone, with the API's settings and one constant answer on keep-alive connections: the ceiling of the
 * endpoint.
 *
 *     civetweb_constant [BYTES [THREADS]]        default 2202 bytes (two cases) and 160 threads; takes a free port
 */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 16 * 1024 * 1024 };

/* Header and body, written once before threads start. */
static char *answer;
static size_t answer_length;

static int handle(struct mg_connection *connection)
{
    if (mg_write(connection, answer, answer_length) != (int)answer_length)
        mg_disable_connection_keep_alive(connection);
    return 200;
}

static int make_answer(size_t body)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\n\r\n";
    int length = snprintf(NULL, 0, head, body);
    answer = malloc((size_t)length + 1 + body);
    if (!answer)
        return -1;
    snprintf(answer, (size_t)length + 1, head, body);
    memset(answer + length, 'x', body);
    answer_length = (size_t)length + body;
    return 0;
}

int main(int argc, char **argv)
{
    size_t body = argc > 1 ? strtoul(argv[1], NULL, 10) : 2202;
    const char *threads = argc > 2 ? argv[2] : "160";
    if (body > BODY_MAX || make_answer(body) != 0) {
        fprintf(stderr, "at most %d bytes\n", BODY_MAX);
        return 2;
    }
    sigset_t stop; /* before threads, which inherit it */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    const char *settings[] = {"listening_ports",
                              "127.0.0.1:0",
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
    struct mg_callbacks callbacks = {.begin_request = handle};
    mg_init_library(MG_FEATURES_DEFAULT);
    struct mg_context *context = mg_start(&callbacks, NULL, settings);
    struct mg_server_port port;
    if (!context || mg_get_server_ports(context, 1, &port) != 1) {
        fprintf(stderr, "cannot listen\n");
        return 1;
    }
    printf("listening on 127.0.0.1:%d\n", port.port);
    fflush(stdout);
    int ignored;
    sigwait(&stop, &ignored);
    mg_stop(context);
    mg_exit_library();
    free(answer);
    return 0;
}
