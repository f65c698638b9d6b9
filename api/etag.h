/*
 * etag.h: strong entity tags, and If-None-Match by weak comparison (RFC 9110, sections 8.8.3 and 13.1.2).
 */
#ifndef CASEVIEW_API_ETAG_H
#define CASEVIEW_API_ETAG_H

#include "caseview/http.h"

#define ETAG_LEN 34 /* 32 hex digits in quotes */

void etag_of(struct str body, char out[ETAG_LEN + 1]);
/*
 * Does one If-None-Match value (a list, `W/` or not, or `*`) name this tag? A malformed rest of a list names nothing.
 */
bool etag_value_matches(const char *value, const char *etag);
/* The same over all If-None-Match fields of a request. */
bool etag_matches(const struct http_request *request, const char *etag);

#endif
