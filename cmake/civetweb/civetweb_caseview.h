/*
 * What Caseview's build adds to CivetWeb (cmake/FindCivetWeb.cmake): connections that are accepted elsewhere, and go
 * back there while they have no request.
 */
#ifndef CIVETWEB_CASEVIEW_H
#define CIVETWEB_CASEVIEW_H

#include <stdint.h>

struct mg_connection;
struct mg_context;
struct ssl_st;

/* A connection that no thread has. */
struct mg_kept {
	int fd;
	struct ssl_st *ssl;  /* NULL: plain; the handshake may be done or not */
	char *begun;         /* what was read of the next request; from malloc(), NULL: nothing */
	int begun_len;
	int64_t deadline_ms; /* of the next request, on CLOCK_MONOTONIC; 0: request_timeout_ms from when a thread has it */
};

/* All of it belongs to the server then. Waits while the server's queue is full. Any thread. */
void mg_take_connection(struct mg_context *ctx, const struct mg_kept *kept);
/*
 * A descriptor that is readable while other connections want this thread: it does not wait for input then, but reads
 * what has arrived.
 */
void mg_set_wanted(int fd);
/*
 * For so long from now the thread waits for its client to read, even if it is wanted; to be called before each answer.
 * 0: as long as the deadline allows.
 */
void mg_set_patience(int milliseconds);
/* True when the last wait of this thread ended because it was wanted. */
int mg_gave_up(void);
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
enum mg_release {
	MG_NOT_RELEASED, /* it is closed */
	MG_IDLE,         /* it was idle for keep_alive_timeout_ms, or counts as idle by mg_yield_connection() */
	MG_UNFINISHED,   /* the thread was wanted during the handshake, or before the header block was complete */
};

/* In the callback connection_close only. Unless it is closed, all of *out belongs to the caller. */
enum mg_release mg_release_connection(struct mg_connection *conn, struct mg_kept *out);

#endif
