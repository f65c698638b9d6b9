/*
 * http_client.h: a client of lib/http.c for unit tests, byte by byte. Include it after cmocka.h.
 */
#ifndef CASEVIEW_TESTS_HTTP_CLIENT_H
#define CASEVIEW_TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/http.h"

#define PATIENCE_MS 15000

/* A connection to the server's first address; -1: refused. */
static inline int dial(struct http_server *server)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_port(server, 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    union {
        struct sockaddr_in in;
        struct sockaddr any;
    } address = {.in = to};
    if (connect(fd, &address.any, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void say(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server has closed: its answer has the reason */
        bytes += n;
        len -= (size_t)n;
    }
}

/* Everything until the server closes. */
static inline char *hear(int fd, size_t *out_len)
{
    struct buf all;
    buf_init(&all, 16 << 20);
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int left = (int)(deadline - clock_mono_ms());
        assert_true(left > 0); /* the server did not close */
        if (poll(&ready, 1, left) <= 0)
            continue;
        char block[65536];
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n <= 0)
            break;
        buf_append(&all, block, (size_t)n);
    }
    close(fd);
    if (out_len)
        *out_len = all.len;
    return all.data ? all.data : cv_strdup("");
}

#endif
