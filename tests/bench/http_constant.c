/*
 * The same as civetweb_constant, but through lib/http.c: the difference of the two is what lib/http.c does, the
 * difference to the API is what the API does.
 *
 *     http_constant [BYTES [THREADS]]        default 2202 bytes (two cases) and 160 threads; takes a free port
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "caseview/http.h"

enum { BODY_MAX = 16 * 1024 * 1024 };

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    (void)request;
    const struct str *body = context;
    response->status = 200;
    response->content_type = "application/json; charset=utf-8";
    buf_str(&response->body, *body);
}

int main(int argc, char **argv)
{
    size_t length = argc > 1 ? strtoul(argv[1], NULL, 10) : 2202;
    if (length > BODY_MAX) {
        fprintf(stderr, "at most %d bytes\n", BODY_MAX);
        return 2;
    }
    char *bytes = cv_alloc(length);
    memset(bytes, 'x', length);
    struct str body = {bytes, length};
    sigset_t stop; /* before threads, which inherit it */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    const char *listen[] = {"127.0.0.1:0"};
    struct http_options options = {.listen = listen,
                                   .listen_count = 1,
                                   .threads = argc > 2 ? atoi(argv[2]) : 160,
                                   .max_answer = BODY_MAX,
                                   .handler = handle,
                                   .context = &body};
    struct http_server *server;
    struct err err = ERR_INIT;
    if (http_start(&options, &server, &err) != CV_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("listening on 127.0.0.1:%d\n", http_port(server, 0));
    fflush(stdout);
    int ignored;
    sigwait(&stop, &ignored);
    http_stop(server);
    free(bytes);
    return 0;
}
