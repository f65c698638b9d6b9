#include "reader.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "caseview/arena.h"
#include "caseview/clock.h"
#include "caseview/db.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "role.h"
#include "sql_api.h"
#include "tokens.h"

enum {
    READERS = 2,                 /* connections: while one statement runs, the next one forms and starts */
    STATEMENT_TIMEOUT_MS = 2000, /* a frozen database is noticed … */
    RECONNECT_TIMEOUT_MS = 1000, /* … and tried once more while those who ask still wait */
    ASK_TIMEOUT_MS = 5000,
    PING_EVERY_MS = 2000, /* while nobody asks */
    PING_TIMEOUT_MS = 1000,
    SHARE = 4, /* a further statement starts beside others for at least this part of what they serve */
    RETRY_BASE_MS = 100,
    RETRY_MAX_MS = 2000,
    BATCHES_KEPT = 4,
    ARENA_BLOCK = 32 * 1024,
};

static const struct db_statement active_cases = {"active_cases", sql_active_cases};

/* A question, copied: who asked may have gone away before the statement is sent. */
struct item {
    struct uuid application;
    struct uuid user;
    struct str client; /* in the batch's arena */
    bool need_roles;
};

/*
 * Forms (the mutex guards it), is under way (its reader thread's), has ended (read-only for those who asked), and goes
 * back when the last reference is given up. `ended` is a futex: one wake-up serves all.
 */
struct batch {
    struct batch *next_free;
    atomic_uint ended;
    atomic_int references; /* those who asked, and the reader thread */
    struct arena *arena;
    struct db_result *result; /* NULL: failed */
    const char *why;
    size_t count;
    struct item items[];
};

struct reader_thread {
    struct reader *reader;
    pthread_t thread;
    struct db *db; /* NULL: not connected */
    struct retry retry;
    int64_t lost_ms;          /* when the connection was lost; 0: it stands, or never stood */
    unsigned refusals_in_row; /* statements that the server refused */
    struct batch *nobody;     /* an empty one, to see whether the statement can be run at all */
};

struct reader {
    struct reader_options options;
    struct metric *batches, *questions, *errors, *connected_gauge, *waiting_gauge, *duration;
    atomic_int waiting;

    pthread_mutex_t mutex; /* guards all below; never held over I/O */
    pthread_cond_t work;
    struct batch *forming; /* never NULL */
    size_t in_flight;      /* questions of the statements under way */
    struct batch *free;
    int free_count;
    int connected; /* threads with a connection */
    bool stopping;
    bool hopeless;
    struct err why;     /* of the last failed connection */
    struct err refusal; /* of the last statement, "" when it was not refused */

    struct reader_thread threads[READERS];
};

/* --- batches ------------------------------------------------------------------------------------------------------ */

static struct batch *batch_new(const struct reader *reader)
{
    size_t capacity = (size_t)reader->options.callers;
    struct batch *batch = cv_zalloc(sizeof *batch + capacity * sizeof batch->items[0]);
    batch->arena = arena_new(ARENA_BLOCK, 2 * ARENA_BLOCK + capacity * (2 * CLIENT_ID_MAX + 256));
    atomic_init(&batch->references, 1);
    return batch;
}

static void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    db_result_free(batch->result);
    arena_free(batch->arena);
    free(batch);
}

/* Caller holds the mutex. The batch that formed; a fresh one takes its place. */
static struct batch *take_forming(struct reader *reader)
{
    struct batch *batch = reader->forming;
    struct batch *fresh = reader->free;
    if (fresh) {
        reader->free = fresh->next_free;
        reader->free_count--;
    }
    reader->forming = fresh ? fresh : batch_new(reader);
    return batch;
}

static void batch_release(struct reader *reader, struct batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) != 1)
        return;
    db_result_free(batch->result);
    batch->result = NULL;
    batch->count = 0;
    arena_reset(batch->arena);
    atomic_store_explicit(&batch->references, 1, memory_order_relaxed);
    atomic_store_explicit(&batch->ended, 0, memory_order_relaxed);

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

