/*
 * stop.h: signals. The first SIGTERM or SIGINT requests a stop: the program drains. The second one ends it at once with
 * exit code 128 + signal. SIGHUP makes a server re-read files that may have changed, and stops a command, whose
 * terminal has gone. SIGPIPE is ignored: writing to a closed pipe fails with EPIPE. One per process; call stop_init()
 * before any thread starts.
 */
#ifndef CASEVIEW_STOP_H
#define CASEVIEW_STOP_H

#include "caseview/base.h"

enum stop_hangup {
    STOP_HANGUP_RELOADS, /* a server: stop_reload_requested() */
    STOP_HANGUP_STOPS,   /* a command: SIGHUP is one more way to request the stop, unless it was started with SIGHUP
                            ignored (nohup); it never counts as the second signal, since terminals send several */
};

void stop_init(enum stop_hangup hangup);
/* Requests a stop as the first signal does, for a program that gives up: the next signal then counts as the second. */
void stop_request(void);
bool stop_requested(void); /* any thread */
int stop_fd(void);         /* readable from the first signal on: for poll(2) */
/* Sleeps for timeout_ms, or until a stop is requested; true: it is. SIGHUP does not end the sleep. */
bool stop_wait(int timeout_ms);
/*
 * True once after each SIGHUP, for each caller that looks: *seen is the caller's own, 0 at first. Any thread. SIGHUP
 * wakes no thread: call this at least once a second.
 */
bool stop_reload_requested(unsigned *seen);

#endif
