#include "caseview/notify.h"

#include "caseview/clock.h"
#include "caseview/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_MAX = 512 };

/* The number of microseconds or the process id of a variable; -1: it is none. */
static int64_t number_of(const char *text)
{
    int64_t value = 0;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > INT64_MAX / 10 - 1)
            return -1;
        value = value * 10 + (*text - '0');
    }
    return value;
}

/* A path, or a name of the abstract namespace, which begins with @ here and with a NUL byte in the address. */
static bool set_address(struct notify *notify, const char *name)
{
    size_t len = strlen(name);
    struct sockaddr_un *address = &notify->address;
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof address->sun_path)
        return false;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, len);
    if (name[0] == '@')
        address->sun_path[0] = '\0';
    notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
    return true;
}

static void read_watchdog(struct notify *notify)
{
    const char *time = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    if (time == NULL || (process != NULL && number_of(process) != getpid()))
        return;
    int64_t time_us = number_of(time);
    if (time_us <= 0)
        log_warn("WATCHDOG_USEC is not a number of microseconds: the watchdog is not told that this process is alive");
    else
        notify->watchdog_ms = time_us / 1000 > 0 ? time_us / 1000 : 1;
}

void notify_init(struct notify *notify)
{
    *notify = (struct notify){.fd = -1};
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || *name == '\0')
        return;
    if (!set_address(notify, name)) {
        log_warn("NOTIFY_SOCKET is neither a path nor an abstract name: the service manager is told nothing");
        return;
    }
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0) {
        log_warn("no socket for NOTIFY_SOCKET: %s; the service manager is told nothing", strerror(errno));
        return;
    }
    read_watchdog(notify);
}

void notify_done(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

/* Sends everything that is not yet told, as one datagram. */
static void send_news(struct notify *notify)
{
    char room[MESSAGE_MAX];
    int64_t now = clock_mono_ms();
    bool alive = notify->watchdog_ms > 0 && now - notify->alive_ms >= notify->watchdog_ms / 2;
    bool status = strcmp(notify->status, notify->status_sent) != 0;
    int len = snprintf(room, sizeof room, "%s%s%s%s%s%s", notify->ready && !notify->ready_sent ? "READY=1\n" : "",
                       notify->stopping && !notify->stopping_sent ? "STOPPING=1\n" : "", alive ? "WATCHDOG=1\n" : "",
                       status ? "STATUS=" : "", status ? notify->status : "", status ? "\n" : "");
    static_assert(NOTIFY_STATUS_MAX + 64 < MESSAGE_MAX, "a datagram has room for all of it");
    if (len == 0)
        return;
    ssize_t sent = sendto(notify->fd, room, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&notify->address,
                          notify->address_len);
    if (sent < 0) {
        if (!notify->failed)
            log_warn("NOTIFY_SOCKET: %s; trying again until the service manager takes it", strerror(errno));
        notify->failed = true;
        return;
    }
    notify->failed = false;
    notify->ready_sent = notify->ready;
    notify->stopping_sent = notify->stopping;
    memcpy(notify->status_sent, notify->status, sizeof notify->status_sent);
    if (alive)
        notify->alive_ms = now;
}

void notify_ready(struct notify *notify)
{
    notify->ready = true;
    notify_alive(notify);
}

void notify_stopping(struct notify *notify)
{
    notify->stopping = true;
    notify_alive(notify);
}

/* A line's end would begin another assignment of the message; a cut text ends with a whole character. */
void notify_status(struct notify *notify, const char *text)
{
    if (notify->fd < 0)
        return;
    size_t len = strnlen(text, NOTIFY_STATUS_MAX);
    if (len == NOTIFY_STATUS_MAX)
        len--;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    memset(notify->status, 0, sizeof notify->status);
    for (size_t i = 0; i < len; i++)
        notify->status[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
}

void notify_alive(struct notify *notify)
{
    if (notify->fd >= 0)
        send_news(notify);
}