static void batch_end(struct reader *reader, struct batch *batch, struct db_result *result, const char *why)
{
    batch->result = result;
    batch->why = why;
    atomic_store_explicit(&batch->ended, 1, memory_order_release);
    syscall(SYS_futex, &batch->ended, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    batch_release(reader, batch);
}

/* False: not ended at the deadline. */
static bool batch_wait(struct batch *batch, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000};
    while (!atomic_load_explicit(&batch->ended, memory_order_acquire)) {
        long result = syscall(SYS_futex, &batch->ended, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL,
                              FUTEX_BITSET_MATCH_ANY);
        if (result == -1 && errno == ETIMEDOUT)
            return atomic_load_explicit(&batch->ended, memory_order_acquire);
    }
    return true;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/*
 * Caller holds the mutex. A few questions wait for the statement that is under way, or for more of them: statements of
 * one or two questions each would cost the database more than they gain.
 */
static bool is_worth_a_statement(const struct reader *reader, size_t questions)
{
    return questions > 0 && questions * SHARE >= reader->in_flight;
}

/* Joins the batch that forms. NULL: refused. */
static struct batch *join(struct reader *reader, const struct question *question, size_t *out_index,
                          const char **out_why)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&reader->mutex);
    if (reader->connected == 0) {
        *out_why = "The database cannot be reached now.";
    } else if (reader->forming->count == (size_t)reader->options.callers) {
        *out_why = "Too many requests are waiting for the database.";
    } else {
        batch = reader->forming;
        *out_index = batch->count++;
        batch->items[*out_index] = (struct item){
            .application = question->application,
            .user = question->user,
            .client = arena_str(batch->arena, question->client),
            .need_roles = question->need_roles,
        };
        atomic_fetch_add_explicit(&batch->references, 1, memory_order_relaxed);
        if (is_worth_a_statement(reader, batch->count) && !is_worth_a_statement(reader, batch->count - 1))
            pthread_cond_signal(&reader->work); /* once a batch */
    }
    pthread_mutex_unlock(&reader->mutex);
    return batch;
}

/* The rows are in the order of the items, at least one each: the first one of item `index`. */
static int first_row(const struct db_result *result, size_t index)
{
    int low = 0;
    int high = db_rows(result);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (db_int4(result, middle, 0) >> 3 <= (int32_t)index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void put_cases(const struct db_result *result, int row, int32_t key, struct buf *out)
{
    int rows = db_rows(result);
    buf_byte(out, '[');
    for (bool first = true; row < rows && db_int4(result, row, 0) == key; row++, first = false) {
        struct str body = db_str(result, row, 2);
        if (!body.ptr)
            break; /* the one row of an agent without a case */
        if (!first)
            buf_byte(out, ',');
        buf_str(out, body);
    }
    buf_byte(out, ']');
}

static bool take_reading(const struct batch *batch, size_t index, struct reading *out_reading, struct buf *out_body)
{
    const struct db_result *result = batch->result;
    int row = first_row(result, index);
    if (row >= db_rows(result) || db_int4(result, row, 0) >> 3 != (int32_t)index + 1)
        return false; /* the statement gives every item a row */
    int32_t key = db_int4(result, row, 0);
    bool need_roles = batch->items[index].need_roles;
    *out_reading = (struct reading){
        .application_accepted = (key & 1) != 0,
        .application_has_role = need_roles && role_array_has_impersonator(db_str(result, row, 1)),
        .has_current_unit = (key & 2) != 0,
        .has_workspaces = (key & 4) != 0,
    };
    if ((key & 7) == 7 && (!need_roles || out_reading->application_has_role))
        put_cases(result, row, key, out_body);
    return true;
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
        else if (!take_reading(batch, index, out_reading, out_body))
            *out_why = "The database's answer is incomplete.";
        else
            status = CV_OK;
        batch_release(reader, batch);
    }
    atomic_fetch_sub_explicit(&reader->waiting, 1, memory_order_relaxed);
    return status;
}

/* --- the reader thread -------------------------------------------------------------------------------------------- */

static enum cv_status run_statement(struct reader_thread *thread, struct batch *batch, int timeout_ms,
                                    struct db_result **out_result, struct err *err)
{
    struct db_args args;
    db_args_init(&args, batch->arena);
    const size_t stride = sizeof batch->items[0];
    db_arg_uuid_array(&args, &batch->items[0].application, stride, batch->count);
    db_arg_uuid_array(&args, &batch->items[0].user, stride, batch->count);
    db_arg_text_array(&args, &batch->items[0].client, stride, batch->count);
    db_arg_bool_array(&args, &batch->items[0].need_roles, stride, batch->count);
    int64_t begin_us = clock_mono_us();
    enum cv_status status = db_exec(thread->db, &active_cases, &args, timeout_ms, out_result, err);
    metric_observe_us(thread->reader->duration, clock_mono_us() - begin_us);
    return status;
}

static enum cv_status open_connection(struct reader_thread *thread, int timeout_ms, struct err *err)
{
    return db_open(thread->reader->options.database, "caseview-api", sql_setup, timeout_ms, &thread->db, err);
}

static void close_connection(struct reader_thread *thread)
{
    db_close(thread->db);
    thread->db = NULL;
}

/* From now on questions are refused, if this was the last connection; those in the forming batch too. */
static void set_disconnected(struct reader_thread *thread, const struct err *err)
{
    struct reader *reader = thread->reader;
    close_connection(thread);
    struct batch *orphans = NULL;
    pthread_mutex_lock(&reader->mutex);
    reader->connected--;
    reader->why = *err;
    metric_set(reader->connected_gauge, reader->connected);
    if (reader->connected == 0 && reader->forming->count > 0)
        orphans = take_forming(reader);
    pthread_mutex_unlock(&reader->mutex);
    thread->lost_ms = clock_mono_ms();
    metric_add(reader->errors, 1);
    log_warn("database lost, requests get 503 until it is back: %s", err->text);
    if (orphans)
        batch_end(reader, orphans, NULL, "The database cannot be reached now.");
}

/* The server refused the statement: a missing view, a missing right. The connection stands, each request gets its 503.
 */
static void note_refusal(struct reader_thread *thread, const struct err *err)
{
    struct reader *reader = thread->reader;
    unsigned n = ++thread->refusals_in_row;
    metric_add(reader->errors, 1);
    pthread_mutex_lock(&reader->mutex);
    reader->refusal = *err;
    pthread_mutex_unlock(&reader->mutex);
    if ((n & (n - 1)) == 0) /* 1, 2, 4, 8 … */
        log_error("database refuses the look-up, requests get 503: %s (%u times in a row)", err->text, n);
}

static void note_success(struct reader_thread *thread)
{
    if (thread->refusals_in_row == 0)
        return;
    struct reader *reader = thread->reader;
    log_info("database takes the look-up again, after %u refusals", thread->refusals_in_row);
    thread->refusals_in_row = 0;
    pthread_mutex_lock(&reader->mutex);
    reader->refusal.text[0] = '\0';
    pthread_mutex_unlock(&reader->mutex);
}

static void execute(struct reader_thread *thread, struct batch *batch)
{
    struct reader *reader = thread->reader;
    struct db_result *result = NULL;
    struct err err = ERR_INIT;
    metric_add(reader->batches, 1);
    metric_add(reader->questions, (int64_t)batch->count);
    metric_set(reader->waiting_gauge, atomic_load_explicit(&reader->waiting, memory_order_relaxed));
    enum cv_status status = run_statement(thread, batch, STATEMENT_TIMEOUT_MS, &result, &err);
    if (status != CV_OK && db_is_lost(thread->db)) {
        /* A restarted database or an idle connection cut on the way: the next connection often stands at once. */
        log_info("database connection broken, trying once more: %s", err.text);
        close_connection(thread);
        if (open_connection(thread, RECONNECT_TIMEOUT_MS, &err) == CV_OK)
            status = run_statement(thread, batch, STATEMENT_TIMEOUT_MS, &result, &err);
    }
    if (status == CV_OK) {
        note_success(thread);
        batch_end(reader, batch, result, NULL);
        return;
    }
    if (!thread->db || db_is_lost(thread->db))
        set_disconnected(thread, &err);
    else
        note_refusal(thread, &err);
    batch_end(reader, batch, NULL, "The database cannot be read now.");
}

/* Caller holds the mutex. */
static void wait_for_work(struct reader *reader, int64_t until_ms)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_cond_timedwait(&reader->work, &reader->mutex, &until); /* callers look again at what they wait for */
}

