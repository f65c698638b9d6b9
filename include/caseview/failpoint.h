/*
 * failpoint.h: named points at which a test can kill, stop or delay a worker. Compiled only with the CMake option
 * CASEVIEW_FAIL_POINTS, which follows CASEVIEW_TESTS; in a release the macros are empty and no name of a point is in
 * the program.
 *
 * CASEVIEW_TEST_FAIL_POINTS lists what happens where, as NAME:ACTION:NTH, separated by commas; NTH counts from 1, 0 is
 * every time:
 *
 *   kill  sends itself SIGKILL       stop  sends itself SIGSTOP, continues after SIGCONT
 *   note  reports only
 *   wait  waits until the FIFO FOLDER/NAME.go was opened for writing and closed
 *
 * CASEVIEW_TEST_FAIL_FOLDER names the folder. A point that is reached first appends the line "NAME COUNT MICROSECONDS"
 * (monotonic clock) to FOLDER/PID.reached. A list that is not valid aborts the process. Only for the worker's thread.
 */
#ifndef CASEVIEW_FAILPOINT_H
#define CASEVIEW_FAILPOINT_H

#include "caseview/base.h"

#ifdef CASEVIEW_FAIL_POINTS
#define FAIL_POINT(name) fail_point_reach(name)

/* A number that a test gives in the environment variable of this name, `fallback` without it. */
#define FAIL_POINT_NUMBER(variable, fallback) fail_point_number(variable, fallback)

void fail_point_reach(const char *name);
size_t fail_point_number(const char *variable, size_t fallback);
#else
#define FAIL_POINT(name)                      ((void)0)
#define FAIL_POINT_NUMBER(variable, fallback) (fallback)
#endif

#endif
