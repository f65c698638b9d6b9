/*
 * http_stats.h: counts of an HTTP server's connections, and its certificate.
 */
#ifndef CASEVIEW_HTTP_STATS_H
#define CASEVIEW_HTTP_STATS_H

#include "caseview/base.h"

struct http_stats {
    int connections;              /* open */
    int active;                   /* of these, those that have a thread */
    int64_t shed;                 /* closed, without a request, in favour of new ones */
    int64_t unserved;             /* closed because no thread took their request within 10 s; answered 503 */
    int64_t accept_failures;      /* times when no connection could be accepted */
    int64_t certificate_expiry_s; /* seconds since 1970; 0: no TLS */
};

#endif
