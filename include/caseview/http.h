/*
 * http.h: a server is a list of addresses, a pool of threads and one handler that sees every request whose header block
 * and body are fit; there is no document root and no other handler. Only lib/http.c uses CivetWeb.
 *
 * What is guarded here, for the API and the admin port alike: a header block of at most 8 KiB and 63 fields, CRLF line
 * ends, no folded lines, no space before a colon, Host once under HTTP/1.1, Content-Length once, as digits only and
 * never together with Transfer-Encoding, no transfer coding but `chunked`. A body of at most 64 KiB (chunked or not) is
 * read and discarded before the handler runs. What does not pass is answered by `refused` and its connection is closed.
 *
 * Connections without a request cost a descriptor and no thread: new ones for 5 s until their header block (with TLS:
 * their first record) is complete, idle ones for keep_alive_s, which answers announce as `Keep-Alive`. When descriptors
 * run short the oldest of them are closed first (lib/http_door.h).
 *
 * A thread serves one connection at a time, and waits for its client only while no other connection waits for a thread.
 * Then it gives the connection back at once, to go on when more of it has arrived: in the middle of a TLS handshake or
 * of a header block, and after an answer. The rest of a body is not waited for either: the request is answered without
 * it, and the connection closed. The requests that a client pipelines end after 1 s with `Connection: close`. So a
 * client that stops or goes on byte by byte costs others no thread. A request that no thread takes within 10 s is
 * `refused` with 503.
 *
 * Every wait for the client ends at a deadline, too, however slowly its bytes come or go: 5 s from the first bytes of a
 * request to its whole header block and body, with the TLS handshake before the first one; 2 s for the rest of a body
 * that was refused (413); 100 ms after an answer, for the next request on the same thread; 5 s for an answer that the
 * client does not read, and 1 s more for each 160 kB of it: 57 s for 8 MiB. An answer of 128 KiB has room in the
 * socket's buffer. Where it has not, because the client has left others unread, and other connections wait for a
 * thread, it has 500 ms. Only a `large` answer keeps its thread for longer than that: its makers bound their number.
 */
#ifndef CASEVIEW_HTTP_H
#define CASEVIEW_HTTP_H

#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/http_message.h"
#include "caseview/http_stats.h"

struct http_server;

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

/* Raises the limit of open files. CV_OK, or CV_FATAL: an address, the certificate, or too few open files. */
enum cv_status http_start(const struct http_options *options, struct http_server **out_server,
                          struct err *err) CV_MUST_CHECK;
/* From now on every answer closes its connection; new connections are accepted as before. Any thread. */
void http_end_keep_alive(struct http_server *server);
/* Accepts no new connection, answers the requests in flight (at most 10 s), then ends every thread. */
void http_stop(struct http_server *server);
/* The port that address i got. */
int http_port(const struct http_server *server, size_t i);
void http_stats(const struct http_server *server, struct http_stats *out_stats); /* any thread */
/* Reads the certificate again without waiting for its interval. Any thread. */
void http_reload(struct http_server *server);

#endif
