/*
 * resume.h: `caseview resume`: resumes halted or paused partitions, after the cause was fixed. The worker that owns
 * them notices within two seconds, checks the log as at every claim, and halts the partition again if the cause
 * remains.
 */
#ifndef CASEVIEW_OPS_RESUME_H
#define CASEVIEW_OPS_RESUME_H

#include "caseview/config.h"
#include "caseview/db.h"

/* How `pause` and `resume` differ. */
struct state_change {
    const char *command;
    const struct db_statement *statement; /* returns topic, part, next_offset */
    const char *outcome;                  /* "resumed at" */
    const char *from;                     /* the states that are changed */
};

/* Changes the partitions that the options select, records that in ctl.audit, and prints them. Returns the exit code. */
int change_states(const struct config *config, const struct state_change *change);

int resume_main(const struct config *config);

#endif
