#include "reader.h"

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
#include "reader_batch.h"
#include "sql_api.h"

enum {
    DEPTH = 3,                   /* statements sent and not answered (docs/decisions/0009) */
    STATEMENT_TIMEOUT_MS = 2000, /* a frozen database is noticed … */
    RECONNECT_TIMEOUT_MS = 1000, /* … and tried once more while those who ask still wait; names may take longer */
    ASK_TIMEOUT_MS = 5000,
    PING_EVERY_MS = 2000, /* while nobody asks */
    PING_TIMEOUT_MS = 1000,
    RECONNECT_EVERY_MS = 100, /* at most, while each connection breaks soon */
    RETRY_BASE_MS = 100,
    RETRY_MAX_MS = 2000,
    BATCHES_KEPT = 2 * DEPTH,
};

static const char cannot_be_reached[] = "The database cannot be reached now.";
static const char cannot_be_read[] = "The database cannot be read now.";

static const struct db_statement active_cases = {"active_cases", sql_active_cases};

enum link {
    LINK_DOWN,   /* no connection, and nothing waits for one */
    LINK_BROKEN, /* just now: what is sent waits for the one try of another */
    LINK_UP,
};

struct reader {
    struct reader_options options;
    struct metric *batches, *questions, *errors, *connected_gauge, *waiting_gauge, *duration;
    atomic_int waiting;

    pthread_mutex_t mutex; /* guards the next lines; never held over I/O */
    struct batch *forming; /* never NULL */
    size_t asked;          /* questions of the statements under way */
    int under_way;         /* statements that were taken and have not ended */
    struct batch *free;
    int free_count;
    bool connected; /* questions are taken */
    bool stopping, hopeless;
    struct err why;     /* of the last failed connection */
    struct err refusal; /* of the last statement, "" when it was not refused */

    /* Guards the next lines; held while libpq sends and receives, which never blocks. Not taken together with mutex. */
    pthread_mutex_t connection_mutex;
    enum link link;            /* only the reader thread changes it */
    struct db *db;             /* LINK_UP; else NULL */
    struct batch *sent[DEPTH]; /* in order of sending; LINK_BROKEN: to be sent by the next connection */
    int sent_count;
    int64_t answered_ms; /* the last answer, or the connection's beginning */

    /* The reader thread's. */
    pthread_t thread;
    int wake_fd;
    struct retry retry;
    int64_t opened_ms;        /* the last connection */
    int64_t lost_ms;          /* when questions began to be refused; 0: they are not, or never were taken */
    bool proven;              /* the last connection has answered */
    unsigned refusals_in_row; /* statements that the server refused */
};

/* --- batches ------------------------------------------------------------------------------------------------------ */

/* Caller holds the mutex. The batch that formed, as a statement under way; a fresh one takes its place. */
static struct batch *take_forming(struct reader *reader)
{
    struct batch *batch = reader->forming;
    struct batch *fresh = reader->free;
    if (fresh) {
        reader->free = fresh->next_free;
        reader->free_count--;
    }
    reader->forming = fresh ? fresh : batch_new((size_t)reader->options.callers);
    reader->under_way++;
    reader->asked += batch->count;
    return batch;
}

/*
 * Caller holds the mutex. The first question goes at once; a further statement starts beside those under way when it
 * asks for as many as they do. Smaller ones would cost the database more than they gain. NULL: not yet.
 */
static struct batch *take_if_worth_it(struct reader *reader)
{
    size_t count = reader->forming->count;
    if (!reader->connected || reader->under_way >= DEPTH || count == 0 || count < reader->asked)
        return NULL;
    metric_add(reader->batches, 1);
    metric_add(reader->questions, (int64_t)count);
    metric_set(reader->waiting_gauge, atomic_load_explicit(&reader->waiting, memory_order_relaxed));
    return take_forming(reader);
}

static void batch_release(struct reader *reader, struct batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) != 1)
        return;
    batch_reset(batch);
    pthread_mutex_lock(&reader->mutex);
    bool keep = reader->free_count < BATCHES_KEPT;
    if (keep) {
        batch->next_free = reader->free;
        reader->free = batch;
        reader->free_count++;
    }
    pthread_mutex_unlock(&reader->mutex);
    if (!keep)
        batch_free(batch);
}

