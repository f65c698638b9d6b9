/*
 * fetch.h: HTTP requests for key sets and schema registries; lib/fetch.c is the only file that uses libcurl. Blocking,
 * with a deadline. Redirects are not followed. User, password and query of a URL are used and appear in no error.
 * Any thread, after fetch_global_init() and fetch_use_ca_file().
 */
#ifndef CASEVIEW_FETCH_H
#define CASEVIEW_FETCH_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"

void fetch_global_init(void); /* once, before threads start */
/*
 * Once, before threads start: trusts the certificate authorities of a PEM file in addition to the system's. The file is
 * read again for each request; a broken one leaves the last good one in force, with one log line. NULL: none.
 * path is borrowed forever. CV_FATAL: it cannot be read, or has no certificate.
 */
enum cv_status fetch_use_ca_file(const char *path, struct err *err) CV_MUST_CHECK;
/* Reads that file now, to log at once whether it has changed or is broken. Any thread. */
void fetch_reload_ca_file(void);

/*
 * CV_OK: there was an answer, of any status (out_status); its body is appended to out_body, whose ceiling bounds it.
 * CV_RETRY: no answer: connection, time-out, TLS, a body above the ceiling.
 */
enum cv_status fetch_get(const char *url, int timeout_ms, int *out_status, struct buf *out_body,
                         struct err *err) CV_MUST_CHECK;
/* The same as POST with a body. */
enum cv_status fetch_post(const char *url, const char *content_type, struct str body, int timeout_ms, int *out_status,
                          struct buf *out_body, struct err *err) CV_MUST_CHECK;
/* The URL without what precedes the last @, and without query and fragment: for logs and errors. */
void fetch_redact(const char *url, char *out, size_t out_size);

#endif
