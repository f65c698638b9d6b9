#include "caseview/output.h"

#include <errno.h>
#include <stdio.h>

bool output_flush(void)
{
    return fflush(stdout) == 0 && !ferror(stdout);
}

int output_finish(const char *program, int exit_code)
{
    errno = 0;
    bool lost = ferror(stdout) != 0; /* in an earlier write; its errno is gone */
    lost |= fclose(stdout) != 0;
    if (!lost)
        return exit_code;
    fprintf(stderr, "%s: the output could not be written: %s\n", program,
            errno != 0 ? strerror(errno) : "a full disk, or a reader that has ended");
    return CV_EXIT_OUTPUT;
}
