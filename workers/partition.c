#include "workers/partition.h"

#include <assert.h>

#include "caseview/log.h"

static const struct {
    enum partition_state from, to;
} transitions[] = {
    {PARTITION_UNCLAIMED, PARTITION_PROVING}, /* claimed, a record to compare is known */
    {PARTITION_UNCLAIMED, PARTITION_LIVE},    /* claimed, nothing to prove: new, or never had a record */
    {PARTITION_UNCLAIMED, PARTITION_HALTED},  /* the cursor says halted or paused */
    {PARTITION_UNCLAIMED, PARTITION_HALTING}, /* the directory topic has another number of partitions */
    {PARTITION_PROVING, PARTITION_LIVE},      /* the log is the same */
    {PARTITION_PROVING, PARTITION_HALTING},   /* it is not */
    {PARTITION_LIVE, PARTITION_HELD},         /* a schema cannot be fetched */
    {PARTITION_LIVE, PARTITION_HALTING},      /* poison flood, or the position fell out of the log */
    {PARTITION_HELD, PARTITION_LIVE},         /* try again */
    {PARTITION_HALTING, PARTITION_HALTED},    /* the cursor says so now */
    {PARTITION_PROVING, PARTITION_HALTED},    /* an operator paused it */
    {PARTITION_LIVE, PARTITION_HALTED},       /* likewise */
    {PARTITION_HELD, PARTITION_HALTED},       /* likewise */
    /* and from everywhere back to UNCLAIMED: the connection or the claim is lost, or an operator has resumed it */
};

static const char *const state_names[PARTITION_STATE_COUNT] = {
    [PARTITION_UNCLAIMED] = "unclaimed", [PARTITION_PROVING] = "proving", [PARTITION_LIVE] = "live",
    [PARTITION_HELD] = "held",           [PARTITION_HALTING] = "halting", [PARTITION_HALTED] = "halted",
};

const char *partition_state_name(enum partition_state state)
{
    return state_names[state];
}

void partition_set_state(struct partition *partition, enum partition_state state)
{
    if (state == partition->state)
        return;
    bool known = state == PARTITION_UNCLAIMED;
    for (size_t i = 0; i < ARRAY_LEN(transitions) && !known; i++)
        known = transitions[i].from == partition->state && transitions[i].to == state;
    assert(known);
    log_debug("partition %.*s/%d: %s -> %s at offset %lld", (int)partition->topic_name.len, partition->topic_name.ptr,
              partition->part, state_names[partition->state], state_names[state], (long long)partition->position);
    partition->state = state;
}

static struct flood_second *bucket_of(struct partition *partition, int64_t second)
{
    struct flood_second *bucket = &partition->flood[second % FLOOD_SECONDS];
    if (bucket->second != second)
        *bucket = (struct flood_second){.second = second};
    return bucket;
}

void partition_count_record(struct partition *partition, int64_t now_ms)
{
    bucket_of(partition, now_ms / 1000)->records++;
}

bool partition_count_parked(struct partition *partition, int64_t offset, int64_t now_ms, int64_t *out_back_to)
{
    int64_t second = now_ms / 1000;
    struct flood_second *now = bucket_of(partition, second);
    if (now->parked++ == 0 || offset < now->first_parked)
        now->first_parked = offset;

    int64_t all_records = 0, all_parked = 0, first = INT64_MAX;
    for (size_t i = 0; i < FLOOD_SECONDS; i++) {
        const struct flood_second *bucket = &partition->flood[i];
        if (bucket->second <= second - FLOOD_SECONDS)
            continue;
        all_records += bucket->records;
        all_parked += bucket->parked;
        if (bucket->parked > 0 && bucket->first_parked < first)
            first = bucket->first_parked;
    }
    if (all_parked <= FLOOD_PARKED || all_parked * 2 <= all_records)
        return false;
    *out_back_to = first;
    return true;
}
