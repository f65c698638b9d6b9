#include "caseview/retry.h"

#include "caseview/clock.h"

void retry_init(struct retry *retry, int base_ms, int max_ms)
{
    assert(base_ms > 0 && max_ms >= base_ms);
    *retry = (struct retry){.base_ms = base_ms, .max_ms = max_ms};
}

void retry_reset(struct retry *retry)
{
    retry->attempts = 0;
    retry->next_at_ms = 0;
}

int retry_failed(struct retry *retry)
{
    int64_t step = retry->base_ms;
    for (unsigned i = 0; i < retry->attempts && step < retry->max_ms; i++)
        step *= 2;
    if (step > retry->max_ms)
        step = retry->max_ms;
    if (retry->attempts < UINT32_MAX)
        retry->attempts++;
    int64_t half = (step + 1) / 2;
    int wait = (int)(half + arc4random_uniform((uint32_t)(step - half + 1)));
    retry->next_at_ms = clock_mono_ms() + wait;
    return wait;
}

bool retry_due(const struct retry *retry)
{
    return retry->next_at_ms == 0 || clock_mono_ms() >= retry->next_at_ms;
}

bool retry_worth_logging(const struct retry *retry)
{
    return retry->attempts > 0 && (retry->attempts & (retry->attempts - 1)) == 0;
}
