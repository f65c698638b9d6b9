/*
 * log_limit.h: bounds how often a log line is written: the first time at once, then at distances that double from 1 s
 * to 5 min, each line with the number of occurrences since the last one. After a quiet time as long as the last
 * distance the next occurrence is logged at once again. For one thread at a time.
 *
 *     int64_t times = log_limit_hit(&limit);
 *     if (times > 0)
 *         log_warn("…, %" PRId64 " times since the last such line", times);
 */
#ifndef CASEVIEW_LOG_LIMIT_H
#define CASEVIEW_LOG_LIMIT_H

#include "caseview/base.h"

/* All zero: nothing has happened yet. */
struct log_limit {
    int64_t next_ms;  /* clock_mono_ms() of the next line, 0: at once */
    int64_t wait_ms;  /* distance of the last two lines */
    int64_t unlogged; /* occurrences since the last line */
};

/* Counts occurrences without logging: for those that are logged elsewhere, or later by log_limit_due(). */
void log_limit_add(struct log_limit *limit, int64_t count);
/* When a line is due: the number of occurrences since the last line, which the caller logs now. Otherwise 0. */
int64_t log_limit_due(struct log_limit *limit);
/* Counts one occurrence, then as log_limit_due(). */
int64_t log_limit_hit(struct log_limit *limit);
/* The same at a given time of clock_mono_ms(). */
int64_t log_limit_due_at(struct log_limit *limit, int64_t now_ms);

#endif
