/*
 * parent.h: ends a process of a test together with the process that started it.
 */
#ifndef CASEVIEW_DEV_PARENT_H
#define CASEVIEW_DEV_PARENT_H

#include "caseview/base.h"

/* Lets the kernel send this process SIGTERM when its parent ends, even by SIGKILL. */
void parent_end_with(void);

#endif
