/*
 * http_listeners.h: the sockets of this process that accept connections on given ports. CivetWeb has no way to stop
 * accepting without dropping the answers under way, so http_stop() shuts its sockets down itself. Private to
 * lib/http*.c.
 */
#ifndef CASEVIEW_LIB_HTTP_LISTENERS_H
#define CASEVIEW_LIB_HTTP_LISTENERS_H

#include "caseview/base.h"

/* Writes at most `max` descriptors and returns how many; 0 when /proc cannot be read. */
size_t http_find_listeners(const int *ports, size_t port_count, int *out_fds, size_t max);

#endif
