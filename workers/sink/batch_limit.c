#include "workers/sink/batch_limit.h"

#define CONFLICT_ITEMS_MIN 1
#define ITEMS_MAX          1000000 /* above it there is no limit again */

void batch_limit_init(struct batch_limit *limit, size_t most)
{
    *limit = (struct batch_limit){.items = most, .most = most};
}

void batch_limit_committed(struct batch_limit *limit, size_t items)
{
    if (items == 0)
        return;
    if (limit->isolate_left > items) {
        limit->isolate_left -= items;
        return;
    }
    limit->isolate_left = 0;
    limit->items = limit->items < ITEMS_MAX ? limit->items * 2 : BATCH_LIMIT_NONE;
    if (limit->items > limit->most)
        limit->items = limit->most;
}

void batch_limit_conflict(struct batch_limit *limit, size_t items)
{
    size_t fewer = items / 4 > CONFLICT_ITEMS_MIN ? items / 4 : CONFLICT_ITEMS_MIN;
    if (fewer < limit->items)
        limit->items = fewer;
}

bool batch_limit_refused(struct batch_limit *limit, size_t items)
{
    if (items <= 1) {
        limit->items = 1;
        limit->isolate_left = 0;
        return true;
    }
    if (limit->isolate_left == 0)
        limit->isolate_left = 2 * items;
    limit->items = items / 2;
    return false;
}
