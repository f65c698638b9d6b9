/*
 * http_listen.h: listening sockets from "HOST:PORT" or "[IPV6]:PORT". Private to lib/http*.c.
 */
#ifndef CASEVIEW_LIB_HTTP_LISTEN_H
#define CASEVIEW_LIB_HTTP_LISTEN_H

#include <sys/socket.h>

#include "caseview/base.h"
#include "caseview/err.h"

/*
 * A listening socket that does not block, the caller's to close; out_port is the one it got. Of a host name the first
 * IPv4 address is taken, without one the first IPv6 address; "[::]" takes IPv4 clients, too. CV_OK or CV_FATAL.
 */
enum cv_status http_listen(const char *address, int *out_fd, int *out_port, struct err *err) CV_MUST_CHECK;

/* One number per client address, for counting: equal for equal addresses, and for one /64 of IPv6. */
uint64_t http_address_hash(const struct sockaddr_storage *address);

#endif
