/*
 * process.h: this process as the others see it, and how a program begins and ends.
 */
#ifndef CASEVIEW_PROCESS_H
#define CASEVIEW_PROCESS_H

#include "caseview/base.h"

/* "host:pid", terminated, for people: who owns a cursor, who ran a command. The host name is cut where size is small.
 */
void process_name(char *out, size_t size);

#endif
