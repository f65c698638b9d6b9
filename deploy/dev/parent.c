#include "deploy/dev/parent.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

void parent_end_with(void)
{
    pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* the parent ended before prctl() */
        raise(SIGTERM);
}
