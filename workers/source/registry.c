#include "workers/source/registry.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "workers/source/registry_lookup.h"

#define LOOKUP_TIMEOUT_MS 5000 /* of one id, with all that it refers to */
#define RETRY_BASE_MS     200
#define RETRY_MAX_MS      5000
#define STOP_TIMEOUT_MS   1000

/*
 * Shared by the asking thread and the registry's. The last of them to finish frees it, so that the owner need not
 * wait for a thread whose request hangs.
 */
struct registry {
    char *base;            /* constant */
    pthread_mutex_t mutex; /* guards all below; never held during a request */
    pthread_cond_t changed;
    bool started; /* there is a thread */
    bool stopping;
    bool thread_done;
    bool owner_done;
    uint32_t asked[REGISTRY_ASKED_MAX]; /* without an answer yet, oldest first */
    size_t asked_count;
    struct registry_answer answers[REGISTRY_ASKED_MAX]; /* not taken yet, oldest first */
    size_t answer_count;
    struct err problem; /* of the last try; "": it was answered */
};

static void free_shared(struct registry *registry)
{
    for (size_t i = 0; i < registry->answer_count; i++)
        registry_answer_done(&registry->answers[i]);
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->mutex);
    free(registry->base);
    free(registry);
}

static void lock(struct registry *registry)
{
    int failed = pthread_mutex_lock(&registry->mutex);
    assert(!failed);
}

static void unlock(struct registry *registry)
{
    int failed = pthread_mutex_unlock(&registry->mutex);
    assert(!failed);
}

/* With the mutex held, which is released meanwhile. False: the deadline has passed. */
static bool wait_until(struct registry *registry, int64_t deadline_ms)
{
    struct timespec at = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    return pthread_cond_timedwait(&registry->changed, &registry->mutex, &at) != ETIMEDOUT;
}

/* ---- the thread ---- */

static void drop_asked(struct registry *registry, uint32_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < registry->asked_count; i++)
        if (registry->asked[i] != id)
            registry->asked[kept++] = registry->asked[i];
    registry->asked_count = kept;
}

/* A failed id goes to the end of the queue: if only this one fails, it must not hold up the others. */
static void failed(struct registry *registry, uint32_t id, struct retry *retry, const struct err *err)
{
    int wait_ms = retry_failed(retry);
    bool log = retry_worth_logging(retry);
    lock(registry);
    registry->problem = *err;
    drop_asked(registry, id);
    registry->asked[registry->asked_count++] = id;
    int64_t deadline_ms = clock_mono_ms() + wait_ms;
    unlock(registry);
    if (log)
        log_warn("%s; records whose schema it holds wait, next try in %d ms", err->text, wait_ms);
    lock(registry);
    while (!registry->stopping && wait_until(registry, deadline_ms))
        ; /* another id was asked for */
    unlock(registry);
}

static void answered(struct registry *registry, struct registry_answer *answer)
{
    lock(registry);
    drop_asked(registry, answer->id);
    registry->answers[registry->answer_count++] = *answer;
    registry->problem.text[0] = '\0';
    pthread_cond_broadcast(&registry->changed);
    unlock(registry);
}

/* Waits for an id to ask for, and for room for its answer. False: the thread must end. */
static bool next_id(struct registry *registry, uint32_t *out_id)
{
    lock(registry);
    while (!registry->stopping && (registry->asked_count == 0 || registry->answer_count == REGISTRY_ASKED_MAX))
        pthread_cond_wait(&registry->changed, &registry->mutex);
    bool stopping = registry->stopping;
    if (!stopping)
        *out_id = registry->asked[0];
    unlock(registry);
    return !stopping;
}

