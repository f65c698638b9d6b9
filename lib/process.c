#include "caseview/process.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

void process_name(char *out, size_t size)
{
    char host[HOST_NAME_MAX + 1] = "", pid[16];
    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "unknown");
    size_t pid_len = (size_t)snprintf(pid, sizeof pid, ":%d", (int)getpid());
    assert(size > pid_len);
    snprintf(out, size, "%.*s%s", (int)(size - pid_len - 1), host, pid);
}
