/*
 * fetch.h: HTTP GET through libcurl, for key sets and schema registries (the only libcurl file). Blocking, with a
 * deadline. A user:password in the URL is used and never appears in an error. Redirects are not followed.
 */
#ifndef CASEVIEW_FETCH_H
#define CASEVIEW_FETCH_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"

void fetch_global_init(void); /* once, before threads */

/*
 * CV_OK: an answer came, whatever its status (out_status) and its body (out_body, with the caller's ceiling).
 * CV_RETRY: no answer: connection, time-out, TLS, body above the ceiling.
 */
enum cv_status fetch_get(const char *url, int timeout_ms, int *out_status, struct buf *out_body,
                         struct err *err) CV_MUST_CHECK;
/* The same with a JSON body, for registering schemas. */
enum cv_status fetch_post(const char *url, const char *content_type, struct str body, int timeout_ms, int *out_status,
                          struct buf *out_body, struct err *err) CV_MUST_CHECK;
/* The URL without what precedes the last @, and without query and fragment: for logs and errors. */
void fetch_redact(const char *url, char *out, size_t out_size);

#endif
