/*
 * agent.h: the fold of one agent: the current unit, and a set of workspaces per unit (contract, sections 3 and 4).
 * Pure. The state's memory comes from the arena given to agent_init() or agent_load(), and is valid as long as it.
 */
#ifndef CASEVIEW_FOLD_AGENT_H
#define CASEVIEW_FOLD_AGENT_H

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "workers/fold/event.h"
#include "workers/fold/sequence.h"

/* What the agent's events said about one unit. */
struct agent_unit {
    struct uuid unit_id;
    int64_t set_sequence;             /* of the last WorkspacesSelected or Revoked */
    int64_t revoked_sequence;         /* of the last Revoked, 0: never */
    const struct uuid *workspace_ids; /* ascending, without duplicates; none after Revoked */
    size_t workspace_count;
};

struct agent_state {
    struct arena *arena;
    struct sequence sequence;
    int64_t unit_sequence; /* of the last Selected or Cleared, 0: never */
    bool has_unit;
    struct uuid unit_id;
    struct agent_unit *units; /* ascending by id */
    size_t unit_count;
    size_t unit_room;
};

void agent_init(struct agent_state *state, struct arena *arena);
/*
 * Folds one event; its ids are copied. A full arena leaves the state unchanged and makes the outcome meaningless: check
 * arena_full() once after a batch.
 */
enum fold_outcome agent_apply(struct agent_state *state, const struct agent_event *event);
/*
 * Adds the events that from has folded, as case_merge() does for a case. Both are states of one agent. Ids are copied
 * into the arena of into. A full arena leaves into unchanged and makes the result meaningless: check arena_full().
 */
bool agent_merge(struct agent_state *into, const struct agent_state *from);
bool agent_is_degraded(const struct agent_state *state);

void agent_store(const struct agent_state *state, struct buf *out); /* canonical; for versions see case_store() */
/* False: not a blob that agent_store() wrote, or the arena is full; out_state is then undefined. The blob is copied. */
bool agent_load(struct str blob, struct arena *arena, struct agent_state *out_state) CV_MUST_CHECK;

/* The current unit by the agent's events alone, without the directory. False: none. */
bool agent_current_unit(const struct agent_state *state, struct uuid *out_unit_id);
/* The workspaces of that unit; NULL and 0 when there are none. */
const struct uuid *agent_current_workspaces(const struct agent_state *state, size_t *out_count);

/* True when the directory marks the entity as removed; false for a forgotten or unknown one. */
typedef bool (*agent_removed)(void *context, enum entity_kind kind, const struct uuid *id);

struct agent_gates {
    bool has_unit;
    struct uuid current_unit_id;
    bool has_workspaces; /* at least one workspace of the set is not removed */
};

struct agent_gates agent_evaluate(const struct agent_state *state, agent_removed removed, void *context);

#endif
