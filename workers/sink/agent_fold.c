#include "workers/sink/agent_fold.h"

#include "workers/fold/agent.h"

static struct fold_result refused(enum park_reason reason, const char *text)
{
    return (struct fold_result){.reason = reason, .text = text};
}

struct fold_result agent_fold(struct states *agents, struct state *state, int32_t part, const struct agent_event *event,
                              struct fold_scratch *scratch, struct batch *batch)
{
    static const char too_large[] = "with it the state of its agent would be larger than 1 MiB";
    struct agent_state folded;
    arena_reset(scratch->agent);
    if (state->blob == NULL)
        agent_init(&folded, scratch->agent);
    else if (!agent_load(state_blob(state), scratch->agent, &folded))
        return refused(PARK_REFUSED_BY_DATABASE,
                       "the table agent holds a state of this agent that this version cannot read: caseview repair");
    enum fold_outcome outcome = agent_apply(&folded, event);
    if (arena_full(scratch->agent))
        return refused(PARK_TOO_LARGE, too_large);
    if (outcome != FOLD_APPLIED && outcome != FOLD_UNKNOWN_TYPE)
        return (struct fold_result){.outcome = outcome};

    buf_reset(&scratch->stored);
    agent_store(&folded, &scratch->stored);
    if (scratch->stored.overflow || scratch->stored.len > AGENT_STATE_MAX)
        return refused(PARK_TOO_LARGE, too_large);
    states_set(agents, state, (struct str){scratch->stored.data, scratch->stored.len});
    state->part = part;
    batch_add_agent(batch, state);
    return (struct fold_result){.outcome = outcome};
}
