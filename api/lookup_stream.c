#include "lookup_stream.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/db.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "lookup_batch.h"
#include "sql_api.h"

enum {
    DEPTH = 3,                   /* statements in flight at most (docs/decisions/0009) */
    STATEMENT_TIMEOUT_MS = 2000, /* detects a frozen database … */
    RECONNECT_TIMEOUT_MS = 1000, /* … and leaves time for one reconnect while the callers still wait */
    ASK_TIMEOUT_MS = 5000,
    BATCH_MAX = 256,      /* questions of one statement: with 128 KiB each its answer has at most 32 MiB */
    PING_EVERY_MS = 2000, /* while there are no questions */
    PING_TIMEOUT_MS = 1000,
    RECONNECT_EVERY_MS = 100, /* at most, while each new connection breaks soon */
    RETRY_BASE_MS = 100,
    RETRY_MAX_MS = 2000,
};

static const char database_unreachable[] = "The database cannot be reached now.";
static const char lookup_refused[] = "The database cannot be read now.";

static const struct db_statement active_cases = {"active_cases", sql_active_cases};

enum link {
    LINK_DOWN,   /* no connection, and no statement waits for one */
    LINK_BROKEN, /* lost just now: the statements in flight wait for one attempt at another connection */
    LINK_UP,
};

struct lookup_stream {
    struct lookup_stream_options options;
    struct metric *batches, *questions, *errors, *connected_gauge, *waiting_gauge, *duration;
    atomic_int waiting; /* callers inside lookup_stream_ask() */
    struct batch_pool pool;

    pthread_mutex_t mutex; /* guards the next lines; never held over I/O */
    struct batch *forming; /* never NULL */
    size_t asked;          /* questions of the statements in flight */
    int in_flight;         /* statements taken and not ended */
    bool connected;        /* questions are accepted */
    bool stopping, fatal;
    struct err why;     /* of the last failed connection attempt */
    struct err refusal; /* the server's, of the last statement; "" when it succeeded */

    /*
     * Guards the next lines. Held while libpq sends and receives, which never blocks. Never held together with mutex.
     */
    pthread_mutex_t connection_mutex;
    enum link link;            /* only the stream's thread changes it */
    struct db *db;             /* LINK_UP; else NULL */
    struct batch *sent[DEPTH]; /* in order of sending; LINK_BROKEN: resent on the next connection */
    int sent_count;
    int64_t answered_ms; /* time of the last answer, or of the connection */

    /* The thread's own. */
    pthread_t thread;
    int wake_fd;
    struct retry retry;
    int64_t opened_ms;        /* of the last connection */
    int64_t lost_ms;          /* when the connection was lost; 0: it is not, or there never was one */
    bool proven;              /* the last connection has delivered an answer */
    unsigned refusals_in_row; /* consecutive statements that the server refused */
};

/* --- batches ------------------------------------------------------------------------------------------------------ */

/* Caller holds the mutex. Takes the batch being filled as a statement in flight; an empty one replaces it. */
static struct batch *take_forming(struct lookup_stream *stream)
{
    struct batch *batch = stream->forming;
    stream->forming = batch_pool_get(&stream->pool);
    stream->in_flight++;
    stream->asked += batch->count;
    return batch;
}

/*
 * Caller holds the mutex. The first question is sent at once; a further statement is sent next to those in flight when
 * it holds as many questions as they do: a smaller one would cost the database more than it gains. NULL: not yet.
 */
static struct batch *take_if_worth_it(struct lookup_stream *stream)
{
    size_t count = stream->forming->count;
    if (!stream->connected || stream->in_flight >= DEPTH || count == 0 ||
        (count < stream->asked && count < stream->forming->capacity))
        return NULL;
    metric_add(stream->batches, 1);
    metric_add(stream->questions, (int64_t)count);
    metric_set(stream->waiting_gauge, atomic_load_explicit(&stream->waiting, memory_order_relaxed));
    return take_forming(stream);
}

static void wake_thread(struct lookup_stream *stream)
{
    if (eventfd_write(stream->wake_fd, 1) != 0)
        log_error("cannot wake the look-up thread, answers are delayed: %m");
}

/* Caller holds the connection. False: the thread must finish sending, or handle the error. */
static bool send_statement(struct lookup_stream *stream, struct batch *batch)
{
    struct err err = ERR_INIT;
    batch->sent_us = clock_mono_us();
    enum cv_status status = db_stream_send(stream->db, &active_cases, batch_args(batch), &err);
    assert(status != CV_FATAL); /* the batch's arena holds the parameters of all its items */
    return status == CV_OK && !db_wants_write(stream->db);
}

