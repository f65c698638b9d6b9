/*
 * process.h: the start of a program, and its name among others.
 */
#ifndef CASEVIEW_PROCESS_H
#define CASEVIEW_PROCESS_H

#include "caseview/base.h"

/*
 * Must be the first call of main(). Opens the descriptors 0, 1 and 2 on /dev/null where the caller of the program has
 * closed them: otherwise the next socket or file would get such a number, and log lines would be written into it. Sets
 * malloc up (memory_tune()).
 */
void process_start(void);

/*
 * "host:pid", terminated, for people: who owns a cursor, who ran a command. The host name is cut where size is small.
 */
void process_name(char *out, size_t size);

#endif
