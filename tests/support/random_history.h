/*
 * random_history.h: random events of one case and of one agent, in the order of their numbers, with duplicates, gaps
 * and unknown types.
 */
#ifndef CASEVIEW_TESTS_RANDOM_HISTORY_H
#define CASEVIEW_TESTS_RANDOM_HISTORY_H

#include "tests/support/random.h"
#include "workers/fold/event.h"

#define HISTORY_NUMBERS 30 /* at most SEQUENCE_MAX_GAPS, so that "many" cannot occur */

struct case_history {
    struct case_event events[3 * HISTORY_NUMBERS];
    unsigned count;
    unsigned foreign;  /* events of another organization */
    unsigned distinct; /* distinct numbers of the case's organization */
};

/* Of organization sample_uuid(1) and case sample_uuid(2). */
void random_case_history(struct random *random, struct case_history *history);
void shuffle_case_history(struct random *random, struct case_history *history);

struct agent_history {
    struct agent_event events[2 * HISTORY_NUMBERS];
    struct uuid workspaces[HISTORY_NUMBERS][4]; /* the events refer to them: a history is not copied */
    unsigned count;
    unsigned distinct;
};

/* Of organization sample_uuid(1) and user sample_uuid(3). */
void random_agent_history(struct random *random, struct agent_history *history);
void shuffle_agent_history(struct random *random, struct agent_history *history);

/* In place of the numbers 0 to HISTORY_NUMBERS: ascending ones, some of them far apart. */
void random_numbers(struct random *random, int64_t out_numbers[HISTORY_NUMBERS + 1]);

/* How the events of a history are divided among states that will be merged. */
enum split {
    SPLIT_ANY, /* each event in one state or several */
    SPLIT_DISJOINT,
    SPLIT_RETENTION, /* old events in the first state, the others in the second and perhaps the first too */
    SPLIT_COUNT,
};

#define SPLIT_STATES 3

/* The states that fold an event: bit i for state i. */
unsigned random_states(struct random *random, enum split split, bool old);

#endif
