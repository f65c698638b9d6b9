/*
 * buf.h: a growing byte buffer with a ceiling. Appending beyond the ceiling sets `overflow`, drops what did not fit
 * whole, and every later append is ignored: check once, at the end.
 * The bytes at data[0..len) are followed by a NUL that does not count. Not thread-safe.
 */
#ifndef CASEVIEW_BUF_H
#define CASEVIEW_BUF_H

#include "caseview/base.h"

struct buf {
    char *data; /* NULL until the first append */
    size_t len;
    size_t cap;
    size_t max; /* ceiling in bytes */
    bool overflow;
};

void buf_init(struct buf *buf, size_t max);
void buf_done(struct buf *buf); /* frees; the buf may be used again as after buf_init with the same max */
void buf_reset(struct buf *buf); /* len := 0, overflow := false, memory kept */
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_str(struct buf *buf, struct str text);
void buf_puts(struct buf *buf, const char *text);
void buf_byte(struct buf *buf, char byte);
void buf_printf(struct buf *buf, const char *fmt, ...) CV_PRINTF(2, 3);
/*
 * Makes room for len more bytes and returns where they go; the caller adds what it used to buf->len (the NUL behind it
 * comes back with the next append). NULL on overflow.
 */
char *buf_reserve(struct buf *buf, size_t len);

#endif
