#include "key_source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/fetch.h"
#include "caseview/file.h"
#include "caseview/log.h"
#include "caseview/retry.h"

enum {
    SET_MAX = 4 * 1024 * 1024,
    FETCH_TIMEOUT_MS = 5000,
    FILE_EVERY_MS = 5000,   /* a file is cheap to read: changes of its content are seen soon */
    REREAD_EVERY_MS = 5000, /* for unknown kids */
    WAIT_FOR_REREAD_MS = 3000,
    WAITERS_MAX = 32,
    RETRY_BASE_MS = 500,
    RETRY_MAX_MS = 30000,
};

struct key_source {
    const char *source;
    int refresh_s;
    int waiters_max; /* a flood of made-up kids must not hold all threads */
    pthread_t thread;
    struct metric *age, *usable, *failures;

    atomic_uint_fast64_t version;
    pthread_mutex_t mutex; /* guards all below; never held while a set is read */
    pthread_cond_t wake;   /* for the thread: read again, or stop */
    pthread_cond_t done;   /* for calls: a reading has ended */
    struct key_set *set;   /* NULL before the first one */
    struct err why;        /* of the last failed reading, "" after a good one */
    int64_t asked_ms;      /* when an unknown kid last made it read */
    int waiters;
    bool wanted;             /* an unknown kid or a reload asks for a reading … */
    bool reading_on_request; /* … which has begun */
    bool stopping;

    /* The thread's own. */
    uint64_t fingerprint; /* of the text of the set in force */
    int64_t tried_ms, read_ms;
    struct retry retry;
};

static bool is_url(const char *source)
{
    return strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0;
}

static enum cv_status read_url(const char *url, struct buf *out, struct err *err)
{
    int http_status = 0;
    enum cv_status status = fetch_get(url, FETCH_TIMEOUT_MS, &http_status, out, err);
    if (status == CV_OK && http_status != 200) {
        char shown[256];
        fetch_redact(url, shown, sizeof shown);
        err_set(err, "%s answers with status %d", shown, http_status);
        return CV_RETRY;
    }
    return status;
}

/* Reads and parses; out_fingerprint is the text's. */
static enum cv_status read_set(const char *source, struct key_set **out_set, uint64_t *out_fingerprint, struct err *err)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, SET_MAX);
    enum cv_status status = is_url(source) ? read_url(source, &text, err) : file_read(source, &text, err);
    if (status != CV_OK)
        return status;
    *out_fingerprint = XXH3_64bits(text.data != NULL ? text.data : "", text.len);
    return key_set_parse((struct str){text.data != NULL ? text.data : "", text.len}, out_set, err);
}

/* Caller holds the mutex. Returns the set to release: the old one, or the new one when its text is the same. */
static struct key_set *publish(struct key_source *keys, struct key_set *set, uint64_t fingerprint)
{
    struct key_set *old = keys->set;
    if (old != NULL && fingerprint == keys->fingerprint)
        return set; /* what was verified stays verified */
    set->version = (old != NULL ? old->version : 0) + 1;
    keys->set = set;
    keys->fingerprint = fingerprint;
    atomic_store_explicit(&keys->version, set->version, memory_order_release);
    return old;
}

/* Only this thread replaces the set, so it reads it without the mutex. */
static void log_new_set(const struct key_source *keys)
{
    size_t usable = key_set_usable(keys->set);
    metric_set(keys->usable, (double)usable);
    log_info("keys: %zu of %zu keys of the set can be used (version %llu)", usable, keys->set->count,
             (unsigned long long)keys->set->version);
    if (usable == 0)
        log_warn("keys: no key of the set can be used: every token is refused");
}

static void log_failure(const struct key_source *keys, const struct err *err)
{
    log_warn("keys: the key set cannot be read, %s: %s",
             keys->set != NULL ? "the old one stays in force" : "every token is refused until it can", err->text);
}

static void read_once(struct key_source *keys)
{
    struct key_set *set = NULL;
    uint64_t fingerprint = 0;
    struct err err = ERR_INIT;
    keys->tried_ms = clock_mono_ms();
    bool good = read_set(keys->source, &set, &fingerprint, &err) == CV_OK;
    if (good) {
        retry_reset(&keys->retry);
        keys->read_ms = keys->tried_ms;
    } else {
        retry_failed(&keys->retry);
        metric_add(keys->failures, 1);
    }
    uint64_t old_version = key_source_version(keys);

    pthread_mutex_lock(&keys->mutex);
    bool was_bad = keys->why.text[0] != '\0';
    bool news = good ? was_bad && keys->set != NULL : strcmp(keys->why.text, err.text) != 0;
    struct key_set *surplus = good ? publish(keys, set, fingerprint) : NULL;
    if (good)
        err.text[0] = '\0';
    keys->why = err;
    keys->reading_on_request = false;
    pthread_cond_broadcast(&keys->done);
    pthread_mutex_unlock(&keys->mutex);

    if (news && good)
        log_info("keys: the key set can be read again");
    else if (news)
        log_failure(keys, &err);
    if (key_source_version(keys) != old_version)
        log_new_set(keys);
    key_set_release(surplus);
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ms)
{
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    pthread_cond_timedwait(cond, mutex, &until); /* the callers' loops look at what they wait for, and at the clock */
}

