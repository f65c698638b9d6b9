#include "long_lists.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/db.h"
#include "caseview/log.h"
#include "fair_share.h"
#include "role.h"
#include "sql_api.h"
#include "trace_list.h"

enum {
    PER_APPLICATION = LONG_LISTS_MAX / 2,
    CONNECT_TIMEOUT_MS = 2000,
    STATEMENT_TIMEOUT_MS = 2000,
    PLACE_TIMEOUT_MS = 1000, /* for a place */
    ASK_TIMEOUT_MS = 5000,   /* for the answer */
    ATTEMPTS = 2,            /* the second one on a fresh connection */
    ARENA_MAX = 16 * 1024,
};

static const struct db_statement long_list = {"long_list", sql_long_list};

enum job_state {
    JOB_FREE,
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_DONE,
};

/* One statement and its result, shared by the requests with the same question. */
struct job {
    enum job_state state;
    int references;  /* requests, and the thread while it runs */
    uint64_t number; /* the smallest queued one is the next */
    struct uuid application, user;
    char client[CLIENT_ID_MAX];
    size_t client_len;
    bool need_roles;
    XXH128_hash_t key;
    struct trace trace;       /* of the first request, for the log */
    struct trace_list traces; /* that its statement names */
    /* The result; written by the thread before JOB_DONE, read-only afterwards. */
    enum long_list_outcome outcome;
    struct findings findings;
    struct buf text;
    const char *why; /* static text */
};

struct long_list {
    struct long_lists *owner;
    struct job *job; /* NULL: the place is free */
    struct uuid application;
};

struct long_lists {
    const char *database;
    bool log_traces;
    struct metric *errors;
    pthread_t thread;
    struct db *db; /* the thread's own; NULL: not connected */

    pthread_mutex_t mutex;               /* guards all below, never held over I/O */
    pthread_cond_t queued;               /* for the thread */
    pthread_cond_t done;                 /* for the requests: a job is done */
    pthread_cond_t freed;                /* for the requests: a place is free */
    struct job jobs[LONG_LISTS_MAX + 1]; /* one may be running for requests that have timed out */
    struct long_list places[LONG_LISTS_MAX];
    uint64_t last_number;
    bool stopping;
};

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* Caller holds the mutex. NULL: all places are taken, or this application has its share. */
static struct long_list *take_place(struct long_lists *lists, const struct question *question)
{
    struct long_list *place = NULL;
    int of_application = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists->places); i++) {
        struct long_list *candidate = &lists->places[i];
        if (candidate->job == NULL)
            place = candidate;
        else if (memcmp(&candidate->application, &question->application, sizeof question->application) == 0)
            of_application++;
    }
    return of_application < PER_APPLICATION ? place : NULL;
}

static void add_trace(const struct long_lists *lists, struct job *job, const struct question *question)
{
    if (lists->log_traces)
        trace_list_add(&job->traces, question->trace);
}

/* Caller holds the mutex. A job that has begun is not joined: its answer may be older than this request. */
static struct job *join_or_queue(struct long_lists *lists, const struct question *question)
{
    struct job *unused = NULL;
    for (size_t i = 0; i < ARRAY_LEN(lists->jobs); i++) {
        struct job *job = &lists->jobs[i];
        if (job->state == JOB_QUEUED && XXH128_isEqual(job->key, question->key)) {
            job->references++;
            add_trace(lists, job, question);
            return job;
        }
        if (job->state == JOB_FREE)
            unused = job;
    }
    assert(unused != NULL); /* there are more jobs than places */
    unused->state = JOB_QUEUED;
    unused->references = 1;
    unused->number = ++lists->last_number;
    unused->application = question->application;
    unused->user = question->user;
    unused->client_len = question->client.len;
    memcpy(unused->client, question->client.ptr, question->client.len);
    unused->need_roles = question->need_roles;
    unused->key = question->key;
    unused->traces.count = unused->traces.more = 0;
    unused->trace = question->trace != NULL ? *question->trace : (struct trace){.text = ""};
    add_trace(lists, unused, question);
    pthread_cond_signal(&lists->queued);
    return unused;
}

/* Caller holds the mutex. */
static void release_job(struct job *job)
{
    if (--job->references > 0)
        return;
    buf_done(&job->text);
    job->state = JOB_FREE;
}

/* Caller holds the mutex. */
static void give_up_place(struct long_list *place)
{
    release_job(place->job);
    place->job = NULL;
    pthread_cond_broadcast(&place->owner->freed);
}

/* How long a request waits. */
struct patience {
    struct fair_claim *claim;
    int64_t slow_ms; /* when its application's share counts; INT64_MAX: it has been asked for */
    const char *why; /* it must give up; NULL: the time is up, at most */
};

