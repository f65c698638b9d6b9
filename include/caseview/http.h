/*
 * http.h: a server is a list of addresses, a pool of threads and one handler that sees every request whose header block
 * and body are fit; there is no document root and no other handler. Only lib/http.c uses CivetWeb.
 *
 * What is guarded here, for the API and the admin port alike: a header block of at most 8 KiB and 63 fields, CRLF line
 * ends, no folded lines, no space before a colon, Host once under HTTP/1.1, Content-Length once, as digits only and
 * never together with Transfer-Encoding, no transfer coding but `chunked`. A body of at most 64 KiB (chunked or not) is
 * read and discarded before the handler runs. What does not pass is answered by `refused` and its connection is closed.
 *
 * A thread serves one connection at a time, from its complete header block on. Connections without a request cost a
 * descriptor and no thread: new ones for 5 s, idle ones for keep_alive_s, which answers announce as `Keep-Alive`. When
 * descriptors run short the oldest of them are closed first (lib/http_door.h).
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
    const char *const *listen; /* "HOST:PORT" or "[IPV6]:PORT"; port 0 takes a free one; borrowed */
    size_t listen_count;
    const char *tls_certificate; /* PEM with key, NULL: plain; read again when its content changes; borrowed */
    int threads;                 /* requests served at once */
    int connections_max;         /* 0: as the limit of open files allows */
    int keep_alive_s;            /* 0: 1 */
    bool no_bodies;              /* a request with a body is refused (413) instead of waiting for it */
    size_t max_answer;           /* ceiling of a body in bytes */
    http_handler handler;
    http_handler refused; /* NULL: bare answers */
    void *context;
};

struct http_stats {
    int connections;         /* open */
    int active;              /* of these, those that have a thread */
    int64_t shed;            /* closed, without a request, in favour of new ones */
    int64_t accept_failures; /* times when no connection could be accepted */
};

/* Raises the limit of open files. CV_OK, or CV_FATAL: an address, the certificate, or too few open files. */
enum cv_status http_start(const struct http_options *options, struct http_server **out_server,
                          struct err *err) CV_MUST_CHECK;
/* Accepts no new connection, answers the requests in flight (at most 10 s), then ends every thread. */
void http_stop(struct http_server *server);
/* The port that address i got. */
int http_port(const struct http_server *server, size_t i);
void http_stats(const struct http_server *server, struct http_stats *out_stats); /* any thread */
/* Looks at the certificate at once. Any thread. */
void http_reload(struct http_server *server);

/* Field `name` of the request, compared ignoring case: the n-th one (from 0), NULL past the last. */
const char *http_header(const struct http_request *request, const char *name, size_t n);

/* Percent-decodes once. False on a bad escape, U+0000 or invalid UTF-8 in the outcome. out has room for text.len bytes.
 */
bool http_decode_segment(struct str text, char *out, size_t *out_len);

#endif
