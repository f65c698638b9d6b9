#include "workers/poison_flood.h"

void poison_flood_reset(struct poison_flood *flood)
{
    *flood = (struct poison_flood){0};
}

static struct flood_second *bucket_of(struct poison_flood *flood, int64_t second)
{
    struct flood_second *bucket = &flood->seconds[(uint64_t)second % FLOOD_SECONDS];
    if (bucket->second != second)
        *bucket = (struct flood_second){.second = second};
    return bucket;
}

bool poison_flood_add(struct poison_flood *flood, int64_t now_ms, int64_t records, int64_t parked, int64_t first_parked,
                      int64_t *out_back_to)
{
    int64_t second = now_ms / 1000, all_records = 0, all_parked = 0, first = INT64_MAX;
    struct flood_second *now = bucket_of(flood, second);
    if (parked > 0 && (now->parked == 0 || first_parked < now->first_parked))
        now->first_parked = first_parked;
    now->records += records;
    now->parked += parked;
    if (parked == 0)
        return false;
    for (size_t i = 0; i < FLOOD_SECONDS; i++) {
        const struct flood_second *bucket = &flood->seconds[i];
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

bool poison_flood_would_pass(const struct poison_flood *flood, int64_t now_ms, int64_t records, int64_t parked)
{
    struct poison_flood after = *flood;
    int64_t unused;
    return poison_flood_add(&after, now_ms, records, parked, 0, &unused);
}