/* Caller holds the mutex. False: the time is up, or the application has its share of the threads. */
static bool wait_until(struct long_lists *lists, struct patience *patience, pthread_cond_t *cond, int64_t deadline_ms)
{
    if (clock_mono_ms() >= patience->slow_ms) {
        patience->slow_ms = INT64_MAX;
        if (!fair_share_may_wait(patience->claim, &patience->why))
            return false;
    }
    int64_t until_ms = patience->slow_ms < deadline_ms ? patience->slow_ms : deadline_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    return pthread_cond_timedwait(cond, &lists->mutex, &until) == 0 || until_ms < deadline_ms;
}

/* Caller holds the mutex. Waits while all places are taken. NULL: still taken after PLACE_TIMEOUT_MS. */
static struct long_list *wait_for_place(struct long_lists *lists, struct patience *patience,
                                        const struct question *question)
{
    int64_t deadline_ms = clock_mono_ms() + PLACE_TIMEOUT_MS;
    struct long_list *place = take_place(lists, question);
    while (place == NULL && wait_until(lists, patience, &lists->freed, deadline_ms))
        place = take_place(lists, question);
    return place;
}

/* Caller holds the mutex. */
static bool wait_for_job(struct long_lists *lists, struct patience *patience, const struct job *job)
{
    int64_t deadline_ms = clock_mono_ms() + ASK_TIMEOUT_MS;
    while (job->state != JOB_DONE && wait_until(lists, patience, &lists->done, deadline_ms))
        ;
    return job->state == JOB_DONE;
}

enum long_list_outcome long_lists_ask(struct long_lists *lists, const struct question *question,
                                      struct fair_claim *claim, struct long_list_answer *out_answer)
{
    enum long_list_outcome outcome = LONG_LIST_UNAVAILABLE;
    struct patience patience = {.claim = claim, .slow_ms = clock_mono_ms() + SLOW_MS};
    *out_answer = (struct long_list_answer){.why = "Too many long lists are being read."};
    pthread_mutex_lock(&lists->mutex);
    struct long_list *place = wait_for_place(lists, &patience, question);
    if (place != NULL) {
        place->owner = lists;
        place->application = question->application;
        place->job = join_or_queue(lists, question);
        if (wait_for_job(lists, &patience, place->job)) {
            outcome = place->job->outcome;
            out_answer->findings = place->job->findings;
            out_answer->why = place->job->why;
        } else {
            out_answer->why = "The database did not answer in time.";
        }
        if (outcome == LONG_LIST_FOUND && place->job->text.len > 0)
            out_answer->list = place;
        else
            give_up_place(place);
    }
    pthread_mutex_unlock(&lists->mutex);
    if (outcome == LONG_LIST_UNAVAILABLE && patience.why != NULL)
        out_answer->why = patience.why;
    return outcome;
}

struct str long_list_text(const struct long_list *list)
{
    return (struct str){list->job->text.data, list->job->text.len};
}

