/*
 * rows.h: the rows of case_state, active_case and agent for a folded state. The worker writes them; verify, explain and
 * repair compute them to compare. One thread.
 *
 * Rows are made in three steps, so that one query reads the names of any number of states: mark the names of each state
 * (…_want_names), load them (names_load), make the rows (…_make_row).
 */
#ifndef CASEVIEW_SINK_ROWS_H
#define CASEVIEW_SINK_ROWS_H

#include "caseview/buf.h"
#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/sink/names.h"

/* Bits of case_state.flags. */
#define CASE_LISTED     1
#define CASE_DEGRADED   2
#define CASE_INCOMPLETE 4
#define CASE_OVER       8

int16_t case_row_flags(const struct case_state *state);

/* The columns of active_case that are not fields of the state. */
struct listed_row {
    int64_t customer_ref; /* names_hash() of the customer, 0: none */
    struct buf refs;      /* hashes of the other entities that the body names */
    struct buf body;
};

/* The columns of agent that depend on the directory. */
struct gate_row {
    struct agent_gates gates;
    struct buf refs;
};

void listed_row_init(struct listed_row *row);
void listed_row_done(struct listed_row *row);
void gate_row_init(struct gate_row *row);
void gate_row_done(struct gate_row *row);

void case_want_names(const struct case_state *state, struct names *names);
void case_make_row(const struct uuid *case_id, const struct case_state *state, struct names *names,
                   struct listed_row *out_row);
/* Marks the names that the change feed has to find in the row's refs (names_mark()). After names_load(). */
void case_mark_names(const struct case_state *state, struct names *names);
void agent_mark_names(const struct uuid *organization_id, const struct agent_state *state, struct names *names);
void agent_want_names(const struct uuid *organization_id, const struct agent_state *state, struct names *names);
void agent_make_row(const struct uuid *organization_id, const struct agent_state *state, struct names *names,
                    struct gate_row *out_row);

#endif
