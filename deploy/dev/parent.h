/*
 * parent.h: a process of a test or a trial that must not outlive the one that started it.
 */
#ifndef CASEVIEW_DEV_PARENT_H
#define CASEVIEW_DEV_PARENT_H

#include "caseview/base.h"

/* From now on the end of the parent, killed or not, is a SIGTERM for this process. */
void parent_end_with(void);

#endif
