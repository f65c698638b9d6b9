/*
 * http_tls.h: the TLS side of a server: its certificate, read again when the file's content changes. Connections that
 * exist keep the certificate of their handshake. Private to lib/http*.c; one thread after the start (the door's), but
 * where another rule is given.
 */
#ifndef CASEVIEW_LIB_HTTP_TLS_H
#define CASEVIEW_LIB_HTTP_TLS_H

#include <sys/types.h>

#include "caseview/base.h"
#include "caseview/err.h"

struct http_tls;
struct ssl_st;

/* path: PEM with the certificate chain and the key; borrowed. CV_OK, or CV_FATAL: it cannot be used. */
enum cv_status http_tls_new(const char *path, struct http_tls **out_tls, struct err *err) CV_MUST_CHECK;
void http_tls_free(struct http_tls *tls); /* NULL is fine */
/* The state of one more connection, the caller's to free by http_tls_close(); NULL: out of memory. */
struct ssl_st *http_tls_connection(struct http_tls *tls);
/* Sends close_notify if the handshake was done, and frees. NULL is fine. */
void http_tls_close(struct ssl_st *ssl);
/* True when a part of a record, its header for example, or more than was asked for has been read from the socket. */
bool http_tls_has_part(const struct ssl_st *ssl);
/* Without waiting. -1: nothing has arrived, the handshake is not done, or the connection is broken. */
ssize_t http_tls_read(struct ssl_st *ssl, char *out, size_t size);
void http_tls_write(struct ssl_st *ssl, const char *bytes, size_t len);
/* Looks at the file when it is due (every 5 s) or asked for, and takes a changed one over; a bad one is logged once. */
void http_tls_refresh(struct http_tls *tls, int64_t now_ms);
int64_t
http_tls_expiry_s(const struct http_tls *tls); /* of the certificate in force, since 1970; NULL: 0. Any thread */
void http_tls_reload(struct http_tls *tls);    /* the next refresh is due; NULL is fine */

#endif