/* NULL: nobody asked for a while, or the end is near. */
static struct batch *next_batch(struct reader *reader)
{
    struct batch *batch = NULL;
    int64_t until_ms = clock_mono_ms() + PING_EVERY_MS;
    pthread_mutex_lock(&reader->mutex);
    while (!batch && !reader->stopping && clock_mono_ms() < until_ms) {
        if (!is_worth_a_statement(reader, reader->forming->count)) {
            wait_for_work(reader, until_ms);
            continue;
        }
        /* those who were just woken or read from their sockets may join */
        pthread_mutex_unlock(&reader->mutex);
        sched_yield();
        pthread_mutex_lock(&reader->mutex);
        if (is_worth_a_statement(reader, reader->forming->count)) { /* still: another thread may have taken it */
            reader->in_flight += reader->forming->count;
            batch = take_forming(reader);
        }
    }
    pthread_mutex_unlock(&reader->mutex);
    return batch;
}

/* This thread looks at the forming batch again, unless it has no connection any more: then another one should. */
static void note_done(struct reader_thread *thread, size_t questions)
{
    struct reader *reader = thread->reader;
    pthread_mutex_lock(&reader->mutex);
    reader->in_flight -= questions;
    if (!thread->db && reader->forming->count > 0)
        pthread_cond_signal(&reader->work);
    pthread_mutex_unlock(&reader->mutex);
}

