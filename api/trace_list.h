/*
 * trace_list.h: the traces of the requests that share a statement, and the comment that names them to PostgreSQL, in
 * the form of sqlcommenter: its log of slow statements and pg_stat_activity then show for which requests a statement
 * runs.
 */
#ifndef CASEVIEW_API_TRACE_LIST_H
#define CASEVIEW_API_TRACE_LIST_H

#include "caseview/trace.h"

#define TRACE_LIST_MAX 16 /* further ones are only counted */
/* A comment with its NUL: each trace as ,traceparent='…' and at most 20 digits in ,traceparents_left_out='…'. */
#define TRACE_COMMENT_MAX (TRACE_LIST_MAX * (TRACE_TEXT_LEN + 15) + 64)

struct trace_list {
    size_t count, more; /* more: traces that found no place */
    struct trace items[TRACE_LIST_MAX];
};

/* Only a trace that is sampled is added, and only once; NULL is fine. */
void trace_list_add(struct trace_list *list, const struct trace *trace);
/* Of a list with traces. Nothing but checked traces and a number gets into the text. */
void trace_list_comment(const struct trace_list *list, char out[TRACE_COMMENT_MAX]);

#endif