static void end_statement(struct lookup_stream *stream, struct batch *batch, struct db_result *result, const char *why);

/*
 * Any thread. With LINK_DOWN no question is accepted, so that end_statement() finds no next batch and does not recurse.
 */
static void send_batch(struct lookup_stream *stream, struct batch *batch)
{
    bool look = false;
    pthread_mutex_lock(&stream->connection_mutex);
    enum link link = stream->link;
    if (link != LINK_DOWN) {
        assert(stream->sent_count < DEPTH);
        stream->sent[stream->sent_count++] = batch;
    }
    if (link == LINK_UP)
        look = !send_statement(stream, batch);
    pthread_mutex_unlock(&stream->connection_mutex);
    if (link == LINK_DOWN)
        end_statement(stream, batch, NULL, database_unreachable);
    if (look)
        wake_thread(stream);
}

/* Sends the next batch before it wakes the waiters of this one: the database works while they wake up. */
static void end_statement(struct lookup_stream *stream, struct batch *batch, struct db_result *result, const char *why)
{
    pthread_mutex_lock(&stream->mutex);
    stream->in_flight--;
    stream->asked -= batch->count;
    struct batch *next = take_if_worth_it(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (next != NULL)
        send_batch(stream, next);
    batch_end(batch, result, why);
    batch_pool_release(&stream->pool, batch);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Adds the question to the batch being filled. NULL: refused. */
static struct batch *join(struct lookup_stream *stream, const struct question *question, size_t *out_index,
                          const char **out_why)
{
    struct batch *batch = NULL, *next = NULL;
    pthread_mutex_lock(&stream->mutex);
    if (!stream->connected) {
        *out_why = database_unreachable;
    } else if (!batch_add(stream->forming, question, out_index)) {
        *out_why = "Too many requests are waiting for the database.";
    } else {
        batch = stream->forming;
        if (stream->options.log_traces)
            trace_list_add(&batch->traces, question->trace);
        atomic_fetch_add_explicit(&batch->references, 1, memory_order_relaxed);
        next = take_if_worth_it(stream);
    }
    pthread_mutex_unlock(&stream->mutex);
    if (next != NULL)
        send_batch(stream, next);
    return batch;
}

enum stream_outcome lookup_stream_ask(struct lookup_stream *stream, const struct question *question,
                                      struct fair_claim *claim, struct lookup_stream_answer *out_answer)
{
    enum batch_reading reading = BATCH_NO_ROW;
    size_t index = 0;
    atomic_fetch_add_explicit(&stream->waiting, 1, memory_order_relaxed);
    struct batch *batch = join(stream, question, &index, &out_answer->why);
    if (batch != NULL) {
        int64_t begin_us = clock_mono_us();
        bool ended = batch_wait(batch, begin_us + SLOW_MS * 1000);
        out_answer->why = "The database did not answer in time.";
        if (!ended && fair_share_may_wait(claim, &out_answer->why))
            ended = batch_wait(batch, begin_us + ASK_TIMEOUT_MS * 1000);
        if (!ended) {
            /* why is set */
        } else if (batch->result == NULL) {
            out_answer->why = batch->why;
        } else {
            out_answer->why = "The database's answer is incomplete.";
            reading = batch_read(batch, index, &out_answer->findings, out_answer->body);
        }
        batch_pool_release(&stream->pool, batch);
    }
    atomic_fetch_sub_explicit(&stream->waiting, 1, memory_order_relaxed);
    switch (reading) {
    case BATCH_FOUND:
        return STREAM_FOUND;
    case BATCH_TOO_LONG:
        return STREAM_TOO_LONG;
    case BATCH_NO_ROW:
        break;
    }
    return STREAM_UNAVAILABLE;
}

/* --- the thread: answers ------------------------------------------------------------------------------------------ */

/* The server refused the statement (a missing view, a missing right). The connection is kept, the requests get 503. */
static void note_refusal(struct lookup_stream *stream, const struct err *err)
{
    unsigned n = ++stream->refusals_in_row;
    metric_add(stream->errors, 1);
    pthread_mutex_lock(&stream->mutex);
    if (strcmp(err->sqlstate, "26000") != 0 || !stream->refusal.text[0]) /* 26000 only follows from a refused Parse */
        stream->refusal = *err;
    struct err why = stream->refusal;
    pthread_mutex_unlock(&stream->mutex);
    if ((n & (n - 1)) == 0) /* 1, 2, 4, 8 … */
        log_error("database refuses the look-up, requests get 503: %s (%u times in a row)", why.text, n);
}

static void note_success(struct lookup_stream *stream)
{
    if (stream->refusals_in_row == 0)
        return;
    log_info("database accepts the look-up again after %u refusals", stream->refusals_in_row);
    stream->refusals_in_row = 0;
    pthread_mutex_lock(&stream->mutex);
    stream->refusal.text[0] = '\0';
    pthread_mutex_unlock(&stream->mutex);
}

/* Caller holds the connection. Removes the oldest statement, which has been answered. */
static struct batch *take_answered(struct lookup_stream *stream)
{
    struct batch *batch = stream->sent[0];
    stream->sent_count--;
    memmove(stream->sent, stream->sent + 1, (size_t)stream->sent_count * sizeof stream->sent[0]);
    stream->answered_ms = clock_mono_ms();
    return batch;
}

/*
 * Sends the batch once more if only its preparation was refused: a view has changed its columns since, or the Parse
 * that this statement relied on was refused itself; and after a conflict with a standby's recovery (40001).
 */
static bool try_again(struct lookup_stream *stream, struct batch *batch, const struct err *err)
{
    static const char *const codes[] = {"0A000", "26000", "42P05", "40001"};
    bool again = false;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        again |= strcmp(err->sqlstate, codes[i]) == 0;
    if (!again || batch->sent_again)
        return false;
    batch->sent_again = true;
    send_batch(stream, batch);
    return true;
}

/* Handles all answers that have arrived. False: the connection is lost. */
static bool take_answers(struct lookup_stream *stream, struct err *err)
{
    for (;;) {
        struct batch *batch = NULL;
        struct db_result *result = NULL;
        pthread_mutex_lock(&stream->connection_mutex);
        enum cv_status status = db_stream_receive(stream->db, &result, err);
        if (result != NULL || err->sqlstate[0])
            batch = take_answered(stream);
        pthread_mutex_unlock(&stream->connection_mutex);
        if (batch == NULL)
            return status == CV_OK;
        stream->proven = true;
        retry_reset(&stream->retry);
        metric_observe_us(stream->duration, clock_mono_us() - batch->sent_us);
        if (result != NULL)
            note_success(stream);
        else if (try_again(stream, batch, err))
            continue;
        else
            note_refusal(stream, err);
        end_statement(stream, batch, result, lookup_refused);
    }
}

/* --- the thread: the connection ----------------------------------------------------------------------------------- */

static void close_connection(struct lookup_stream *stream, enum link link)
{
    pthread_mutex_lock(&stream->connection_mutex);
    db_close(stream->db);
    stream->db = NULL;
    stream->link = link;
    pthread_mutex_unlock(&stream->connection_mutex);
}

/*
 * Sends a statement without questions if none is in flight: it proves the connection, the views and the right to read.
 */
static void ping(struct lookup_stream *stream)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&stream->mutex);
    if (stream->in_flight == 0)
        batch = take_forming(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (batch != NULL)
        send_batch(stream, batch);
}

static bool is_stopping(void *context)
{
    struct lookup_stream *stream = context;
    pthread_mutex_lock(&stream->mutex);
    bool stopping = stream->stopping;
    pthread_mutex_unlock(&stream->mutex);
    return stopping;
}

/* Resends the statements that the last connection left unanswered. */
static enum cv_status open_connection(struct lookup_stream *stream, int timeout_ms, struct err *err)
{
    struct db *db = NULL;
    const struct db_cancel cancel = {.cancelled = is_stopping, .context = stream};
    enum cv_status status = db_open_unless(stream->options.database, "caseview-api", sql_setup, timeout_ms, &cancel,
                                           &db, err);
    if (status != CV_OK)
        return status;
    stream->proven = false;
    stream->opened_ms = clock_mono_ms();
    pthread_mutex_lock(&stream->connection_mutex);
    stream->db = db;
    stream->link = LINK_UP;
    stream->answered_ms = stream->opened_ms;
    for (int i = 0; i < stream->sent_count; i++)
        if (!send_statement(stream, stream->sent[i]))
            wake_thread(stream);
    pthread_mutex_unlock(&stream->connection_mutex);
    return CV_OK;
}

/* From LINK_BROKEN to LINK_DOWN: refuses all questions, those in flight and in the batch being filled included. */
static void set_disconnected(struct lookup_stream *stream, const struct err *err)
{
    struct batch *orphans[DEPTH + 1];
    int count = 0;
    pthread_mutex_lock(&stream->mutex);
    stream->connected = false;
    stream->why = *err;
    if (stream->forming->count > 0)
        orphans[count++] = take_forming(stream);
    pthread_mutex_unlock(&stream->mutex);
    metric_set(stream->connected_gauge, 0);
    metric_add(stream->errors, 1);
    stream->lost_ms = clock_mono_ms();
    retry_failed(&stream->retry);
    log_warn("database connection lost, requests get 503 until it is back: %s", err->text);

    pthread_mutex_lock(&stream->connection_mutex);
    stream->link = LINK_DOWN;
    for (; stream->sent_count > 0; stream->sent_count--)
        orphans[count++] = stream->sent[stream->sent_count - 1];
    pthread_mutex_unlock(&stream->connection_mutex);
    for (int i = 0; i < count; i++)
        end_statement(stream, orphans[i], NULL, database_unreachable);
}

/* Sleeps until the socket is ready, the thread is woken, or the time is up. */
static void wait_for(struct lookup_stream *stream, int socket, bool writable, int64_t timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = stream->wake_fd, .events = POLLIN},
        {.fd = socket, .events = (short)(POLLIN | (writable ? POLLOUT : 0))},
    };
    poll(fds, ARRAY_LEN(fds), timeout_ms > 0 ? (int)timeout_ms : 0);
    eventfd_t ignored;
    if (fds[0].revents)
        eventfd_read(stream->wake_fd, &ignored);
}

