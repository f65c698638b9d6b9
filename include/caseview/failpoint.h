/*
 * failpoint.h: named steps at which a test can hurt a worker exactly there. Built only with the CMake option
 * CASEVIEW_FAIL_POINTS, which follows CASEVIEW_TESTS: in what is shipped the macros are nothing, and no name of a point
 * is in the program.
 *
 * CASEVIEW_TEST_FAIL_POINTS lists what to do, as NAME:ACTION:NTH, separated by commas; NTH counts from 1, 0 is each
 * time:
 *
 *   kill  SIGKILL to itself          stop  SIGSTOP to itself, until somebody sends SIGCONT
 *   note  nothing more than to say so
 *   wait  until somebody has opened the FIFO FOLDER/NAME.go for writing and closed it again
 *
 * CASEVIEW_TEST_FAIL_FOLDER names the folder. Before it acts, a point that is hit adds the line
 * "NAME COUNT MICROSECONDS" (of the monotonic clock) to FOLDER/PID.reached. A list that makes no sense aborts the
 * process. For the worker's one thread.
 */
#ifndef CASEVIEW_FAILPOINT_H
#define CASEVIEW_FAILPOINT_H

#include "caseview/base.h"

#ifdef CASEVIEW_FAIL_POINTS
#define FAIL_POINT(name)       fail_point_reach(name)
#define FAIL_POINT_ARMED(name) fail_point_armed(name)

/* A number that a test gives in the environment variable of this name, `fallback` without it. */
#define FAIL_POINT_NUMBER(variable, fallback) fail_point_number(variable, fallback)

void fail_point_reach(const char *name);
size_t fail_point_number(const char *variable, size_t fallback);
/* Whether anything is to be done there, now or later: what is otherwise sent at once may have to be sent apart. */
bool fail_point_armed(const char *name);
#else
#define FAIL_POINT(name)       ((void)0)
#define FAIL_POINT_ARMED(name) false
#define FAIL_POINT_NUMBER(variable, fallback) (fallback)
#endif

#endif