static void *run(void *context)
{
    struct registry *registry = context;
    struct retry retry;
    uint32_t id;
    retry_init(&retry, RETRY_BASE_MS, RETRY_MAX_MS);
    while (next_id(registry, &id)) {
        struct registry_answer answer = {.id = id};
        enum cv_status status = registry_lookup(registry->base, id, LOOKUP_TIMEOUT_MS, &answer);
        if (status == CV_RETRY) {
            failed(registry, id, &retry, &answer.err);
            registry_answer_done(&answer);
            continue;
        }
        if (retry.attempts > 0)
            log_info("the schema registry answers again");
        retry_reset(&retry);
        answered(registry, &answer);
    }
    lock(registry);
    registry->thread_done = true;
    bool last = registry->owner_done;
    pthread_cond_broadcast(&registry->changed);
    unlock(registry);
    if (last)
        free_shared(registry);
    return NULL;
}

/* Signals are for the threads that wait for them. */
static bool start(struct registry *registry, struct err *err)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, run, registry);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        err_set(err, "schema registry: no thread to ask it: %s", strerror(error));
        return false;
    }
    pthread_detach(thread);
    registry->started = true;
    return true;
}

/* ---- the asking side ---- */

struct registry *registry_new(const char *base)
{
    struct registry *registry = cv_zalloc(sizeof *registry);
    pthread_condattr_t attributes;
    registry->base = cv_strdup(base);
    pthread_mutex_init(&registry->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    int64_t deadline_ms = clock_mono_ms() + STOP_TIMEOUT_MS;
    lock(registry);
    registry->stopping = true;
    pthread_cond_broadcast(&registry->changed);
    while (registry->started && !registry->thread_done && wait_until(registry, deadline_ms))
        ;
    registry->owner_done = true;
    bool last = !registry->started || registry->thread_done;
    unlock(registry);
    if (last)
        free_shared(registry);
}

static bool is_asked(const struct registry *registry, uint32_t id)
{
    for (size_t i = 0; i < registry->asked_count; i++)
        if (registry->asked[i] == id)
            return true;
    for (size_t i = 0; i < registry->answer_count; i++)
        if (registry->answers[i].id == id)
            return true;
    return false;
}

bool registry_ask(struct registry *registry, uint32_t id, struct err *err)
{
    bool ok = true;
    lock(registry);
    if (!is_asked(registry, id)) {
        if (registry->asked_count == REGISTRY_ASKED_MAX) {
            err_set(err, "schema registry: %d ids are being asked for already", REGISTRY_ASKED_MAX);
            ok = false;
        } else {
            registry->asked[registry->asked_count++] = id;
            ok = registry->started || start(registry, err);
            if (!ok)
                registry->asked_count--;
            pthread_cond_broadcast(&registry->changed);
        }
    }
    unlock(registry);
    return ok;
}

bool registry_take(struct registry *registry, struct registry_answer *out_answer)
{
    lock(registry);
    bool any = registry->answer_count > 0;
    if (any) {
        *out_answer = registry->answers[0];
        registry->answer_count--;
        memmove(registry->answers, registry->answers + 1, registry->answer_count * sizeof *registry->answers);
        pthread_cond_broadcast(&registry->changed);
    }
    unlock(registry);
    return any;
}

void registry_answer_done(struct registry_answer *answer)
{
    buf_done(&answer->schema);
    json_decref(answer->externals);
}

bool registry_wait(struct registry *registry, int timeout_ms)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    bool in_time = true;
    lock(registry);
    while (in_time && registry->answer_count == 0 && registry->asked_count > 0)
        in_time = wait_until(registry, deadline_ms);
    bool done = registry->answer_count > 0 || registry->asked_count == 0;
    unlock(registry);
    return done;
}

bool registry_is_asked(struct registry *registry)
{
    lock(registry);
    bool asked = registry->asked_count > 0 || registry->answer_count > 0;
    unlock(registry);
    return asked;
}

void registry_problem(struct registry *registry, struct err *err)
{
    lock(registry);
    const char *text = registry->problem.text;
    err_set(err, "%s", text[0] ? text : "the schema registry is being asked");
    unlock(registry);
}