void long_list_release(void *list)
{
    struct long_list *place = list;
    struct long_lists *lists = place->owner;
    pthread_mutex_lock(&lists->mutex);
    give_up_place(place);
    pthread_mutex_unlock(&lists->mutex);
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

/* Columns of api/sql/long_list.sql. */
enum { COLUMN_ACCEPTED, COLUMN_ROLES, COLUMN_HAS_UNIT, COLUMN_HAS_WORKSPACES, COLUMN_FITS, COLUMN_BYTES, COLUMN_BODY };

static bool is_true(const struct db_result *result, int column)
{
    return !db_is_null(result, 0, column) && db_bool(result, 0, column);
}

static void put_list(const struct db_result *result, struct buf *out)
{
    int rows = db_rows(result);
    buf_byte(out, '[');
    for (int row = 0; row < rows; row++) {
        struct str body = db_str(result, row, COLUMN_BODY);
        if (body.ptr == NULL)
            break; /* the one row of an agent without a case */
        if (row > 0)
            buf_byte(out, ',');
        buf_str(out, body);
    }
    buf_byte(out, ']');
}

static void read_result(struct job *job, const struct db_result *result)
{
    if (db_rows(result) == 0) {
        job->outcome = LONG_LIST_UNAVAILABLE;
        job->why = "The database's answer is incomplete.";
        return;
    }
    job->findings = (struct findings){
        .application_accepted = is_true(result, COLUMN_ACCEPTED),
        .application_has_role = job->need_roles && role_array_has_impersonator(db_str(result, 0, COLUMN_ROLES)),
        .has_current_unit = is_true(result, COLUMN_HAS_UNIT),
        .has_workspaces = is_true(result, COLUMN_HAS_WORKSPACES),
    };
    job->outcome = LONG_LIST_FOUND;
    if (!findings_allow(&job->findings, job->need_roles))
        return;
    if (!is_true(result, COLUMN_FITS)) {
        job->outcome = LONG_LIST_TOO_LONG;
        return;
    }
    /* one allocation of the right size: growing by doubling would hold up to twice as much */
    buf_init(&job->text, LONG_LIST_MAX);
    if (buf_reserve(&job->text, (size_t)db_int8(result, 0, COLUMN_BYTES)) != NULL)
        put_list(result, &job->text);
    if (job->text.overflow) {
        job->outcome = LONG_LIST_UNAVAILABLE;
        job->why = "The database's answer is longer than it announced.";
        buf_done(&job->text);
    }
}

static bool is_stopping(void *context)
{
    struct long_lists *lists = context;
    pthread_mutex_lock(&lists->mutex);
    bool stopping = lists->stopping;
    pthread_mutex_unlock(&lists->mutex);
    return stopping;
}

/* False: the connection is closed; err says why. */
static bool run_statement(struct long_lists *lists, struct job *job, struct err *err)
{
    const struct db_cancel cancel = {.cancelled = is_stopping, .context = lists};
    if (lists->db == NULL && db_open_unless(lists->database, "caseview-api", sql_setup, CONNECT_TIMEOUT_MS, &cancel,
                                            &lists->db, err) != CV_OK)
        return false;
    struct arena *arena = arena_new(4096, ARENA_MAX);
    struct db_args args;
    struct db_result *result = NULL;
    db_args_init(&args, arena);
    db_arg_uuid(&args, &job->application);
    db_arg_uuid(&args, &job->user);
    db_arg_text(&args, (struct str){job->client, job->client_len});
    db_arg_bool(&args, job->need_roles);
    char comment[TRACE_COMMENT_MAX];
    if (job->traces.count > 0) {
        trace_list_comment(&job->traces, comment);
        args.comment = comment;
    }
    enum cv_status status = db_exec(lists->db, &long_list, &args, STATEMENT_TIMEOUT_MS, &result, err);
    if (status == CV_OK) {
        read_result(job, result);
    } else {
        db_close(lists->db);
        lists->db = NULL;
    }
    db_result_free(result);
    arena_free(arena);
    return status == CV_OK;
}

/* Connects again once: an idle connection may have been cut, or a view may have changed its columns. */
static void run_job(struct long_lists *lists, struct job *job)
{
    struct err err = ERR_INIT;
    job->why = NULL;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (run_statement(lists, job, &err))
            return;
        metric_add(lists->errors, 1);
    }
    log_traced(LOG_LEVEL_WARN, &job->trace, "cannot look up a long list, its request gets 503: %s", err.text);
    job->outcome = LONG_LIST_UNAVAILABLE;
    job->why = "The database cannot be read now.";
}

/* Caller holds the mutex. NULL: none is queued. */
static struct job *next_job(struct long_lists *lists)
{
    struct job *next = NULL;
    for (size_t i = 0; i < ARRAY_LEN(lists->jobs); i++) {
        struct job *job = &lists->jobs[i];
        if (job->state == JOB_QUEUED && (next == NULL || job->number < next->number))
            next = job;
    }
    return next;
}

static void *run(void *context)
{
    struct long_lists *lists = context;
    pthread_mutex_lock(&lists->mutex);
    while (!lists->stopping) {
        struct job *job = next_job(lists);
        if (job == NULL) {
            pthread_cond_wait(&lists->queued, &lists->mutex);
            continue;
        }
        job->state = JOB_RUNNING;
        job->references++;
        pthread_mutex_unlock(&lists->mutex);
        run_job(lists, job);
        pthread_mutex_lock(&lists->mutex);
        job->state = JOB_DONE;
        pthread_cond_broadcast(&lists->done);
        release_job(job);
    }
    pthread_mutex_unlock(&lists->mutex);
    db_close(lists->db);
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct long_lists *long_lists_new(const char *database, bool log_traces, struct metric *errors)
{
    struct long_lists *lists = cv_zalloc(sizeof *lists);
    lists->database = database;
    lists->log_traces = log_traces;
    lists->errors = errors;
    for (size_t i = 0; i < ARRAY_LEN(lists->jobs); i++)
        buf_init(&lists->jobs[i].text, LONG_LIST_MAX);
    pthread_mutex_init(&lists->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lists->queued, NULL);
    pthread_cond_init(&lists->done, &monotonic);
    pthread_cond_init(&lists->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&lists->thread, NULL, run, lists);
    assert(failed == 0);
    return lists;
}

void long_lists_free(struct long_lists *lists)
{
    if (lists == NULL)
        return;
    pthread_mutex_lock(&lists->mutex);
    lists->stopping = true;
    pthread_cond_signal(&lists->queued);
    pthread_mutex_unlock(&lists->mutex);
    pthread_join(lists->thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(lists->jobs); i++)
        buf_done(&lists->jobs[i].text);
    pthread_cond_destroy(&lists->freed);
    pthread_cond_destroy(&lists->done);
    pthread_cond_destroy(&lists->queued);
    pthread_mutex_destroy(&lists->mutex);
    free(lists);
}
