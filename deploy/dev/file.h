/*
 * file.h: small files that another program waits for: they are there whole or not at all.
 */
#ifndef CASEVIEW_DEV_FILE_H
#define CASEVIEW_DEV_FILE_H

#include "caseview/base.h"
#include "caseview/err.h"

/* Writes text beside path and renames it there. CV_OK or CV_FATAL. */
enum cv_status file_replace(const char *path, const char *text, unsigned mode, struct err *err) CV_MUST_CHECK;

#endif
