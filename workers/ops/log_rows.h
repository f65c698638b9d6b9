/*
 * log_rows.h: the rows that the worker would write for a state: for `explain` and `verify`, to compare. The names are
 * those of the caller's snapshot. One thread.
 */
#ifndef CASEVIEW_OPS_LOG_ROWS_H
#define CASEVIEW_OPS_LOG_ROWS_H

#include "caseview/buf.h"
#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/sink/names.h"

int16_t case_row_flags(const struct case_state *state); /* of case_state */

/* What active_case says beside the columns that are fields of the state. */
struct listed_row {
    int64_t customer_ref; /* 0: none */
    struct buf refs, body;
};

struct gate_row {
    struct agent_gates gates;
    struct buf refs;
};

void listed_row_init(struct listed_row *row);
void listed_row_done(struct listed_row *row);
void gate_row_init(struct gate_row *row);
void gate_row_done(struct gate_row *row);

/* First the names are asked for, for any number of states, then loaded by names_load(), then the rows made. */
void case_want_names(const struct case_state *state, struct names *names);
void case_make_row(const struct uuid *case_id, const struct case_state *state, struct names *names,
                   struct listed_row *out_row);
void agent_want_names(const struct uuid *organization_id, const struct agent_state *state, struct names *names);
void agent_make_row(const struct uuid *organization_id, const struct agent_state *state, struct names *names,
                    struct gate_row *out_row);

#endif