static void wake_thread(struct reader *reader)
{
    if (eventfd_write(reader->wake_fd, 1) != 0)
        log_error("reader: its thread cannot be woken: %m");
}

/* Caller holds the connection. False: its thread should look at it. */
static bool send_statement(struct reader *reader, struct batch *batch)
{
    struct err err = ERR_INIT;
    batch->sent_us = clock_mono_us();
    enum cv_status status = db_stream_send(reader->db, &active_cases, batch_args(batch), &err);
    assert(status != CV_FATAL); /* a batch has room for the parameters of all its items */
    return status == CV_OK && !db_wants_write(reader->db);
}

static void end_statement(struct reader *reader, struct batch *batch, struct db_result *result, const char *why);

/* Any thread. With LINK_DOWN no question is taken, so that end_statement() finds no next batch to send here again. */
static void send_batch(struct reader *reader, struct batch *batch)
{
    bool look = false;
    pthread_mutex_lock(&reader->connection_mutex);
    enum link link = reader->link;
    if (link != LINK_DOWN) {
        assert(reader->sent_count < DEPTH);
        reader->sent[reader->sent_count++] = batch;
    }
    if (link == LINK_UP)
        look = !send_statement(reader, batch);
    pthread_mutex_unlock(&reader->connection_mutex);
    if (link == LINK_DOWN)
        end_statement(reader, batch, NULL, cannot_be_reached);
    if (look)
        wake_thread(reader);
}

