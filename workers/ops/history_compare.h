/*
 * history_compare.h: one row beside what the log makes of it: each difference is told, field by field. Pure.
 */
#ifndef CASEVIEW_OPS_HISTORY_COMPARE_H
#define CASEVIEW_OPS_HISTORY_COMPARE_H

#include "workers/sink/rows.h"

/* Where differences go: the field's name, what the row says and what the log says; both texts are borrowed. */
struct difference_sink {
    void (*tell)(void *context, const char *field, struct str row, struct str log);
    void *context;
};

struct stored_case {
    int32_t rev, part;
    int16_t flags;
    bool has_degraded_at, has_over_at;
    struct str state;
};

struct stored_listed {
    struct uuid organization_id, case_id, user_id, unit_id;
    int64_t status_date, case_timestamp;
    bool degraded;
    int32_t part;
    int64_t customer_ref; /* 0: NULL */
    struct str refs, body;
};

struct stored_agent {
    int32_t rev, part;
    bool has_unit;
    struct uuid current_unit_id;
    bool has_workspaces, degraded, has_degraded_at;
    struct str refs, state;
};

/* What is known beside the state itself. */
struct history_knowledge {
    uint64_t parts;  /* bits of the partitions that its events lie in, those from 63 on share a bit */
    bool start_gone; /* the log may know less than the row: only what the log knows better is a difference */
};

uint64_t part_bit(int32_t part);

/*
 * True when the log cannot say whether the row is right, because its start is gone or too many numbers are missing:
 * nothing is told about those fields then.
 */
bool compare_case(const struct stored_case *found, const struct case_state *log,
                  const struct history_knowledge *knowledge, const struct difference_sink *out);
/* part: of its row in case_state. names_too: the row and the directory are of the same moment. */
void compare_listed(const struct stored_listed *found, const struct case_state *state, const struct listed_row *row,
                    int32_t part, bool names_too, const struct difference_sink *out);
bool compare_agent(const struct stored_agent *found, const struct agent_state *log,
                   const struct history_knowledge *knowledge, const struct difference_sink *out);
/* What follows from the state in the row itself, and the directory. */
void compare_gates(const struct stored_agent *found, const struct gate_row *row, bool degraded,
                   const struct difference_sink *out);

#endif
