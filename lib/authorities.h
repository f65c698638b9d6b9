/*
 * authorities.h: the certificate authorities of the option ca-file, which are trusted in addition to the system's. The
 * file is read for each connection, so a renewed one counts at once; a broken one leaves the last good one in force.
 * Thread-safe after authorities_use().
 */
#ifndef CASEVIEW_LIB_AUTHORITIES_H
#define CASEVIEW_LIB_AUTHORITIES_H

#include "caseview/buf.h"
#include "caseview/err.h"

#define AUTHORITIES_MAX_BYTES (4u << 20) /* of each of the two files */

/* Once, before threads start. path is borrowed forever. CV_FATAL: cannot be read, or has no certificate. */
enum cv_status authorities_use(const char *path, struct err *err) CV_MUST_CHECK;

/*
 * Appends the system's bundle (NULL, or not readable: none) and the certificates of ca-file to out as PEM. False: there
 * is no ca-file, nothing was appended.
 */
bool authorities_read(const char *system_bundle, struct buf *out);

#endif
