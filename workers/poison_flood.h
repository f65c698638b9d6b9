/*
 * poison_flood.h: whether too many records of a partition were parked within a minute: more than 1,000 and more than
 * half (contract, section 4). Counted when they are committed, so that what is read twice counts once. Pure. One
 * thread.
 */
#ifndef CASEVIEW_WORKERS_POISON_FLOOD_H
#define CASEVIEW_WORKERS_POISON_FLOOD_H

#include "caseview/base.h"

#define FLOOD_PARKED  1000
#define FLOOD_SECONDS 60

struct flood_second {
    int64_t second; /* of the clock that the caller uses */
    int64_t records, parked;
    int64_t first_parked; /* offset, valid while parked > 0 */
};

struct poison_flood {
    struct flood_second seconds[FLOOD_SECONDS];
};

void poison_flood_reset(struct poison_flood *flood);
/*
 * So many records were committed, of which so many parked, the first of these at first_parked. True: the limit is
 * passed; *out_back_to is the first parked offset of the minute.
 */
bool poison_flood_add(struct poison_flood *flood, int64_t now_ms, int64_t records, int64_t parked, int64_t first_parked,
                      int64_t *out_back_to);
/* Whether the limit would be passed if so many more were committed now. */
bool poison_flood_would_pass(const struct poison_flood *flood, int64_t now_ms, int64_t records, int64_t parked);

#endif