/* False: the stream is being freed. */
static bool wait_until(struct lookup_stream *stream, int64_t time_ms)
{
    while (!is_stopping(stream)) {
        int64_t now = clock_mono_ms();
        if (now >= time_ms)
            return true;
        wait_for(stream, -1, false, time_ms - now);
    }
    return false;
}

/*
 * Reconnects once, at once: after a restart of the database, or a connection that a proxy cut, the next one often
 * succeeds. A connection that breaks as soon as it is open is not reopened without a pause.
 */
static void recover(struct lookup_stream *stream, struct err *err)
{
    close_connection(stream, LINK_BROKEN);
    if (stream->proven) {
        metric_add(stream->errors, 1);
        log_info("database connection lost, reconnecting: %s", err->text);
        if (wait_until(stream, stream->opened_ms + RECONNECT_EVERY_MS) &&
            open_connection(stream, RECONNECT_TIMEOUT_MS, err) == CV_OK) {
            ping(stream);
            return;
        }
    }
    set_disconnected(stream, err);
}

/* One attempt, when it is due. */
static void try_to_connect(struct lookup_stream *stream)
{
    if (!wait_until(stream, stream->retry.next_at_ms))
        return;
    struct err err = ERR_INIT;
    enum cv_status status = open_connection(stream, stream->options.connect_timeout_ms, &err);
    pthread_mutex_lock(&stream->mutex);
    stream->connected = status == CV_OK;
    stream->fatal |= status == CV_FATAL;
    if (status != CV_OK)
        stream->why = err;
    pthread_mutex_unlock(&stream->mutex);
    if (status != CV_OK) {
        retry_failed(&stream->retry);
        metric_add(stream->errors, 1);
        if (status == CV_FATAL || retry_worth_logging(&stream->retry))
            log_warn("cannot connect to the database (attempt %u), requests get 503: %s", stream->retry.attempts,
                     err.text);
        return;
    }
    if (stream->lost_ms)
        log_info("database connection restored after %lld ms", (long long)(clock_mono_ms() - stream->lost_ms));
    else
        log_info("database connected");
    stream->lost_ms = 0;
    metric_set(stream->connected_gauge, 1);
    ping(stream);
}

