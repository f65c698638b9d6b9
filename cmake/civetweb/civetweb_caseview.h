/*
 * What Caseview's build adds to CivetWeb (cmake/FindCivetWeb.cmake): connections that are accepted elsewhere, and idle
 * ones that go back there.
 */
#ifndef CIVETWEB_CASEVIEW_H
#define CIVETWEB_CASEVIEW_H

struct mg_connection;
struct mg_context;
struct ssl_st;

/*
 * Gives the server a connected socket, and with TLS its SSL object, whose handshake may be done or not; both belong to
 * the server then. Waits while the server's queue is full. Any thread.
 */
void mg_take_connection(struct mg_context *ctx, int fd, struct ssl_st *ssl);
/*
 * Waiting for the thread's connection ends timeout_ms from now (0: CivetWeb's own time-outs alone), however many bytes
 * come or go until then; what waits fails. The next request gets a deadline of its own.
 */
void mg_set_deadline(int timeout_ms);
/* True when bytes of a later request have been read from the socket already. Before the answer. */
int mg_has_more(const struct mg_connection *conn);
/* The connection counts as idle after this request, unless bytes of a later one have been read already. */
void mg_yield_connection(struct mg_connection *conn);
/* The socket of a connection. */
int mg_connection_fd(const struct mg_connection *conn);
/*
 * In the callback connection_close only: when the connection was idle for keep_alive_timeout_ms, or counts as idle by
 * mg_yield_connection(), its socket, and the SSL object or NULL; both belong to the caller then. -1: it is closed for
 * another reason.
 */
int mg_release_connection(struct mg_connection *conn, struct ssl_st **out_ssl);

#endif
