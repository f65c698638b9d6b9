#include "workers/notice.h"

#include "caseview/clock.h"

#define FIRST_WAIT_MS 1000
#define LAST_WAIT_MS  300000

void notice_add(struct notice *notice, int64_t count)
{
    notice->unlogged += count;
}

int64_t notice_due(struct notice *notice)
{
    int64_t now = clock_mono_ms(), count = notice->unlogged;
    if (count == 0 || now < notice->next_ms)
        return 0;
    /* Quiet for as long as the last distance: the next trouble is a new one. */
    bool fresh = notice->next_ms == 0 || now >= notice->next_ms + notice->wait_ms;
    notice->wait_ms = fresh ? FIRST_WAIT_MS : notice->wait_ms * 2;
    if (notice->wait_ms > LAST_WAIT_MS)
        notice->wait_ms = LAST_WAIT_MS;
    notice->next_ms = now + notice->wait_ms;
    notice->unlogged = 0;
    return count;
}
