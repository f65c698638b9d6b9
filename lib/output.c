#include "caseview/output.h"

#include <errno.h>
#include <stdio.h>

/* Process-wide, as standard output is: the ceiling of a text that was left out, 0: none was. */
static size_t left_out_max;

void output_buf(const struct buf *text)
{
    if (text->overflow)
        left_out_max = text->max;
    else if (text->len > 0)
        fwrite(text->data, 1, text->len, stdout); /* an error stays in the stream */
}

bool output_flush(void)
{
    return fflush(stdout) == 0 && !ferror(stdout);
}

int output_finish(const char *program, int exit_code)
{
    errno = 0;
    bool lost = ferror(stdout) != 0; /* in an earlier write, whose errno is not known any more */
    lost |= fclose(stdout) != 0;
    if (!lost && left_out_max == 0)
        return exit_code;
    if (!lost) {
        fprintf(stderr, "%s: the output was left out, it is longer than %zu bytes: select less\n", program,
                left_out_max);
        return CV_EXIT_OUTPUT;
    }
    fprintf(stderr, "%s: the output could not be written: %s\n", program,
            errno != 0 ? strerror(errno) : "a full disk, or a reader that has ended");
    return CV_EXIT_OUTPUT;
}
