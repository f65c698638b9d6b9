/*
 * naive_fold.h: an independent fold for the tests: sorts all events of a key by number, drops duplicates and replays
 * them. Deliberately slow and simple, written from the contract alone: it shares no code with workers/fold/.
 */
#ifndef CASEVIEW_TESTS_NAIVE_FOLD_H
#define CASEVIEW_TESTS_NAIVE_FOLD_H

#include "workers/fold/event.h"

#define NAIVE_WORKSPACES_MAX 64

struct naive_case {
    bool over;
    bool has_snapshot;
    bool degraded;
    bool listed;
    struct case_fields fields;
};

/* Events of another organization are ignored. */
struct naive_case naive_case_fold(const struct uuid *organization_id, const struct case_event *events, size_t count);

struct naive_agent {
    bool degraded;
    bool has_unit;
    struct uuid unit_id;
    struct uuid workspaces[NAIVE_WORKSPACES_MAX]; /* of the current unit, each once, in no particular order */
    size_t workspace_count;
};

struct naive_agent naive_agent_fold(const struct agent_event *events, size_t count);

#endif
