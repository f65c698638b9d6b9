/*
 * resume.h: `caseview resume`: resumes halted or paused partitions, after the cause was fixed. The worker that owns
 * them notices within two seconds, checks the log as at every claim, and halts the partition again if the cause
 * remains.
 */
#ifndef CASEVIEW_OPS_RESUME_H
#define CASEVIEW_OPS_RESUME_H

#include "caseview/config.h"

int resume_main(const struct config *config);

#endif
