#include "caseview/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_done(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->overflow = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

/* Makes room for len more bytes and the NUL. Doubles the size, so that appending is linear, up to the ceiling. */
static bool grow(struct buf *buf, size_t len)
{
    if (buf->overflow)
        return false;
    if (len > buf->max || buf->len > buf->max - len) {
        buf->overflow = true;
        return false;
    }
    size_t need = buf->len + len + 1;
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max && buf->max < SIZE_MAX)
        cap = buf->max + 1;
    buf->data = cv_realloc(buf->data, cap);
    buf->cap = cap;
    return true;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (!grow(buf, len))
        return NULL;
    return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (!grow(buf, len))
        return;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_str(struct buf *buf, struct str text)
{
    buf_append(buf, text.ptr, text.len);
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_byte(struct buf *buf, char byte)
{
    buf_append(buf, &byte, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(n >= 0); /* fails for a wrong format only */
    char *out = buf_reserve(buf, (size_t)n);
    if (out == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(out, (size_t)n + 1, fmt, args);
    va_end(args);
    buf->len += (size_t)n;
}
