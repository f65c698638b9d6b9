/*
 * http.h: a server is a list of addresses, a pool of threads and one handler that sees every request whose header block
 * and body are fit; there is no document root and no other handler. lib/http.c is the only file that knows CivetWeb.
 *
 * What is guarded here, for the API and the admin port alike: a header block of at most 8 KiB and 63 fields, CRLF line
 * ends, no folded lines, no space before a colon, Host once under HTTP/1.1, Content-Length once, as digits only and
 * never beside Transfer-Encoding, no transfer coding but `chunked`. A body of at most 64 KiB (chunked or not) is read
 * and thrown away before the handler runs. What does not pass is answered by `refused` and its connection is closed.
 *
 * A thread serves one connection at a time. When 90 % of the threads hold one, answers carry `Connection: close`, so
 * that nobody waits for a thread that an idle client holds.
 */
#ifndef CASEVIEW_HTTP_H
#define CASEVIEW_HTTP_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"

struct http_server;
struct http_head;

/* One request, valid during the handler. */
struct http_request {
    const char *method; /* as sent; NULL when the parser refused before it was known */
    struct str path;    /* as sent, neither decoded nor normalised, without query; of an absolute-form target too */
    const struct http_head *head; /* for http_header() */
    int refusal_status;           /* in `refused` only: 400, 413 (the body), 505 … */
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

/* Any of the server's threads, many at once. HEAD: the body is not sent but its length is. */
typedef void (*http_handler)(void *context, const struct http_request *request, struct http_response *response);

struct http_options {
    const char *const *listen; /* "HOST:PORT", port 0 takes a free one */
    size_t listen_count;
    const char *tls_certificate; /* PEM with key, NULL: plain */
    int threads;
    size_t max_answer; /* ceiling of a body in bytes */
    http_handler handler;
    http_handler refused; /* NULL: bare answers */
    void *context;
};

/* CV_OK, or CV_FATAL with the address that could not be bound. */
enum cv_status http_start(const struct http_options *options, struct http_server **out_server,
                          struct err *err) CV_MUST_CHECK;
/* Takes no new connection, lets the requests under way have their answers (at most 10 s), then ends every thread. */
void http_stop(struct http_server *server);
/* The port that address i got. */
int http_port(const struct http_server *server, size_t i);
/* Connections open now. Any thread. */
int http_connections(const struct http_server *server);

/* Field `name` of the request, compared ignoring case: the n-th one (from 0), NULL past the last. */
const char *http_header(const struct http_request *request, const char *name, size_t n);

/* Percent-decodes once. False on a bad escape, U+0000 or invalid UTF-8 in the outcome. out has room for text.len bytes.
 */
bool http_decode_segment(struct str text, char *out, size_t *out_len);

#endif
