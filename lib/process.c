#include "caseview/process.h"

#include "caseview/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

void process_start(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", O_RDWR); /* gets the lowest free number, which is this one */
    memory_tune();
}

void process_name(char *out, size_t size)
{
    char host[HOST_NAME_MAX + 1] = "", pid[16];
    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "unknown");
    size_t pid_len = (size_t)snprintf(pid, sizeof pid, ":%d", (int)getpid());
    assert(size > pid_len);
    snprintf(out, size, "%.*s%s", (int)(size - pid_len - 1), host, pid);
}
