#include "caseview/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BLOCK_BYTES 16384

static void close_descriptor(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

enum cv_status file_read(const char *path, struct buf *out, struct err *err)
{
    int fd CV_CLEANUP(close_descriptor) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_set(err, "%s: %s", path, strerror(errno));
        return CV_RETRY;
    }
    for (;;) {
        char block[BLOCK_BYTES];
        ssize_t n = read(fd, block, sizeof block);
        if (n == 0)
            return CV_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_set(err, "%s: %s", path, strerror(errno));
            return CV_RETRY;
        }
        buf_append(out, block, (size_t)n);
        if (out->overflow) {
            err_set(err, "%s: longer than %zu bytes", path, out->max);
            return CV_RETRY;
        }
    }
}

struct str file_skip_bom(struct str text)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t len = sizeof bom - 1;
    if (text.len < len || memcmp(text.ptr, bom, len) != 0)
        return text;
    return (struct str){text.ptr + len, text.len - len};
}
