/*
 * buf.h: a growing byte buffer with a ceiling. An append that would pass the ceiling sets `overflow` and adds nothing;
 * later appends are ignored, too. So it is enough to check `overflow` once, at the end.
 * A NUL that does not count follows the bytes data[0..len). Not thread-safe.
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
void buf_done(struct buf *buf);  /* frees; the buf is then as after buf_init() with the same max */
void buf_reset(struct buf *buf); /* empties it, keeps the memory */
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_str(struct buf *buf, struct str text);
void buf_puts(struct buf *buf, const char *text);
void buf_byte(struct buf *buf, char byte);
void buf_printf(struct buf *buf, const char *fmt, ...) CV_PRINTF(2, 3);
/*
 * Makes room for len more bytes and returns the place; the caller writes there and adds the number of bytes written to
 * buf->len (the next append restores the NUL). NULL: overflow.
 */
char *buf_reserve(struct buf *buf, size_t len);

#endif
