/*
 * lookup.h: answers a question from the views. Short lists share statements (lookup_stream.h), long ones get statements
 * of their own (long_lists.h); which list is long is learnt from its last answer (list_weights.h). A list of more than
 * 2,000 cases or 8 MiB is refused, and the refusal remembered for 10 s.
 *
 * How many requests may wait at once, and of one application: fair_share.h. Any thread.
 */
#ifndef CASEVIEW_API_LOOKUP_H
#define CASEVIEW_API_LOOKUP_H

#include "caseview/buf.h"
#include "caseview/err.h"
#include "caseview/metrics.h"
#include "long_lists.h"
#include "question.h"

struct lookup;

struct lookup_options {
    const char *database; /* conninfo, borrowed for the life of the look-up */
    int connect_timeout_ms;
    int max_waiting; /* requests at once; further ones are refused */
    int callers;     /* threads that may ask at once */
    bool log_traces; /* statements name the traces of their questions in a comment */
    struct metrics *metrics;
};

enum lookup_outcome {
    LOOKUP_FOUND,
    LOOKUP_TOO_LONG,
    LOOKUP_UNAVAILABLE,
};

struct lookup_result {
    struct findings findings; /* LOOKUP_FOUND */
    struct long_list *list;   /* the list when it is a long one: the caller releases it; NULL: it is in out_body */
    const char *why;          /* LOOKUP_UNAVAILABLE: one sentence, static text */
};

struct lookup *lookup_new(const struct lookup_options *options);
/* No thread may be asking, and all long lists must have been released. */
void lookup_free(struct lookup *lookup);

/*
 * question->key is filled here. out_body is empty; it gets a short list that the findings allow. Waits at most 11 s:
 * 5 s for a list that turns out to be a long one, 1 s for a place, 5 s for its answer.
 */
enum lookup_outcome lookup_ask(struct lookup *lookup, struct question *question, struct buf *out_body,
                               struct lookup_result *out_result) CV_MUST_CHECK;

/* Empty when look-ups work, else the reason why not. */
void lookup_reason(struct lookup *lookup, char *out, size_t size);
/* True when `database` can never work: the program should exit. */
bool lookup_is_fatal(struct lookup *lookup, struct err *out_err);

#endif