/* Deadline of the oldest statement, from its sending or from the answer before it; or the time of the next ping. */
static int64_t next_deadline_ms(const struct lookup_stream *stream)
{
    if (stream->sent_count == 0)
        return stream->answered_ms + PING_EVERY_MS;
    const struct batch *oldest = stream->sent[0];
    int64_t since_ms = oldest->sent_us / 1000;
    if (since_ms < stream->answered_ms)
        since_ms = stream->answered_ms;
    return since_ms + (oldest->count > 0 ? STATEMENT_TIMEOUT_MS : PING_TIMEOUT_MS);
}

static void serve(struct lookup_stream *stream)
{
    struct err err = ERR_INIT;
    pthread_mutex_lock(&stream->connection_mutex);
    bool writable = db_wants_write(stream->db);
    int socket = db_socket(stream->db);
    int64_t deadline_ms = next_deadline_ms(stream);
    pthread_mutex_unlock(&stream->connection_mutex);
    wait_for(stream, socket, writable, deadline_ms - clock_mono_ms());

    bool lost = !take_answers(stream, &err);
    pthread_mutex_lock(&stream->connection_mutex);
    bool late = clock_mono_ms() >= next_deadline_ms(stream);
    bool idle = stream->sent_count == 0;
    pthread_mutex_unlock(&stream->connection_mutex);
    if (!lost && late && !idle)
        err_set(&err, "no answer in time");
    if (lost || (late && !idle))
        recover(stream, &err);
    else if (late)
        ping(stream);
}

