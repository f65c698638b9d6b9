/*
 * state_change.h: what `caseview pause` and `caseview resume` share: they change the state of partitions.
 */
#ifndef CASEVIEW_OPS_STATE_CHANGE_H
#define CASEVIEW_OPS_STATE_CHANGE_H

#include "caseview/config.h"
#include "caseview/db.h"

struct state_change {
    const char *command;
    const struct db_statement *statement; /* returns topic, part, next_offset */
    const char *outcome;                  /* "resumed at" */
    const char *from;                     /* the states that are changed */
};

/* Changes the partitions that the options select, records that in ctl.audit, and prints them. Returns the exit code. */
int state_change_run(const struct config *config, const struct state_change *change);

#endif
