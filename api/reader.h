/*
 * reader.h: looks requests up in the views. Requests that wait at the same moment share SQL statements, so that a busy
 * API costs the database little more than an idle one. No timer: a request joins the batch that forms, which is sent
 * when it asks for as much as the few statements under way.
 *
 * Any thread asks, and sends what it made worth a statement; one thread of the reader's takes the answers and keeps the
 * one connection. When it breaks, what was asked waits for one try of another. While none stands, questions are refused
 * at once, and the thread tries to connect by itself.
 */
#ifndef CASEVIEW_API_READER_H
#define CASEVIEW_API_READER_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"
#include "caseview/metrics.h"
#include "caseview/uuid.h"

struct reader;

struct reader_options {
    const char *database; /* conninfo, borrowed for ever */
    int connect_timeout_ms;
    int max_waiting; /* questions at once, above it they are refused */
    int callers;     /* threads that may ask at once */
    struct metrics *metrics;
};

struct question {
    struct uuid application;
    struct uuid user;
    struct str client; /* the token's, at most CLIENT_ID_MAX bytes */
    bool need_roles;   /* the token does not have the role itself */
};

struct reading {
    bool application_accepted; /* known, enabled, and the client is the token's */
    bool application_has_role; /* only with need_roles */
    bool has_current_unit;
    bool has_workspaces;
};

struct reader *reader_new(const struct reader_options *options);
/* Nobody may be asking any more. */
void reader_free(struct reader *reader);

/*
 * CV_OK: out_reading, and when all of it allows it, the JSON array appended to out_body (look at its overflow).
 * CV_RETRY: not now; out_why is one sentence. Waits at most 5 s.
 */
enum cv_status reader_ask(struct reader *reader, const struct question *question, struct reading *out_reading,
                          struct buf *out_body, const char **out_why) CV_MUST_CHECK;

/* Empty when look-ups can be done, else why not. */
void reader_reason(struct reader *reader, char *out, size_t size);
/* True when `database` can never work: the program should end. */
bool reader_is_hopeless(struct reader *reader, struct err *out_err);

#endif