/* The next one is sent first, so that the database has something to do while those who asked wake up. */
static void end_statement(struct reader *reader, struct batch *batch, struct db_result *result, const char *why)
{
    pthread_mutex_lock(&reader->mutex);
    reader->under_way--;
    reader->asked -= batch->count;
    struct batch *next = take_if_worth_it(reader);
    pthread_mutex_unlock(&reader->mutex);
    if (next)
        send_batch(reader, next);
    batch_end(batch, result, why);
    batch_release(reader, batch);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Joins the batch that forms. NULL: refused. */
static struct batch *join(struct reader *reader, const struct question *question, size_t *out_index,
                          const char **out_why)
{
    struct batch *batch = NULL, *next = NULL;
    pthread_mutex_lock(&reader->mutex);
    if (!reader->connected) {
        *out_why = cannot_be_reached;
    } else if (reader->forming->count == reader->forming->capacity) {
        *out_why = "Too many requests are waiting for the database.";
    } else {
        batch = reader->forming;
        *out_index = batch_add(batch, question);
        atomic_fetch_add_explicit(&batch->references, 1, memory_order_relaxed);
        next = take_if_worth_it(reader);
    }
    pthread_mutex_unlock(&reader->mutex);
    if (next)
        send_batch(reader, next);
    return batch;
}

enum cv_status reader_ask(struct reader *reader, const struct question *question, struct reading *out_reading,
                          struct buf *out_body, const char **out_why)
{
    enum cv_status status = CV_RETRY;
    size_t index = 0;
    struct batch *batch = NULL;
    if (atomic_fetch_add_explicit(&reader->waiting, 1, memory_order_relaxed) >= reader->options.max_waiting)
        *out_why = "Too many requests are waiting for the database.";
    else
        batch = join(reader, question, &index, out_why);
    if (batch) {
        if (!batch_wait(batch, clock_mono_us() + ASK_TIMEOUT_MS * 1000))
            *out_why = "The database did not answer in time.";
        else if (!batch->result)
            *out_why = batch->why;
        else if (!batch_read(batch, index, out_reading, out_body))
            *out_why = "The database's answer is incomplete.";
        else
            status = CV_OK;
        batch_release(reader, batch);
    }
    atomic_fetch_sub_explicit(&reader->waiting, 1, memory_order_relaxed);
    return status;
}

/* --- the reader thread: answers ----------------------------------------------------------------------------------- */

/* The server refused the statement: a missing view, a missing right. The connection stands, each request gets its 503.
 */
static void note_refusal(struct reader *reader, const struct err *err)
{
    unsigned n = ++reader->refusals_in_row;
    metric_add(reader->errors, 1);
    pthread_mutex_lock(&reader->mutex);
    if (strcmp(err->sqlstate, "26000") != 0 || !reader->refusal.text[0]) /* only follows from a refused Parse */
        reader->refusal = *err;
    struct err why = reader->refusal;
    pthread_mutex_unlock(&reader->mutex);
    if ((n & (n - 1)) == 0) /* 1, 2, 4, 8 … */
        log_error("database refuses the look-up, requests get 503: %s (%u times in a row)", why.text, n);
}

static void note_success(struct reader *reader)
{
    if (reader->refusals_in_row == 0)
        return;
    log_info("database takes the look-up again, after %u refusals", reader->refusals_in_row);
    reader->refusals_in_row = 0;
    pthread_mutex_lock(&reader->mutex);
    reader->refusal.text[0] = '\0';
    pthread_mutex_unlock(&reader->mutex);
}

/* Caller holds the connection. The oldest one has been answered. */
static struct batch *take_answered(struct reader *reader)
{
    struct batch *batch = reader->sent[0];
    reader->sent_count--;
    memmove(reader->sent, reader->sent + 1, (size_t)reader->sent_count * sizeof reader->sent[0]);
    reader->answered_ms = clock_mono_ms();
    return batch;
}

/*
 * Only its preparation was refused: a view has changed its shape since, or the Parse that this one counted upon was
 * refused itself. It is prepared anew once more.
 */
static bool try_again(struct reader *reader, struct batch *batch, const struct err *err)
{
    static const char *const codes[] = {"0A000", "26000", "42P05"};
    bool again = false;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        again |= strcmp(err->sqlstate, codes[i]) == 0;
    if (!again || batch->sent_again)
        return false;
    batch->sent_again = true;
    send_batch(reader, batch);
    return true;
}

/* All answers that have come. False: the connection is lost. */
static bool take_answers(struct reader *reader, struct err *err)
{
    for (;;) {
        struct batch *batch = NULL;
        struct db_result *result = NULL;
        pthread_mutex_lock(&reader->connection_mutex);
        enum cv_status status = db_stream_receive(reader->db, &result, err);
        if (result || err->sqlstate[0])
            batch = take_answered(reader);
        pthread_mutex_unlock(&reader->connection_mutex);
        if (!batch)
            return status == CV_OK;
        reader->proven = true;
        retry_reset(&reader->retry);
        metric_observe_us(reader->duration, clock_mono_us() - batch->sent_us);
        if (result)
            note_success(reader);
        else if (try_again(reader, batch, err))
            continue;
        else
            note_refusal(reader, err);
        end_statement(reader, batch, result, cannot_be_read);
    }
}

/* --- the reader thread: the connection ---------------------------------------------------------------------------- */

static void close_connection(struct reader *reader, enum link link)
{
    pthread_mutex_lock(&reader->connection_mutex);
    db_close(reader->db);
    reader->db = NULL;
    reader->link = link;
    pthread_mutex_unlock(&reader->connection_mutex);
}

/* A statement for nobody, if none is under way: does the connection stand, are the views there, may they be read? */
static void ping(struct reader *reader)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&reader->mutex);
    if (reader->under_way == 0)
        batch = take_forming(reader);
    pthread_mutex_unlock(&reader->mutex);
    if (batch)
        send_batch(reader, batch);
}

/* Sends what the last connection owed an answer. */
static enum cv_status open_connection(struct reader *reader, int timeout_ms, struct err *err)
{
    struct db *db = NULL;
    enum cv_status status = db_open(reader->options.database, "caseview-api", sql_setup, timeout_ms, &db, err);
    if (status != CV_OK)
        return status;
    reader->proven = false;
    reader->opened_ms = clock_mono_ms();
    pthread_mutex_lock(&reader->connection_mutex);
    reader->db = db;
    reader->link = LINK_UP;
    reader->answered_ms = reader->opened_ms;
    for (int i = 0; i < reader->sent_count; i++)
        if (!send_statement(reader, reader->sent[i]))
            wake_thread(reader);
    pthread_mutex_unlock(&reader->connection_mutex);
    return CV_OK;
}

