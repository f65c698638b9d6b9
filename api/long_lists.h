/*
 * long_lists.h: looks long lists up, one statement per list, on a database connection and a thread of their own, so
 * that short lists never wait behind them. Equal questions that wait at the same moment share one statement and its
 * result.
 *
 * Bounded: at most LONG_LISTS_MAX requests at once, at most half of them of one application; each holds its place, and
 * its list in memory, until long_list_release(). Further ones wait a second for a place and are refused then; earlier
 * when their application holds more than its share of the threads (fair_share.h). Any thread.
 */
#ifndef CASEVIEW_API_LONG_LISTS_H
#define CASEVIEW_API_LONG_LISTS_H

#include "caseview/metrics.h"
#include "question.h"

#define LONG_LISTS_MAX     8
#define LONG_LIST_MAX      ((size_t)8 * 1024 * 1024) /* bytes of one list; api/sql/long_list.sql has it, too */
#define LONG_LIST_ROWS_MAX 2000                      /* likewise */

struct fair_claim;
struct long_lists;
struct long_list; /* one request's place */

enum long_list_outcome {
    LONG_LIST_FOUND,       /* findings; when they allow it, list, which the caller must release */
    LONG_LIST_TOO_LONG,    /* findings only */
    LONG_LIST_UNAVAILABLE, /* why is one sentence */
};

struct long_list_answer {
    struct findings findings;
    struct long_list *list;
    const char *why; /* static text */
};

/*
 * database: conninfo; errors counts failed statements and connections. Both are borrowed for the life of long_lists.
 * log_traces: statements name the traces of their requests in a comment.
 */
struct long_lists *long_lists_new(const char *database, bool log_traces, struct metric *errors);
/* No thread may be asking, and all lists must have been released. */
void long_lists_free(struct long_lists *lists);

/* Waits at most 6 s, under the caller's claim. The answer's list is NULL whenever there is nothing to release. */
enum long_list_outcome long_lists_ask(struct long_lists *lists, const struct question *question,
                                      struct fair_claim *claim, struct long_list_answer *out_answer) CV_MUST_CHECK;
/* The JSON array; valid until the release. */
struct str long_list_text(const struct long_list *list);
/* Of a struct long_list; void so that it can be a callback. */
void long_list_release(void *list);

#endif
