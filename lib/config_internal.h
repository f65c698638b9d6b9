/*
 * config_internal.h: what the files of config share: the check of one value, and how types and ranges are worded.
 */
#ifndef CASEVIEW_LIB_CONFIG_INTERNAL_H
#define CASEVIEW_LIB_CONFIG_INTERNAL_H

#include "caseview/buf.h"
#include "caseview/config.h"

/* origin: how the option was given, e.g. `--gap-alarm-s` or `file.conf:12: gap-alarm-s`. CV_OK or CV_FATAL. */
enum cv_status option_check(const struct option_def *option, const char *origin, const char *value,
                            struct err *err) CV_MUST_CHECK;

/* value has been checked. */
int64_t option_int(const char *value);
bool option_on(const char *value);

/* "1–86400 s", or "" for a type without a range. */
void option_range(const struct option_def *option, struct buf *out);

/* Item i of a comma-separated list, blanks trimmed; STR_NULL past the end. */
struct str option_item(const char *list, size_t i);

#endif