/* LINK_BROKEN until now. From now on questions are refused; those under way and in the forming batch, too. */
static void set_disconnected(struct reader *reader, const struct err *err)
{
    struct batch *orphans[DEPTH + 1];
    int count = 0;
    pthread_mutex_lock(&reader->mutex);
    reader->connected = false;
    reader->why = *err;
    if (reader->forming->count > 0)
        orphans[count++] = take_forming(reader);
    pthread_mutex_unlock(&reader->mutex);
    metric_set(reader->connected_gauge, 0);
    metric_add(reader->errors, 1);
    reader->lost_ms = clock_mono_ms();
    retry_failed(&reader->retry);
    log_warn("database lost, requests get 503 until it is back: %s", err->text);

    pthread_mutex_lock(&reader->connection_mutex);
    reader->link = LINK_DOWN;
    for (; reader->sent_count > 0; reader->sent_count--)
        orphans[count++] = reader->sent[reader->sent_count - 1];
    pthread_mutex_unlock(&reader->connection_mutex);
    for (int i = 0; i < count; i++)
        end_statement(reader, orphans[i], NULL, cannot_be_reached);
}

static bool is_stopping(struct reader *reader)
{
    pthread_mutex_lock(&reader->mutex);
    bool stopping = reader->stopping;
    pthread_mutex_unlock(&reader->mutex);
    return stopping;
}

/* Until the socket, the wake-up or the time asks for a look. */
static void wait_for(struct reader *reader, int socket, bool writable, int64_t timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = reader->wake_fd, .events = POLLIN},
        {.fd = socket, .events = (short)(POLLIN | (writable ? POLLOUT : 0))},
    };
    poll(fds, ARRAY_LEN(fds), timeout_ms > 0 ? (int)timeout_ms : 0);
    eventfd_t ignored;
    if (fds[0].revents)
        eventfd_read(reader->wake_fd, &ignored);
}

/* False: the program stops. */
static bool wait_until(struct reader *reader, int64_t time_ms)
{
    while (!is_stopping(reader)) {
        int64_t now = clock_mono_ms();
        if (now >= time_ms)
            return true;
        wait_for(reader, -1, false, time_ms - now);
    }
    return false;
}

/*
 * A restarted database or an idle connection cut on the way: the next connection often stands at once. One that breaks
 * as soon as it stands is not made anew without a pause.
 */
static void recover(struct reader *reader, struct err *err)
{
    close_connection(reader, LINK_BROKEN);
    if (reader->proven) {
        metric_add(reader->errors, 1);
        log_info("database connection broken, trying once more: %s", err->text);
        if (wait_until(reader, reader->opened_ms + RECONNECT_EVERY_MS) &&
            open_connection(reader, RECONNECT_TIMEOUT_MS, err) == CV_OK) {
            ping(reader);
            return;
        }
    }
    set_disconnected(reader, err);
}

/* One try, when it is due. */
static void try_to_connect(struct reader *reader)
{
    if (!wait_until(reader, reader->retry.next_at_ms))
        return;
    struct err err = ERR_INIT;
    enum cv_status status = open_connection(reader, reader->options.connect_timeout_ms, &err);
    pthread_mutex_lock(&reader->mutex);
    reader->connected = status == CV_OK;
    reader->hopeless |= status == CV_FATAL;
    if (status != CV_OK)
        reader->why = err;
    pthread_mutex_unlock(&reader->mutex);
    if (status != CV_OK) {
        retry_failed(&reader->retry);
        metric_add(reader->errors, 1);
        if (status == CV_FATAL || retry_worth_logging(&reader->retry))
            log_warn("no database connection (try %u): %s", reader->retry.attempts, err.text);
        return;
    }
    if (reader->lost_ms)
        log_info("database connected again after %lld ms", (long long)(clock_mono_ms() - reader->lost_ms));
    else
        log_info("database connected");
    reader->lost_ms = 0;
    metric_set(reader->connected_gauge, 1);
    ping(reader);
}

/* The oldest statement has so long from its sending, or from the answer to the one before it. */
static int64_t next_look_ms(const struct reader *reader)
{
    if (reader->sent_count == 0)
        return reader->answered_ms + PING_EVERY_MS;
    const struct batch *oldest = reader->sent[0];
    int64_t since_ms = oldest->sent_us / 1000;
    if (since_ms < reader->answered_ms)
        since_ms = reader->answered_ms;
    return since_ms + (oldest->count > 0 ? STATEMENT_TIMEOUT_MS : PING_TIMEOUT_MS);
}

