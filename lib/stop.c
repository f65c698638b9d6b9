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
static int event_fd = -1;

/* What it was before. */
static bool request(void)
{
    bool before = atomic_exchange(&requested, true);
    uint64_t one = 1;
    ssize_t ignored = write(event_fd, &one, sizeof one); /* cannot fail: the counter is far from its end */
    (void)ignored;
    return before;
}

static void on_signal(int signal)
{
    int saved = errno;
    if (request())
        _exit(128 + signal);
    errno = saved;
}

void stop_init(void)
{
    static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "the signal handler needs a lock-free flag");
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(event_fd >= 0); /* the first descriptors of a process are there */

    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
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
        poll(&fd, 1, (int)left); /* whatever ends it, the loop looks at flag and clock */
    }
    return stop_requested();
}
