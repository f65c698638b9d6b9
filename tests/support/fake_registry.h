/*
 * fake_registry.h: a schema registry of a few fixed answers on a free port of loopback, and one that never answers.
 * For tests of one thread. Answers may be changed between requests.
 */
#ifndef CASEVIEW_TESTS_FAKE_REGISTRY_H
#define CASEVIEW_TESTS_FAKE_REGISTRY_H

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caseview/http.h"

#define FAKE_REGISTRY_ANSWERS 16

struct fake_registry {
    struct http_server *server;
    char url[64];
    atomic_int requests;
    struct {
        const char *path;
        int status;
        const char *body;
    } answers[FAKE_REGISTRY_ANSWERS];
    size_t answer_count;
};

static inline void fake_registry_serve(void *context, const struct http_request *request,
                                       struct http_response *response)
{
    struct fake_registry *registry = context;
    registry->requests++;
    response->status = 404;
    response->content_type = "application/vnd.schemaregistry.v1+json";
    for (size_t i = 0; i < registry->answer_count; i++) {
        if (str_eq(request->path, str_of(registry->answers[i].path))) {
            response->status = registry->answers[i].status;
            buf_puts(&response->body, registry->answers[i].body);
            return;
        }
    }
    buf_puts(&response->body, "{\"error_code\":40403,\"message\":\"not found\"}");
}

/* path and body are borrowed; the same path again replaces its answer. */
static inline void fake_registry_answer(struct fake_registry *registry, const char *path, int status, const char *body)
{
    size_t i = 0;
    while (i < registry->answer_count && strcmp(registry->answers[i].path, path) != 0)
        i++;
    if (i == FAKE_REGISTRY_ANSWERS)
        abort();
    registry->answers[i].path = path;
    registry->answers[i].status = status;
    registry->answers[i].body = body;
    if (i == registry->answer_count)
        registry->answer_count++;
}

static inline void fake_registry_start(struct fake_registry *registry)
{
    static const char *const listen[] = {"127.0.0.1:0"};
    *registry = (struct fake_registry){0};
    struct http_options options = {.listen = listen,
                                   .listen_count = 1,
                                   .threads = 2,
                                   .max_answer = 4 << 20,
                                   .handler = fake_registry_serve,
                                   .context = registry};
    struct err err = ERR_INIT;
    if (http_start(&options, &registry->server, &err) != CV_OK) {
        fprintf(stderr, "fake registry: %s\n", err.text);
        abort();
    }
    snprintf(registry->url, sizeof registry->url, "http://127.0.0.1:%d/apis/", http_port(registry->server, 0));
}

static inline void fake_registry_stop(struct fake_registry *registry)
{
    http_stop(registry->server);
}

/*
 * A registry whose connections are accepted, by the kernel, and whose requests are never read. Returns its socket,
 * which the caller closes.
 */
static inline int silent_registry_start(char *out_url, size_t url_size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    snprintf(out_url, url_size, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

#endif
