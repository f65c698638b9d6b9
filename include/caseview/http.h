/*
 * http.h: the only file that knows CivetWeb. A server is a list of addresses, a pool of threads and one handler that
 * sees every request that the parser accepted; there is no document root and no other handler.
 *
 * What is guarded here, for the API and the admin port alike: header block of at most 8 KiB and 63 fields, no folded
 * lines, Content-Length as digits only and never beside Transfer-Encoding, a body of at most 64 KiB (chunked or not)
 * read and thrown away before the handler runs (413 above), one mg_write an answer.
 */
#ifndef CASEVIEW_HTTP_H
#define CASEVIEW_HTTP_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"

struct http_server;

/* One request, valid during the handler. */
struct http_request {
    const char *method;   /* as sent */
    struct str path;      /* as sent, neither decoded nor normalised, without query; of an absolute-form target too */
    void *connection;     /* for http_header() */
    bool body_too_large;  /* the handler answers 413, the connection is closed after it */
};

/* The handler fills this; buffers start empty. Status 0 is our own bug and becomes a bare 500. */
struct http_response {
    int status;
    const char *content_type; /* NULL: no Content-Type field */
    struct buf headers;       /* further fields, each "Name: value\r\n" */
    struct buf body;
    bool close;               /* answer `Connection: close` */
};

/* Any of the server's threads, many at once. HEAD: the body is not sent but its length is. */
typedef void (*http_handler)(void *context, const struct http_request *request, struct http_response *response);

struct http_options {
    const char *const *listen;   /* "HOST:PORT", port 0 takes a free one */
    size_t listen_count;
    const char *tls_certificate; /* PEM with key, NULL: plain */
    int threads;
    size_t max_answer;           /* ceiling of a body in bytes */
    http_handler handler;
    /* An answer to a body above the limit or to a refused header block: fills the response, as the handler does. NULL: bare. */
    http_handler refused;
    void *context;
};

/* CV_OK, or CV_FATAL with the address that could not be bound. */
enum cv_status http_start(const struct http_options *options, struct http_server **out_server, struct err *err) CV_MUST_CHECK;
void http_stop(struct http_server *server); /* waits for the handlers under way */
/* The port that address i got. */
int http_port(const struct http_server *server, size_t i);

/* Field `name` of the request, compared ignoring case: the n-th one (from 0), NULL past the last. */
const char *http_header(const struct http_request *request, const char *name, size_t n);

/* Percent-decodes once. False on a bad escape, U+0000 or invalid UTF-8 in the outcome. out has room for text.len bytes. */
bool http_decode_segment(struct str text, char *out, size_t *out_len);

#endif
