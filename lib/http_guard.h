/*
 * http_guard.h: is a parsed header block one that every HTTP implementation on the way reads alike? Private to
 * lib/http*.c; knows no library.
 */
#ifndef CASEVIEW_LIB_HTTP_GUARD_H
#define CASEVIEW_LIB_HTTP_GUARD_H

#include "caseview/base.h"

#define HTTP_HEAD_MAX   8192 /* bytes of a header block */
#define HTTP_FIELDS_MAX 64   /* one more than allowed: a parser that fills all of them may have dropped some */

struct http_field {
    const char *name;
    const char *value;
};

struct http_head {
    const char *method;
    const char *target;  /* request target, ended by NUL; a `?` in it may already be NUL */
    const char *query;   /* what follows that NUL, or NULL */
    const char *version; /* "1.0" or "1.1" */
    int field_count;
    struct http_field fields[HTTP_FIELDS_MAX];

    /* Found by http_guard_fields() and http_guard_path(). */
    int64_t content_length; /* 0: none */
    bool chunked;
    bool expects_continue;
    bool keep_alive; /* what the client asks for */
    struct str path;
};

/*
 * Those that check return NULL, or the reason of a refusal as one sentence.
 *
 * layout: the parser split the block in place, writing NULs over `\r`, `\n`, `:` and the space before it, and stopping
 * silently at what it took for the end. The NULs it left show how each line was written.
 */
const char *http_guard_layout(const struct http_head *head);
/*
 * White space after a value is not part of it (RFC 9110, section 5.5). Copies the values that have some, without it, to
 * text, which has HTTP_HEAD_MAX bytes and must live as long as head. After http_guard_layout(), which needs the
 * original.
 */
void http_guard_trim(struct http_head *head, char *text);
/* Host, Content-Length, Transfer-Encoding, Expect, Connection. */
const char *http_guard_fields(struct http_head *head);
/* Splits the path off an origin-form or absolute-form target; `*` is a path too. */
const char *http_guard_path(struct http_head *head);

#endif
