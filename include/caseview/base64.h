/*
 * base64.h: bytes as text (RFC 4648, section 4: `+` and `/`, padded, no line ends).
 */
#ifndef CASEVIEW_BASE64_H
#define CASEVIEW_BASE64_H

#include "caseview/base.h"
#include "caseview/buf.h"

/* Length of the text of `size` bytes. */
static inline size_t base64_length(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Appends the bytes as base64, without quotes. What does not fit below the ceiling of `out` sets its overflow. */
void base64_append(struct buf *out, struct str bytes);

#endif
