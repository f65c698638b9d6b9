#include "trace_list.h"

#include <stdio.h>

void trace_list_add(struct trace_list *list, const struct trace *trace)
{
    if (!trace_is_sampled(trace))
        return;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].text, trace->text) == 0)
            return;
    if (list->count < TRACE_LIST_MAX)
        list->items[list->count++] = *trace;
    else
        list->more++;
}

/* Digits, letters and hyphens are the same when they are URL-encoded, as the form demands. */
void trace_list_comment(const struct trace_list *list, char out[TRACE_COMMENT_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < list->count; i++)
        used += (size_t)snprintf(out + used, TRACE_COMMENT_MAX - used, "%straceparent='%s'", i == 0 ? "/*" : ",",
                                 list->items[i].text);
    if (list->more > 0)
        used += (size_t)snprintf(out + used, TRACE_COMMENT_MAX - used, ",traceparents_left_out='%zu'", list->more);
    used += (size_t)snprintf(out + used, TRACE_COMMENT_MAX - used, "*/");
    assert(used < TRACE_COMMENT_MAX);
}
