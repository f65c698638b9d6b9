/*
 * http_answer.h: the header block of an answer, as bytes. Knows no library. Private to lib/http*.c.
 */
#ifndef CASEVIEW_LIB_HTTP_ANSWER_H
#define CASEVIEW_LIB_HTTP_ANSWER_H

#include "caseview/http_message.h"

/* The text of the Date field, made once a second; a thread's own. All zero: not made yet. */
struct http_date {
    int64_t second;
    char text[sizeof "Thu, 01 Jan 1970 00:00:00 GMT"];
};

struct http_answer_form {
    bool is_head;
    bool is_1_0;            /* the request's version */
    const char *keep_alive; /* the Keep-Alive field with its line end; NULL: the connection is closed */
};

/* Appends status line and fields. True: the response's body follows. */
bool http_answer_head(struct buf *out, const struct http_response *response, const struct http_answer_form *form,
                      struct http_date *date);

#endif
