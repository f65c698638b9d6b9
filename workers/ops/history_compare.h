/*
 * history_compare.h: compares one stored row with a folded state and reports each difference, field by field. Pure.
 *
 * The columns of a row depend on two things. The state and the partition depend on the log; all other columns follow
 * from the row's own state and from the directory. They are compared separately, because the second kind
 * does not need the log.
 */
#ifndef CASEVIEW_OPS_HISTORY_COMPARE_H
#define CASEVIEW_OPS_HISTORY_COMPARE_H

#include "workers/ops/stored_rows.h"
#include "workers/sink/rows.h"

/* Receives differences: the field's name, the row's value, the value from the log. The texts are borrowed. */
struct difference_sink {
    void (*report)(void *context, const char *field, struct str row, struct str log);
    void *context;
};

/* A sink that counts, and passes the differences on unless `next` is NULL. */
struct difference_counter {
    const struct difference_sink *next;
    size_t count;
};
struct difference_sink difference_counter_sink(struct difference_counter *counter);

/* Facts about a key's history besides its state. */
struct history_knowledge {
    uint64_t parts;  /* part_bit() of the partitions of its events */
    bool incomplete; /* the row may contain events that the history lacks: only newer groups of the history count */
};

uint64_t part_bit(int32_t part); /* partitions from 63 on share a bit */

/*
 * Compares state and partition with the history. True: the history cannot tell whether the row is right, because its
 * start is gone or too many sequence numbers are missing; those fields are not reported.
 */
bool compare_case(const struct stored_case *row, const struct case_state *history,
                  const struct history_knowledge *knowledge, const struct difference_sink *out);
bool compare_agent(const struct stored_agent *row, const struct agent_state *history,
                   const struct history_knowledge *knowledge, const struct difference_sink *out);

/* Compares the other columns of case_state with the row's own state. */
void compare_case_columns(const struct stored_case *row, const struct case_state *state,
                          const struct difference_sink *out);
/* part: the partition in case_state. with_body: row and directory are of the same moment, so the names must agree. */
void compare_listed(const struct stored_listed *row, const struct case_state *state, const struct listed_row *expected,
                    int32_t part, bool with_body, const struct difference_sink *out);
/* Compares the other columns of agent with the row's own state and the directory. */
void compare_agent_columns(const struct stored_agent *row, const struct gate_row *expected, bool degraded,
                           const struct difference_sink *out);

#endif
