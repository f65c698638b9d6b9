#include "deploy/dev/file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caseview/buf.h"

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left;) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text += n;
        left -= (size_t)n;
    }
    return true;
}

enum cv_status file_replace(const char *path, const char *text, unsigned mode, struct err *err)
{
    struct buf name CV_CLEANUP(buf_done);
    buf_init(&name, 8192);
    buf_printf(&name, "%s.XXXXXX", path);
    int fd = name.overflow ? -1 : mkstemp(name.data);
    if (fd < 0) {
        err_set(err, "%s: %s", path, name.overflow ? "name is too long" : strerror(errno));
        return CV_FATAL;
    }
    bool ok = fchmod(fd, mode) == 0 && write_all(fd, text);
    ok = close(fd) == 0 && ok && rename(name.data, path) == 0;
    if (ok)
        return CV_OK;
    err_set(err, "%s: %s", path, strerror(errno));
    unlink(name.data);
    return CV_FATAL;
}
