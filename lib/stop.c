#include "caseview/stop.h"

#include "caseview/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Process-wide like the signals themselves; the handler touches only these. */
static atomic_bool requested;
static atomic_uint reloads; /* SIGHUPs so far */
static int event_fd = -1;

/* Returns whether a stop was requested before. */
static bool request(void)
{
    bool before = atomic_exchange(&requested, true);
    uint64_t one = 1;
    ssize_t ignored = write(event_fd, &one, sizeof one); /* cannot fail: the counter is far from its maximum */
    (void)ignored;
    return before;
}

static void on_reload(int signal CV_UNUSED)
{
    atomic_fetch_add_explicit(&reloads, 1, memory_order_relaxed);
}

static void on_hangup(int signal CV_UNUSED)
{
    int saved = errno;
    request();
    errno = saved;
}

static void on_signal(int signal)
{
    int saved = errno;
    if (request())
        _exit(128 + signal);
    errno = saved;
}

static void handle_hangup(enum stop_hangup hangup)
{
    struct sigaction action = {.sa_handler = hangup == STOP_HANGUP_RELOADS ? on_reload : on_hangup,
                               .sa_flags = SA_RESTART};
    struct sigaction before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, NULL, &before);
    if (hangup == STOP_HANGUP_RELOADS || before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}

void stop_init(enum stop_hangup hangup)
{
    static_assert(ATOMIC_BOOL_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "signal handlers need lock-free flags");
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(event_fd >= 0); /* a process has descriptors left when it starts */

    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    handle_hangup(hangup);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
}

void stop_request(void)
{
    request();
}

bool stop_requested(void)
{
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

bool stop_reload_requested(unsigned *seen)
{
    unsigned now = atomic_load_explicit(&reloads, memory_order_relaxed);
    bool changed = now != *seen;
    *seen = now;
    return changed;
}

int stop_fd(void)
{
    return event_fd;
}

bool stop_wait(int timeout_ms)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    while (!stop_requested()) {
        int64_t left = deadline - clock_mono_ms();
        if (left <= 0)
            break;
        struct pollfd fd = {.fd = event_fd, .events = POLLIN};
        poll(&fd, 1, (int)left); /* the loop checks flag and clock after any return */
    }
    return stop_requested();
}
