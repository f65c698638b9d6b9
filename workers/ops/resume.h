/*
 * resume.h: `caseview resume`: lets halted or paused partitions go on, after their cause was mended. The worker that
 * owns them notices within some seconds, checks the log again as at every claim, and halts again if the promise is
 * still broken.
 */
#ifndef CASEVIEW_OPS_RESUME_H
#define CASEVIEW_OPS_RESUME_H

#include "caseview/config.h"

int resume_main(const struct config *config);

#endif
