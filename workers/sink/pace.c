#include "workers/sink/pace.h"

#define FINE_US 1000   /* a fence of the usual length: no waiting */
#define SHARE   10     /* fences take one part in so many of the time */
#define MAX_US  500000 /* rows stay current within a second */

void pace_add(struct pace *pace, int64_t fence_us)
{
    pace->fence_us[pace->count++ % PACE_FENCES] = fence_us;
}

int64_t pace_gap_us(const struct pace *pace)
{
    if (pace->count < PACE_FENCES)
        return 0;
    int64_t shortest = pace->fence_us[0];
    for (size_t i = 1; i < PACE_FENCES; i++)
        if (pace->fence_us[i] < shortest)
            shortest = pace->fence_us[i];
    if (shortest <= FINE_US)
        return 0;
    return shortest < MAX_US / SHARE ? shortest * SHARE : MAX_US;
}
