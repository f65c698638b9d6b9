/*
 * log.h: log lines to standard error, as text or JSON. Thread-safe; each line is one write(2). Never log a token, a
 * password or the body of a case.
 */
#ifndef CASEVIEW_LOG_H
#define CASEVIEW_LOG_H

#include "caseview/base.h"
#include "caseview/trace.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Once, before threads start. program is borrowed forever. Before the call: info, text. */
void log_init(const char *program, enum log_level level, enum log_format format);
/* The same with values of the options log-level and log-format. format NULL: text on a terminal, otherwise JSON. */
void log_init_options(const char *program, const char *level, const char *format);
bool log_enabled(enum log_level level); /* false: lines of this level are dropped */

void log_error(const char *fmt, ...) CV_PRINTF(1, 2);
void log_warn(const char *fmt, ...) CV_PRINTF(1, 2);
void log_info(const char *fmt, ...) CV_PRINTF(1, 2);
void log_debug(const char *fmt, ...) CV_PRINTF(1, 2);

/*
 * A line about one request or one record. Its trace is shown by two fields, trace_id and span_id: in text as words at
 * the end of the line. NULL, or a trace that is not set: none.
 */
void log_traced(enum log_level level, const struct trace *trace, const char *fmt, ...) CV_PRINTF(3, 4);

#endif
