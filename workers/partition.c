#include "workers/partition.h"

#include "caseview/log.h"

static const struct partition_transition transitions[] = {
    {PARTITION_UNCLAIMED, PARTITION_PROVING, "claimed, and the cursor knows a last record to compare"},
    {PARTITION_UNCLAIMED, PARTITION_LIVE, "claimed, nothing to compare: new, or never had a record"},
    {PARTITION_UNCLAIMED, PARTITION_HALTED, "claimed, and the cursor says halted or paused"},
    {PARTITION_UNCLAIMED, PARTITION_HALTING,
     "claimed, but the directory topic has another number of partitions, or a flood was parked"},
    {PARTITION_PROVING, PARTITION_LIVE, "the log is the one that was read before"},
    {PARTITION_PROVING, PARTITION_HALTING, "the log is another one, or does not reach the cursor"},
    {PARTITION_LIVE, PARTITION_HELD,
     "the schema of a record cannot be fetched now, or the commit of many parked records is awaited"},
    {PARTITION_HELD, PARTITION_LIVE, "tried again"},
    {PARTITION_LIVE, PARTITION_HALTING,
     "poison flood, a record that cannot even be parked, or the position left the log"},
    {PARTITION_HELD, PARTITION_HALTING, "poison flood"},
    {PARTITION_HALTING, PARTITION_HALTED, "everything before is committed, and the cursor says halted"},
};

static const char *const state_names[PARTITION_STATE_COUNT] = {
    [PARTITION_UNCLAIMED] = "unclaimed", [PARTITION_PROVING] = "proving", [PARTITION_LIVE] = "live",
    [PARTITION_HELD] = "held",           [PARTITION_HALTING] = "halting", [PARTITION_HALTED] = "halted",
};

const struct partition_transition *partition_transitions(size_t *out_count)
{
    *out_count = ARRAY_LEN(transitions);
    return transitions;
}

const char *partition_state_name(enum partition_state state)
{
    return state_names[state];
}

void partition_init(struct partition *partition, enum topic topic, int32_t part, struct str topic_name)
{
    *partition = (struct partition){
        .topic = topic,
        .part = part,
        .topic_name = topic_name,
        .state = PARTITION_UNCLAIMED,
        .last_record_ms = -1,
        .committed_to_kafka = -1,
        .halt_back_to = -1,
        .refused = {.offset = -1},
        .batch_number = UINT64_MAX,
    };
    retry_init(&partition->retry, 200, 5000);
}

/* From every state back to UNCLAIMED: after a recovery, a revocation, or when an operator resumes the partition. */
static const char *reason_for(enum partition_state from, enum partition_state to)
{
    if (to == PARTITION_UNCLAIMED)
        return "claim given up";
    for (size_t i = 0; i < ARRAY_LEN(transitions); i++)
        if (transitions[i].from == from && transitions[i].to == to)
            return transitions[i].when;
    return NULL;
}

void partition_set_state(struct partition *partition, enum partition_state state)
{
    if (state == partition->state)
        return;
    const char *when = reason_for(partition->state, state);
    assert(when != NULL);
    log_debug("partition %.*s/%d: %s -> %s at offset %" PRId64 ": %s", (int)partition->topic_name.len,
              partition->topic_name.ptr, partition->part, state_names[partition->state], state_names[state],
              partition->position, when);
    partition->state = state;
}

bool partition_shows_names(const struct partition *partition)
{
    switch (partition->state) {
    case PARTITION_PROVING:
    case PARTITION_LIVE:
    case PARTITION_HELD:
    case PARTITION_HALTED:
        return partition->topic != TOPIC_DIRECTORY;
    case PARTITION_UNCLAIMED:
    case PARTITION_HALTING: /* its cursor is about to change */
    case PARTITION_STATE_COUNT:
        break;
    }
    return false;
}

bool partition_is_fresh(const struct partition *partition)
{
    const struct cursor *cursor = &partition->cursor;
    return partition->position == 0 && !partition->at_end && !cursor->has_last && !cursor->complete;
}
