/*
 * trace.h: the trace that a request or a record belongs to, as its sender says in `traceparent` (W3C Trace Context,
 * level 1). Caseview begins no trace and no span: it passes on what it was given, in log lines and SQL comments.
 */
#ifndef CASEVIEW_TRACE_H
#define CASEVIEW_TRACE_H

#include "caseview/base.h"

#define TRACE_HEADER   "traceparent"
#define TRACE_TEXT_LEN 55

/* "00-TRACEID-SPANID-FLAGS" in lower-case hexadecimal digits, checked; "": no trace. */
struct trace {
    char text[TRACE_TEXT_LEN + 1];
};

/*
 * False, and no trace: text is not a traceparent with ids that are not zero. White space around it is ignored. Of a
 * later version than 00 the parts that it has in common are taken, and of its flags the one that 00 knows.
 */
bool trace_parse(struct str text, struct trace *out_trace);

static inline bool trace_is_set(const struct trace *trace)
{
    return trace != NULL && trace->text[0] != '\0';
}

/* Its sender records it: bit 0 of the flags. False for one that is not set. */
bool trace_is_sampled(const struct trace *trace);

/* Of a trace that is set; borrowed from it. */
struct str trace_id(const struct trace *trace);
struct str trace_span_id(const struct trace *trace);

#endif