static void serve(struct reader *reader)
{
    struct err err = ERR_INIT;
    pthread_mutex_lock(&reader->connection_mutex);
    bool writable = db_wants_write(reader->db);
    int socket = db_socket(reader->db);
    int64_t look_ms = next_look_ms(reader);
    pthread_mutex_unlock(&reader->connection_mutex);
    wait_for(reader, socket, writable, look_ms - clock_mono_ms());

    bool lost = !take_answers(reader, &err);
    pthread_mutex_lock(&reader->connection_mutex);
    bool late = clock_mono_ms() >= next_look_ms(reader);
    bool idle = reader->sent_count == 0;
    pthread_mutex_unlock(&reader->connection_mutex);
    if (!lost && late && !idle)
        err_set(&err, "no answer in time");
    if (lost || (late && !idle))
        recover(reader, &err);
    else if (late)
        ping(reader);
}

static void *run(void *context)
{
    struct reader *reader = context;
    while (!is_stopping(reader)) {
        if (reader->link == LINK_UP)
            serve(reader);
        else
            try_to_connect(reader);
    }
    close_connection(reader, LINK_DOWN);
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void make_metrics(struct reader *reader, struct metrics *metrics)
{
    reader->batches = metrics_counter(metrics, "caseview_api_batches_total", NULL,
                                      "Statements of requests sent to the database");
    reader->questions = metrics_counter(
        metrics, "caseview_api_batched_requests_total", NULL,
        "Requests in these statements; over caseview_api_batches_total: the batch size");
    reader->errors = metrics_counter(metrics, "caseview_api_database_errors_total", NULL,
                                     "Failed statements and connections");
    reader->connected_gauge = metrics_gauge(metrics, "caseview_api_database_connections", NULL,
                                            "Database connections that stand");
    reader->waiting_gauge = metrics_gauge(metrics, "caseview_api_waiting", NULL,
                                          "Requests that waited for the database when the last statement began");
    reader->duration = metrics_histogram(metrics, "caseview_api_statement_seconds", NULL,
                                         "From the sending of a statement to its answer");
}

struct reader *reader_new(const struct reader_options *options)
{
    struct reader *reader = cv_zalloc(sizeof *reader);
    reader->options = *options;
    make_metrics(reader, options->metrics);
    pthread_mutex_init(&reader->mutex, NULL);
    pthread_mutex_init(&reader->connection_mutex, NULL);
    reader->forming = batch_new((size_t)options->callers);
    snprintf(reader->why.text, sizeof reader->why.text, "not connected yet");
    retry_init(&reader->retry, RETRY_BASE_MS, RETRY_MAX_MS);
    reader->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(reader->wake_fd >= 0);
    int failed = pthread_create(&reader->thread, NULL, run, reader);
    assert(failed == 0);
    return reader;
}

void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->mutex);
    reader->stopping = true;
    pthread_mutex_unlock(&reader->mutex);
    wake_thread(reader);
    pthread_join(reader->thread, NULL);
    for (int i = 0; i < reader->sent_count; i++)
        batch_free(reader->sent[i]);
    batch_free(reader->forming);
    for (struct batch *batch = reader->free, *next; batch; batch = next) {
        next = batch->next_free;
        batch_free(batch);
    }
    close(reader->wake_fd);
    pthread_mutex_destroy(&reader->connection_mutex);
    pthread_mutex_destroy(&reader->mutex);
    free(reader);
}

void reader_reason(struct reader *reader, char *out, size_t size)
{
    pthread_mutex_lock(&reader->mutex);
    if (!reader->connected)
        snprintf(out, size, "no database connection: %s", reader->why.text);
    else if (reader->refusal.text[0])
        snprintf(out, size, "the database refuses the look-up: %s", reader->refusal.text);
    else
        out[0] = '\0';
    pthread_mutex_unlock(&reader->mutex);
}

bool reader_is_hopeless(struct reader *reader, struct err *out_err)
{
    pthread_mutex_lock(&reader->mutex);
    bool hopeless = reader->hopeless;
    if (hopeless)
        *out_err = reader->why;
    pthread_mutex_unlock(&reader->mutex);
    return hopeless;
}
