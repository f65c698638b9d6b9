/*
 * file.h: reads whole files.
 */
#ifndef CASEVIEW_FILE_H
#define CASEVIEW_FILE_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"

/*
 * Appends the whole file to out, whose ceiling bounds it. Works for /proc too, where files have no size.
 * CV_RETRY: cannot be opened or read, or is longer than the ceiling; err names the path. out may hold a part then.
 */
enum cv_status file_read(const char *path, struct buf *out, struct err *err) CV_MUST_CHECK;

/* The text without a UTF-8 byte order mark at its start; editors on Windows write one. */
struct str file_skip_bom(struct str text);

#endif
