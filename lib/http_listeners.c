#include "http_listeners.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The local port of an accepting TCP socket, 0 for everything else. */
static int accepting_port(int fd)
{
    int accepts = 0;
    socklen_t len = sizeof accepts;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) != 0 || !accepts)
        return 0;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    len = sizeof address;
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    switch (address.any.sa_family) {
    case AF_INET:
        return ntohs(address.v4.sin_port);
    case AF_INET6:
        return ntohs(address.v6.sin6_port);
    default:
        return 0;
    }
}

static bool is_among(int port, const int *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

size_t http_find_listeners(const int *ports, size_t port_count, int *out_fds, size_t max)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    size_t found = 0;
    for (const struct dirent *entry; found < max && (entry = readdir(dir)) != NULL;) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        int port = entry->d_name[0] == '.' ? 0 : accepting_port(fd);
        if (port > 0 && is_among(port, ports, port_count))
            out_fds[found++] = fd;
    }
    closedir(dir);
    return found;
}
