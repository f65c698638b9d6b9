#include "lookup.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "fair_share.h"
#include "list_weights.h"
#include "lookup_stream.h"

enum {
    LONG_REMEMBERED_MS = 60000, /* then the list is expected to be short again */
    TOO_LONG_REMEMBERED_MS = 10000,
    LOG_EVERY_MS = 60000,
};

struct lookup {
    uint64_t seed;
    struct fair_share *share;
    struct lookup_stream *stream;
    struct long_lists *long_lists;
    struct list_weights *weights;
    struct metric *too_long;
    atomic_int_fast64_t logged_ms; /* last line about a list that is too long */
};

struct lookup *lookup_new(const struct lookup_options *options)
{
    struct lookup *lookup = cv_zalloc(sizeof *lookup);
    struct uuid random;
    uuid_random(&random);
    memcpy(&lookup->seed, random.b, sizeof lookup->seed);
    lookup->share = fair_share_new(options->max_waiting, options->callers, lookup->seed);
    lookup->logged_ms = INT64_MIN / 2;
    struct lookup_stream_options stream = {
        .database = options->database,
        .connect_timeout_ms = options->connect_timeout_ms,
        .callers = options->callers,
        .log_traces = options->log_traces,
        .metrics = options->metrics,
    };
    lookup->stream = lookup_stream_new(&stream);
    lookup->long_lists = long_lists_new(options->database, options->log_traces, lookup_stream_errors(lookup->stream));
    lookup->weights = list_weights_new();
    lookup->too_long = metrics_counter(options->metrics, "caseview_api_long_lists_total", NULL,
                                       "Requests answered with 503 because the list is longer than allowed");
    return lookup;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup == NULL)
        return;
    long_lists_free(lookup->long_lists);
    lookup_stream_free(lookup->stream);
    list_weights_free(lookup->weights);
    fair_share_free(lookup->share);
    free(lookup);
}

/* Counts a list that is too long, and logs one line a minute. */
static enum lookup_outcome refuse_too_long(struct lookup *lookup, const struct question *question)
{
    metric_add(lookup->too_long, 1);
    int64_t now_ms = clock_mono_ms();
    int_fast64_t last_ms = atomic_load(&lookup->logged_ms);
    if (now_ms - last_ms >= LOG_EVERY_MS && atomic_compare_exchange_strong(&lookup->logged_ms, &last_ms, now_ms)) {
        char user[UUID_TEXT_LEN + 1], application[UUID_TEXT_LEN + 1];
        uuid_format(&question->user, user);
        uuid_format(&question->application, application);
        log_traced(LOG_LEVEL_WARN, question->trace,
                   "list of user %s (application %s) has more than %d cases or %zu bytes: its requests get 503; close "
                   "cases that are no longer served (further lists that are too long are counted in "
                   "caseview_api_long_lists_total; next line in a minute)",
                   user, application, LONG_LIST_ROWS_MAX, LONG_LIST_MAX);
    }
    return LOOKUP_TOO_LONG;
}

static enum lookup_outcome ask_long(struct lookup *lookup, const struct question *question, struct fair_claim *claim,
                                    struct lookup_result *out_result)
{
    struct long_list_answer answer;
    enum long_list_outcome outcome = long_lists_ask(lookup->long_lists, question, claim, &answer);
    out_result->findings = answer.findings;
    out_result->list = answer.list;
    out_result->why = answer.why;
    switch (outcome) {
    case LONG_LIST_FOUND:
        return LOOKUP_FOUND;
    case LONG_LIST_TOO_LONG:
        list_weights_note(lookup->weights, question->key, LIST_TOO_LONG, clock_mono_ms() + TOO_LONG_REMEMBERED_MS);
        return refuse_too_long(lookup, question);
    case LONG_LIST_UNAVAILABLE:
        break;
    }
    return LOOKUP_UNAVAILABLE;
}

static enum lookup_outcome ask_short(struct lookup *lookup, const struct question *question, struct fair_claim *claim,
                                     struct buf *out_body, struct lookup_result *out_result)
{
    struct lookup_stream_answer answer = {.body = out_body};
    enum stream_outcome outcome = lookup_stream_ask(lookup->stream, question, claim, &answer);
    out_result->findings = answer.findings;
    out_result->why = answer.why;
    switch (outcome) {
    case STREAM_FOUND:
        return LOOKUP_FOUND;
    case STREAM_TOO_LONG:
        buf_reset(out_body);
        list_weights_note(lookup->weights, question->key, LIST_LONG, clock_mono_ms() + LONG_REMEMBERED_MS);
        return ask_long(lookup, question, claim, out_result);
    case STREAM_UNAVAILABLE:
        break;
    }
    return LOOKUP_UNAVAILABLE;
}

static enum lookup_outcome ask_by_weight(struct lookup *lookup, const struct question *question,
                                         struct fair_claim *claim, struct buf *out_body,
                                         struct lookup_result *out_result)
{
    switch (list_weights_find(lookup->weights, question->key, clock_mono_ms())) {
    case LIST_SHORT:
        return ask_short(lookup, question, claim, out_body, out_result);
    case LIST_LONG:
        return ask_long(lookup, question, claim, out_result);
    case LIST_TOO_LONG:
        break;
    }
    return refuse_too_long(lookup, question);
}

enum lookup_outcome lookup_ask(struct lookup *lookup, struct question *question, struct buf *out_body,
                               struct lookup_result *out_result)
{
    *out_result = (struct lookup_result){.list = NULL};
    question->key = question_key(question, lookup->seed);
    struct fair_claim claim;
    if (!fair_share_enter(lookup->share, &question->application, &claim, &out_result->why))
        return LOOKUP_UNAVAILABLE;
    enum lookup_outcome outcome = ask_by_weight(lookup, question, &claim, out_body, out_result);
    fair_share_leave(&claim);
    return outcome;
}

void lookup_reason(struct lookup *lookup, char *out, size_t size)
{
    lookup_stream_reason(lookup->stream, out, size);
}

bool lookup_is_fatal(struct lookup *lookup, struct err *out_err)
{
    return lookup_stream_is_fatal(lookup->stream, out_err);
}
