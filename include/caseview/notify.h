/*
 * notify.h: tells systemd how this process is: READY=1, STATUS=…, WATCHDOG=1, STOPPING=1, by the protocol of
 * sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names. That page documents the protocol as stable, to be
 * spoken without libsystemd: so the programs, and their container image, do without that library
 * (docs/decisions/0018). Without NOTIFY_SOCKET nothing is sent.
 *
 * One thread uses a struct notify: the one whose progress the watchdog watches. Nothing here blocks. What systemd does
 * not take now is sent again with the next call of notify_alive().
 */
#ifndef CASEVIEW_NOTIFY_H
#define CASEVIEW_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "caseview/base.h"

enum { NOTIFY_STATUS_MAX = 256 };

struct notify {
    int fd; /* -1: nothing is listening */
    struct sockaddr_un address;
    socklen_t address_len;
    int64_t watchdog_ms; /* within this time systemd wants to be told that the process is alive; 0: it does not */
    int64_t alive_ms;    /* clock_mono_ms() when it was told last */
    bool ready, ready_sent;
    bool stopping, stopping_sent;
    bool failed; /* the last datagram was not taken */
    char status[NOTIFY_STATUS_MAX], status_sent[NOTIFY_STATUS_MAX];
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. A value that cannot be used is logged and ignored. */
void notify_init(struct notify *notify);
void notify_done(struct notify *notify);

/* The start is complete: systemd continues with what waits for this unit. */
void notify_ready(struct notify *notify);
/* The stop has begun. The watchdog still watches. */
void notify_stopping(struct notify *notify);
/* One line for `systemctl status`; sent with the next notify_alive() when it has changed. Cut to NOTIFY_STATUS_MAX. */
void notify_status(struct notify *notify, const char *text);
/*
 * The thread advances. Cheap enough for every turn of a loop: says so to the watchdog when half of its time has passed,
 * and sends what has changed.
 */
void notify_alive(struct notify *notify);

#endif
