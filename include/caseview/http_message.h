/*
 * http_message.h: one request and one answer of the HTTP server, as its handler sees them. Knows no library.
 */
#ifndef CASEVIEW_HTTP_MESSAGE_H
#define CASEVIEW_HTTP_MESSAGE_H

#include "caseview/base.h"
#include "caseview/buf.h"

struct http_head;

/* One request, valid during the handler. */
struct http_request {
    const char *method; /* as sent; NULL when the parser refused before it was known */
    struct str path;    /* as sent, neither decoded nor normalised, without query; of an absolute-form target too */
    const struct http_head *head; /* for http_header() */
    int refusal_status;           /* in `refused` only: 400, 413 (the body), 503 (no thread), 505 … */
    const char *refusal;          /* in `refused` only: why, one sentence */
};

/* The handler fills this; buffers start empty. Status 0 is our own bug and becomes a bare 500. */
struct http_response {
    int status;
    const char *content_type; /* NULL: no Content-Type field */
    struct buf headers;       /* further fields, each "Name: value\r\n" */
    struct buf body;
    struct str large;             /* ptr != NULL: sent instead of body without a copy; borrowed until release() */
    void (*release)(void *owner); /* called once when large is no longer needed; NULL: never */
    void *owner;
    bool close; /* answer `Connection: close` */
};

/* Field `name` of the request, compared ignoring case: the n-th one (from 0), NULL past the last. */
const char *http_header(const struct http_request *request, const char *name, size_t n);

/*
 * Percent-decodes once. False on a bad escape, U+0000 or invalid UTF-8 in the outcome. out has room for text.len bytes.
 */
bool http_decode_segment(struct str text, char *out, size_t *out_len);

#endif
