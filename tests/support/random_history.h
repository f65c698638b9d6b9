/*
 * random_history.h: random events of one case and of one agent, in the order of their numbers, with duplicates, gaps
 * and unknown types.
 */
#ifndef CASEVIEW_TESTS_RANDOM_HISTORY_H
#define CASEVIEW_TESTS_RANDOM_HISTORY_H

#include "tests/support/random.h"
#include "workers/fold/agent.h"
#include "workers/fold/case.h"

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

/* Numbers that are far apart in places, so that gaps and the window below a snapshot are crossed; their order stays. */
void spread_case_numbers(struct random *random, struct case_history *history);
void spread_agent_numbers(struct random *random, struct agent_history *history);

/* The stored form of a state; to be freed by buf_done(). */
struct buf stored_case(const struct case_state *state);
struct buf stored_agent(const struct agent_state *state);
/* Whether the stored forms are the same; frees them. */
bool same_stored(struct buf a, struct buf b);

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
