/*
 * Waits until it is killed: process 1 of a machine of the test cluster, and of a pod's sandbox. With arguments it is a
 * client for the tests of NetworkPolicy, in images that have no shell:
 *
 *   pause                                 reaps the children that it inherits; SIGTERM and SIGINT end it
 *   pause connect ADDRESS PORT SECONDS    exit code 0: connected; 1: refused, or no answer in time; 2: it could not try
 *
 * Linked statically: its image has nothing else.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal)
{
    (void)signal;
    _exit(0);
}

static int wait_forever(void)
{
    struct sigaction ignored = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    struct sigaction ended = {.sa_handler = end};

    if (sigaction(SIGCHLD, &ignored, NULL) < 0 || sigaction(SIGTERM, &ended, NULL) < 0 ||
        sigaction(SIGINT, &ended, NULL) < 0) {
        perror("pause: sigaction");
        return 1;
    }
    for (;;)
        pause();
}

/* Numeric addresses only: the resolver would need shared libraries. */
static int parse_address(const char *text, int port, struct sockaddr_storage *out, socklen_t *out_length)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *out_length = sizeof *v4;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *out_length = sizeof *v6;
        return 0;
    }
    return -1;
}

static int try_connect(const char *address, int port, int timeout_ms)
{
    struct sockaddr_storage where;
    socklen_t length;
    struct pollfd wait = {.events = POLLOUT};
    int error = 0, answered;
    socklen_t error_length = sizeof error;

    if (parse_address(address, port, &where, &length) < 0) {
        fprintf(stderr, "pause: not an address: %s\n", address);
        return 2;
    }
    wait.fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (wait.fd < 0) {
        perror("pause: socket");
        return 2;
    }
    if (connect(wait.fd, (struct sockaddr *)&where, length) < 0 && errno != EINPROGRESS) {
        error = errno;
    } else {
        answered = poll(&wait, 1, timeout_ms);
        if (answered < 0 || (answered > 0 && getsockopt(wait.fd, SOL_SOCKET, SO_ERROR, &error, &error_length) < 0)) {
            perror("pause: connect");
            return 2;
        }
        if (answered == 0)
            error = ETIMEDOUT;
    }
    printf("%s port %d: %s\n", address, port, error == 0 ? "connected" : strerror(error));
    return error == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 1)
        return wait_forever();
    if (argc == 5 && strcmp(argv[1], "connect") == 0)
        return try_connect(argv[2], atoi(argv[3]), atoi(argv[4]) * 1000);
    fprintf(stderr, "usage: pause [connect ADDRESS PORT SECONDS]\n");
    return 2;
}
