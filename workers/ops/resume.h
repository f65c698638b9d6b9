/*
 * resume.h: `caseview resume`: lets halted or paused partitions go on, after their cause was mended. The worker that
 * owns them notices within a second or two, checks the log again as at every claim, and halts again if the promise is
 * still broken.
 */
#ifndef CASEVIEW_OPS_RESUME_H
#define CASEVIEW_OPS_RESUME_H

#include "caseview/config.h"
#include "caseview/db.h"

/* What `pause` and `resume` differ in. */
struct state_change {
    const char *command;
    const struct db_statement *statement; /* returns topic, part, next_offset */
    const char *outcome;                  /* "goes on at" */
    const char *from;                     /* the states that are changed */
};

/* Changes, notes and prints the partitions that the options name; returns the exit code. */
int change_states(const struct config *config, const struct state_change *change);

int resume_main(const struct config *config);

#endif
