#include "caseview/log_limit.h"

#include "caseview/clock.h"

#define FIRST_WAIT_MS 1000
#define LAST_WAIT_MS  300000

void log_limit_add(struct log_limit *limit, int64_t count)
{
    limit->unlogged += count;
}

int64_t log_limit_due_at(struct log_limit *limit, int64_t now_ms)
{
    int64_t count = limit->unlogged;
    if (count == 0 || now_ms < limit->next_ms)
        return 0;
    bool quiet = limit->next_ms == 0 || now_ms >= limit->next_ms + limit->wait_ms;
    limit->wait_ms = quiet ? FIRST_WAIT_MS : limit->wait_ms * 2;
    if (limit->wait_ms > LAST_WAIT_MS)
        limit->wait_ms = LAST_WAIT_MS;
    limit->next_ms = now_ms + limit->wait_ms;
    limit->unlogged = 0;
    return count;
}

int64_t log_limit_due(struct log_limit *limit)
{
    return log_limit_due_at(limit, clock_mono_ms());
}

int64_t log_limit_hit(struct log_limit *limit)
{
    log_limit_add(limit, 1);
    return log_limit_due(limit);
}
