/*
 * stop.h: the two-step stop. The first SIGTERM or SIGINT asks the program to drain; the second ends it at once with
 * exit code 128 + signal. SIGPIPE is ignored. One per process; call stop_init() before any thread starts.
 */
#ifndef CASEVIEW_STOP_H
#define CASEVIEW_STOP_H

#include "caseview/base.h"

void stop_init(void);
/* What the first signal does, for a program that gives up: the next signal counts as the second. */
void stop_request(void);
bool stop_requested(void); /* any thread */
int stop_fd(void);         /* becomes readable at the first signal and stays so: for poll(2) */
/* Sleeps at most timeout_ms, less when a stop is asked for; true when it was. */
bool stop_wait(int timeout_ms);

#endif
