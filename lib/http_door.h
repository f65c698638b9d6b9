/*
 * http_door.h: accepts a server's connections and keeps those that have no complete request, so that they cost a
 * descriptor and no thread: new ones until their header block (with TLS: their first record) has arrived, idle ones
 * until the next one. Connections with a request are handed to the server's threads, in the order of arrival; one that
 * no thread takes within 10 s is refused.
 * Private to lib/http*.c.
 *
 * Bounds: connections by the limit of descriptors, half of it per address (IPv6: per /64). At a bound the oldest
 * connection without a request is closed in favour of a new one, so that silent clients only displace each other.
 *
 * One thread of its own. TCP_DEFER_ACCEPT is not used: it would keep silent clients in the kernel's queue of half-open
 * connections, where a thousand of them displace real ones.
 */
#ifndef CASEVIEW_LIB_HTTP_DOOR_H
#define CASEVIEW_LIB_HTTP_DOOR_H

#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/http_stats.h"
#include "http_tls.h"

#define HTTP_LISTENERS_MAX 16

struct http_door;

/* A connection that no thread has. */
struct http_kept {
    int fd;
    struct ssl_st *ssl; /* NULL: plain */
    char *begun;        /* what was read of its next request; from malloc(), NULL: nothing */
    size_t begun_len;
    int64_t deadline_ms; /* of that request, on clock_mono_ms(); 0: it has not begun */
};

struct http_door_options {
    const char *const *listen;
    size_t listen_count;
    struct http_tls *tls; /* NULL: plain; borrowed */
    int threads;          /* connections handed over at once */
    int connections_max;
    int keep_alive_s;
    /* Takes a connection with all that belongs to it. Called on the door's thread. */
    void (*hand_over)(void *context, const struct http_kept *kept);
    /* The client of a request that no thread could take in time; closed afterwards. Called on the door's thread. */
    void (*refuse)(void *context, const struct http_kept *kept);
    void *context;
};

/* Binds and listens. CV_OK, or CV_FATAL with the address that cannot be used. */
enum cv_status http_door_open(const struct http_door_options *options, struct http_door **out_door,
                              struct err *err) CV_MUST_CHECK;
void http_door_start(struct http_door *door);
/* Closes the listeners and the idle connections; those with a request are still handed over. */
void http_door_stop_accepting(struct http_door *door);
/* Ends the thread: nothing is handed over any more. */
void http_door_end(struct http_door *door);
/* Closes what it keeps; no connection may be handed over still. */
void http_door_free(struct http_door *door); /* NULL is fine */

/*
 * A connection that was handed over is idle, or with a deadline: in the middle of its TLS handshake or a header block.
 * It is kept for its next request, or the rest of it, with all that belongs to it. Any thread.
 */
void http_door_keep(struct http_door *door, const struct http_kept *kept);
/* A connection that was handed over ends now; the caller closes the socket afterwards. Any thread. */
void http_door_ended(struct http_door *door, int fd);

int http_door_port(const struct http_door *door, size_t i);
void http_door_stats(const struct http_door *door, struct http_stats *out_stats); /* any thread */
/* Connections with a request that wait for a thread. Any thread. */
int http_door_waiting(const struct http_door *door);
/* True when they wait because all threads have a connection. Any thread. */
bool http_door_is_crowded(const struct http_door *door);
/* To wait for that: a descriptor that is readable meanwhile, never to be read from. Any thread. */
int http_door_crowded_fd(const struct http_door *door);

#endif