static void *run(void *context)
{
    struct lookup_stream *stream = context;
    while (!is_stopping(stream)) {
        if (stream->link == LINK_UP)
            serve(stream);
        else
            try_to_connect(stream);
    }
    close_connection(stream, LINK_DOWN);
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void make_metrics(struct lookup_stream *stream, struct metrics *metrics)
{
    stream->batches = metrics_counter(metrics, "caseview_api_batches_total", NULL,
                                      "Statements with questions sent to the database");
    stream->questions = metrics_counter(
        metrics, "caseview_api_batched_requests_total", NULL,
        "Distinct questions in these statements; divided by caseview_api_batches_total: the mean batch size");
    stream->errors = metrics_counter(metrics, "caseview_api_database_errors_total", NULL,
                                     "Failed statements and connections");
    stream->connected_gauge = metrics_gauge(metrics, "caseview_api_database_connections", NULL,
                                            "Open database connections for look-ups");
    stream->waiting_gauge = metrics_gauge(metrics, "caseview_api_waiting", NULL,
                                          "Requests waiting for the database when the last statement was sent");
    stream->duration = metrics_histogram(metrics, "caseview_api_statement_seconds", NULL,
                                         "From sending a statement to its answer");
}

struct lookup_stream *lookup_stream_new(const struct lookup_stream_options *options)
{
    struct lookup_stream *stream = cv_zalloc(sizeof *stream);
    stream->options = *options;
    make_metrics(stream, options->metrics);
    pthread_mutex_init(&stream->mutex, NULL);
    pthread_mutex_init(&stream->connection_mutex, NULL);
    batch_pool_init(&stream->pool, options->callers < BATCH_MAX ? (size_t)options->callers : BATCH_MAX, 2 * DEPTH);
    stream->forming = batch_pool_get(&stream->pool);
    snprintf(stream->why.text, sizeof stream->why.text, "not connected yet");
    retry_init(&stream->retry, RETRY_BASE_MS, RETRY_MAX_MS);
    stream->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(stream->wake_fd >= 0);
    int failed = pthread_create(&stream->thread, NULL, run, stream);
    assert(failed == 0);
    return stream;
}

void lookup_stream_free(struct lookup_stream *stream)
{
    if (stream == NULL)
        return;
    pthread_mutex_lock(&stream->mutex);
    stream->stopping = true;
    pthread_mutex_unlock(&stream->mutex);
    wake_thread(stream);
    pthread_join(stream->thread, NULL);
    for (int i = 0; i < stream->sent_count; i++)
        batch_free(stream->sent[i]);
    batch_free(stream->forming);
    batch_pool_done(&stream->pool);
    close(stream->wake_fd);
    pthread_mutex_destroy(&stream->connection_mutex);
    pthread_mutex_destroy(&stream->mutex);
    free(stream);
}

struct metric *lookup_stream_errors(const struct lookup_stream *stream)
{
    return stream->errors;
}

void lookup_stream_reason(struct lookup_stream *stream, char *out, size_t size)
{
    pthread_mutex_lock(&stream->mutex);
    if (!stream->connected)
        snprintf(out, size, "no database connection: %s", stream->why.text);
    else if (stream->refusal.text[0])
        snprintf(out, size, "the database refuses the look-up: %s", stream->refusal.text);
    else
        out[0] = '\0';
    pthread_mutex_unlock(&stream->mutex);
}

bool lookup_stream_is_fatal(struct lookup_stream *stream, struct err *out_err)
{
    pthread_mutex_lock(&stream->mutex);
    bool fatal = stream->fatal;
    if (fatal)
        *out_err = stream->why;
    pthread_mutex_unlock(&stream->mutex);
    return fatal;
}