/* The statement for nobody: does the connection stand, are the views there, may they be read? */
static void check_statement(struct reader_thread *thread)
{
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    enum cv_status status = run_statement(thread, thread->nobody, PING_TIMEOUT_MS, &result, &err);
    db_result_free(result);
    arena_reset(thread->nobody->arena);
    if (status == CV_OK)
        note_success(thread);
    else if (db_is_lost(thread->db))
        set_disconnected(thread, &err);
    else
        note_refusal(thread, &err);
}

static void connect_or_wait(struct reader_thread *thread)
{
    struct reader *reader = thread->reader;
    struct err err = ERR_INIT;
    enum cv_status status = open_connection(thread, reader->options.connect_timeout_ms, &err);
    if (status == CV_OK) {
        if (thread->lost_ms)
            log_info("database connected again after %lld ms", (long long)(clock_mono_ms() - thread->lost_ms));
        else
            log_info("database connected");
        thread->lost_ms = 0;
        retry_reset(&thread->retry);
        pthread_mutex_lock(&reader->mutex);
        reader->connected++;
        metric_set(reader->connected_gauge, reader->connected);
        pthread_mutex_unlock(&reader->mutex);
        check_statement(thread);
        return;
    }
    retry_failed(&thread->retry);
    metric_add(reader->errors, 1);
    if (status == CV_FATAL || retry_worth_logging(&thread->retry))
        log_warn("no database connection (try %u): %s", thread->retry.attempts, err.text);
    pthread_mutex_lock(&reader->mutex);
    reader->why = err;
    reader->hopeless |= status == CV_FATAL;
    while (!reader->stopping && !retry_due(&thread->retry))
        wait_for_work(reader, thread->retry.next_at_ms);
    pthread_mutex_unlock(&reader->mutex);
}

static bool is_stopping(struct reader *reader)
{
    pthread_mutex_lock(&reader->mutex);
    bool stopping = reader->stopping;
    pthread_mutex_unlock(&reader->mutex);
    return stopping;
}

static void *run(void *context)
{
    struct reader_thread *thread = context;
    while (!is_stopping(thread->reader)) {
        if (!thread->db) {
            connect_or_wait(thread);
            continue;
        }
        struct batch *batch = next_batch(thread->reader);
        size_t questions = batch ? batch->count : 0;
        if (batch) {
            execute(thread, batch);
            note_done(thread, questions);
        } else if (!is_stopping(thread->reader))
            check_statement(thread);
    }
    close_connection(thread);
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void make_metrics(struct reader *reader, struct metrics *metrics)
{
    reader->batches = metrics_counter(metrics, "caseview_api_batches_total", NULL,
                                      "Statements run, each for all that waited");
    reader->questions = metrics_counter(
        metrics, "caseview_api_batched_requests_total", NULL,
        "Requests in these statements; over caseview_api_batches_total: the batch size");
    reader->errors = metrics_counter(metrics, "caseview_api_database_errors_total", NULL,
                                     "Failed statements and connections");
    reader->connected_gauge = metrics_gauge(metrics, "caseview_api_database_connections", NULL,
                                            "Database connections that stand");
    reader->waiting_gauge = metrics_gauge(metrics, "caseview_api_waiting", NULL,
                                          "Requests that waited for the database when the last statement began");
    reader->duration = metrics_histogram(metrics, "caseview_api_statement_seconds", NULL, "Time of one statement");
}

struct reader *reader_new(const struct reader_options *options)
{
    struct reader *reader = cv_zalloc(sizeof *reader);
    reader->options = *options;
    make_metrics(reader, options->metrics);
    pthread_mutex_init(&reader->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&reader->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    reader->forming = batch_new(reader);
    snprintf(reader->why.text, sizeof reader->why.text, "not connected yet");
    for (size_t i = 0; i < READERS; i++) {
        struct reader_thread *thread = &reader->threads[i];
        thread->reader = reader;
        thread->nobody = batch_new(reader);
        retry_init(&thread->retry, RETRY_BASE_MS, RETRY_MAX_MS);
        int failed = pthread_create(&thread->thread, NULL, run, thread);
        assert(failed == 0);
    }
    return reader;
}

void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->mutex);
    reader->stopping = true;
    pthread_cond_broadcast(&reader->work);
    pthread_mutex_unlock(&reader->mutex);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(reader->threads[i].thread, NULL);
    for (size_t i = 0; i < READERS; i++)
        batch_free(reader->threads[i].nobody);
    batch_free(reader->forming);
    for (struct batch *batch = reader->free, *next; batch; batch = next) {
        next = batch->next_free;
        batch_free(batch);
    }
    pthread_cond_destroy(&reader->work);
    pthread_mutex_destroy(&reader->mutex);
    free(reader);
}

void reader_reason(struct reader *reader, char *out, size_t size)
{
    pthread_mutex_lock(&reader->mutex);
    if (reader->connected == 0)
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
