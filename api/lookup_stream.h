/*
 * lookup_stream.h: looks questions up in statements that they share, sent one after the other on one database
 * connection. Questions that wait at the same moment travel together, so that a busy API costs the database little more
 * than an idle one. There is no timer: a question joins the batch that is being filled, which is sent once it holds at
 * least as many questions as the few statements in flight.
 *
 * Any thread asks, and sends the batch that its question completed. One thread of the stream's own receives the answers
 * and owns the connection. When the connection breaks, the questions in flight wait for one attempt at another one.
 * While there is none, questions are refused at once, and the thread keeps trying to connect.
 */
#ifndef CASEVIEW_API_LOOKUP_STREAM_H
#define CASEVIEW_API_LOOKUP_STREAM_H

#include "caseview/buf.h"
#include "caseview/err.h"
#include "caseview/metrics.h"
#include "fair_share.h"
#include "question.h"

struct lookup_stream;

struct lookup_stream_options {
    const char *database; /* conninfo, borrowed for the stream's life */
    int connect_timeout_ms;
    int callers;     /* threads that may ask at once */
    bool log_traces; /* statements name the traces of their questions in a comment */
    struct metrics *metrics;
};

enum stream_outcome {
    STREAM_FOUND,
    STREAM_TOO_LONG, /* the list is too long for a shared statement */
    STREAM_UNAVAILABLE,
};

/* Starts the thread; returns at once, whether the database can be reached or not. */
struct lookup_stream *lookup_stream_new(const struct lookup_stream_options *options);
/* No thread may be asking. */
void lookup_stream_free(struct lookup_stream *stream);

struct lookup_stream_answer {
    struct findings findings; /* STREAM_FOUND */
    struct buf *body; /* the caller's, empty: gets the JSON array when the findings allow it (check its overflow) */
    const char *why;  /* STREAM_UNAVAILABLE: one sentence, static text */
};

/*
 * Waits at most 5 s, and as long as the claim may wait. Unless the outcome is STREAM_FOUND, the body holds nothing of
 * use.
 */
enum stream_outcome lookup_stream_ask(struct lookup_stream *stream, const struct question *question,
                                      struct fair_claim *claim, struct lookup_stream_answer *out_answer) CV_MUST_CHECK;

/* The counter of failed statements and connections, for other connections to the same database. */
struct metric *lookup_stream_errors(const struct lookup_stream *stream);
/* Empty when look-ups work, else the reason why not. */
void lookup_stream_reason(struct lookup_stream *stream, char *out, size_t size);
/* True when `database` can never work: the program should exit. */
bool lookup_stream_is_fatal(struct lookup_stream *stream, struct err *out_err);

#endif
