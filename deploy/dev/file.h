/*
 * file.h: replaces small files atomically, for programs that wait for them.
 */
#ifndef CASEVIEW_DEV_FILE_H
#define CASEVIEW_DEV_FILE_H

#include "caseview/base.h"
#include "caseview/err.h"

/* Writes text to a temporary file in the same folder and renames it to path. CV_OK or CV_FATAL. */
enum cv_status file_replace(const char *path, const char *text, unsigned mode, struct err *err) CV_MUST_CHECK;

#endif
