#include "http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>
#include <xxhash.h>

enum { BACKLOG = 4096, HOST_MAX = 256 };

/* Splits at the last colon, and takes brackets off. False: it is no address. */
static bool split(const char *address, char host[HOST_MAX], const char **out_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    *out_port = colon + 1;
    return true;
}

static const struct addrinfo *choose(const struct addrinfo *found)
{
    for (const struct addrinfo *info = found; info != NULL; info = info->ai_next)
        if (info->ai_family == AF_INET)
            return info;
    return found;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return -1;
    in_port_t port = 0;
    size_t at = address.ss_family == AF_INET6 ? offsetof(struct sockaddr_in6, sin6_port)
                                              : offsetof(struct sockaddr_in, sin_port);
    memcpy(&port, (const char *)&address + at, sizeof port);
    return ntohs(port);
}

/* -1 with errno. */
static int open_socket(const struct addrinfo *info)
{
    int on = 1, off = 0;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return -1;
    bool good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (info->ai_family == AF_INET6)
        good = good && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
    if (good && bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

enum cv_status http_listen(const char *address, int *out_fd, int *out_port, struct err *err)
{
    char host[HOST_MAX];
    const char *port;
    if (!split(address, host, &port)) {
        err_set(err, "cannot listen on %s: it is not HOST:PORT or [IPV6]:PORT", address);
        return CV_FATAL;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        err_set(err, "cannot listen on %s: %s", address, gai_strerror(failed));
        return CV_FATAL;
    }
    int fd = open_socket(choose(found));
    int reason = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        err_set(err, "cannot listen on %s: %s", address, strerror(reason));
        return CV_FATAL;
    }
    *out_fd = fd;
    *out_port = port_of(fd);
    return CV_OK;
}

uint64_t http_address_hash(const struct sockaddr_storage *address)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const char *bytes = (const char *)address;
    if (address->ss_family == AF_INET)
        return XXH3_64bits(bytes + offsetof(struct sockaddr_in, sin_addr), 4);
    if (address->ss_family != AF_INET6)
        return 0;
    const char *v6 = bytes + offsetof(struct sockaddr_in6, sin6_addr);
    if (memcmp(v6, mapped, sizeof mapped) == 0)
        return XXH3_64bits(v6 + sizeof mapped, 4);
    return XXH3_64bits(v6, 8);
}