static int64_t next_reading_ms(const struct key_source *keys)
{
    int64_t every_ms = (int64_t)keys->refresh_s * 1000;
    if (!is_url(keys->source) && every_ms > FILE_EVERY_MS)
        every_ms = FILE_EVERY_MS;
    int64_t regular = keys->tried_ms + every_ms;
    bool failing = keys->retry.attempts > 0;
    return failing && keys->retry.next_at_ms < regular ? keys->retry.next_at_ms : regular;
}

static void *run(void *context)
{
    struct key_source *keys = context;
    for (bool stopping = false; !stopping;) {
        read_once(keys);
        int64_t due = next_reading_ms(keys);
        pthread_mutex_lock(&keys->mutex);
        while (!keys->wanted && !keys->stopping && clock_mono_ms() < due) {
            int64_t tick = clock_mono_ms() + 1000; /* the age on the metrics page moves */
            if (keys->set != NULL)
                metric_set(keys->age, (double)(clock_mono_ms() - keys->read_ms) / 1000);
            wait_until(&keys->wake, &keys->mutex, tick < due ? tick : due);
        }
        keys->reading_on_request = keys->wanted;
        keys->wanted = false;
        stopping = keys->stopping;
        pthread_mutex_unlock(&keys->mutex);
    }
    return NULL;
}

struct key_source *key_source_new(const char *source, int refresh_s, int threads, struct metrics *metrics)
{
    struct key_source *keys = cv_zalloc(sizeof *keys);
    keys->source = source;
    keys->refresh_s = refresh_s;
    keys->waiters_max = threads / 2 < WAITERS_MAX ? threads / 2 : WAITERS_MAX;
    if (keys->waiters_max < 1)
        keys->waiters_max = 1;
    keys->asked_ms = -REREAD_EVERY_MS;
    keys->age = metrics_gauge(metrics, "caseview_api_key_set_age_seconds", NULL, "Since the key set was last read");
    keys->usable = metrics_gauge(metrics, "caseview_api_keys", NULL, "Usable keys of the set in force");
    keys->failures = metrics_counter(metrics, "caseview_api_key_set_failures_total", NULL,
                                     "Failed readings of the key set");
    retry_init(&keys->retry, RETRY_BASE_MS, RETRY_MAX_MS);
    pthread_mutex_init(&keys->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keys->wake, &monotonic);
    pthread_cond_init(&keys->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&keys->thread, NULL, run, keys);
    assert(failed == 0);
    return keys;
}

void key_source_free(struct key_source *keys)
{
    if (keys == NULL)
        return;
    pthread_mutex_lock(&keys->mutex);
    keys->stopping = true;
    pthread_cond_signal(&keys->wake);
    pthread_mutex_unlock(&keys->mutex);
    pthread_join(keys->thread, NULL);
    key_set_release(keys->set);
    pthread_cond_destroy(&keys->wake);
    pthread_cond_destroy(&keys->done);
    pthread_mutex_destroy(&keys->mutex);
    free(keys);
}

void key_source_reload(struct key_source *keys)
{
    pthread_mutex_lock(&keys->mutex);
    keys->wanted = true;
    pthread_cond_signal(&keys->wake);
    pthread_mutex_unlock(&keys->mutex);
}

uint64_t key_source_version(const struct key_source *keys)
{
    return atomic_load_explicit(&keys->version, memory_order_acquire);
}

void key_source_reason(struct key_source *keys, char *out, size_t size)
{
    pthread_mutex_lock(&keys->mutex);
    if (keys->set != NULL)
        out[0] = '\0';
    else
        snprintf(out, size, "no key set yet%s%s", keys->why.text[0] ? ": " : "", keys->why.text);
    pthread_mutex_unlock(&keys->mutex);
}

/* Caller holds the mutex. Requests a reading for an unknown kid. False: there is none to wait for. */
static bool ask_for_reading(struct key_source *keys)
{
    if (keys->waiters >= keys->waiters_max)
        return false;
    if (keys->wanted || keys->reading_on_request)
        return true;
    int64_t now = clock_mono_ms();
    if (now - keys->asked_ms < REREAD_EVERY_MS)
        return false;
    keys->asked_ms = now;
    keys->wanted = true;
    pthread_cond_signal(&keys->wake);
    return true;
}

/* Caller holds the mutex. */
static enum key_search search(struct key_source *keys, const char *kid, const char *alg, const struct key **out_key,
                              struct key_set **out_set)
{
    if (keys->set == NULL)
        return KEY_NO_SET;
    enum key_search found = key_set_find(keys->set, kid, alg, out_key);
    if (found == KEY_FOUND) {
        key_set_hold(keys->set);
        *out_set = keys->set;
    }
    return found;
}

enum key_search key_source_find(struct key_source *keys, const char *kid, const char *alg, const struct key **out_key,
                                struct key_set **out_set)
{
    pthread_mutex_lock(&keys->mutex);
    enum key_search found = search(keys, kid, alg, out_key, out_set);
    if (found == KEY_UNKNOWN && ask_for_reading(keys)) {
        int64_t deadline = clock_mono_ms() + WAIT_FOR_REREAD_MS;
        keys->waiters++;
        while ((keys->wanted || keys->reading_on_request) && !keys->stopping && clock_mono_ms() < deadline)
            wait_until(&keys->done, &keys->mutex, deadline);
        keys->waiters--;
        found = search(keys, kid, alg, out_key, out_set);
    }
    pthread_mutex_unlock(&keys->mutex);
    return found;
}
