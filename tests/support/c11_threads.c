/*
 * Functions that the thread sanitizer does not know, by functions that it knows. Only for builds with it.
 *
 * librdkafka uses C11 threads (threads.h). Unknown to the sanitizer, its threads crash in the sanitizer's runtime, and
 * what its locks order looks like a race. The dynamic linker binds the library's calls to these functions. glibc's
 * types are the POSIX ones by another name; their sizes are checked below. Only what librdkafka calls is here.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t");
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t");
static_assert(sizeof(thrd_t) == sizeof(pthread_t), "thrd_t");
static_assert(sizeof(once_flag) == sizeof(pthread_once_t), "once_flag");

struct start {
    thrd_start_t function;
    void *argument;
};

static int result_of(int error)
{
    switch (error) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}

static void *run(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){function, argument};
    int error = pthread_create((pthread_t *)thread, NULL, run, start);
    if (error)
        free(start);
    return result_of(error);
}

int thrd_join(thrd_t thread, int *result)
{
    void *returned;
    int error = pthread_join((pthread_t)thread, &returned);
    if (error == 0 && result)
        *result = (int)(intptr_t)returned;
    return result_of(error);
}

thrd_t thrd_current(void)
{
    return (thrd_t)pthread_self();
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    int error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result_of(error);
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex)
{
    return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
    return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition)
{
    return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition)
{
    return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result_of(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return result_of(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

void call_once(once_flag *flag, void (*function)(void))
{
    pthread_once((pthread_once_t *)flag, function);
}

/* Without it the join of a thread orders nothing. CLOCK_MONOTONIC only. */
int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock, const struct timespec *until)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    struct timespec now;
    int error;

    assert(clock == CLOCK_MONOTONIC);
    while ((error = pthread_tryjoin_np(thread, result)) == EBUSY) {
        clock_gettime(clock, &now);
        if (now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
            return ETIMEDOUT;
        nanosleep(&pause, NULL);
    }
    return error;
}
