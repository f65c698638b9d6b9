#include "fair_share.h"

#include <stdlib.h>
#include <xxhash.h>

enum { SHARES = 4096 };

static const char too_many[] = "Too many requests are waiting for the database.";
static const char too_many_of_application[] = "Too many requests of this application are waiting for the database.";

struct fair_share {
    uint64_t seed;
    int max_waiting, max_of_application;
    int max_when_slow; /* of one application */
    atomic_int waiting;
    atomic_int slow; /* requests that have waited SLOW_MS */
    /* Requests that wait, by a seeded hash of their application. Two applications that meet in one counter share it. */
    atomic_int of_application[SHARES];
};

static int half_of(int n)
{
    return n > 1 ? n / 2 : 1;
}

struct fair_share *fair_share_new(int max_waiting, int threads, uint64_t seed)
{
    struct fair_share *share = cv_zalloc(sizeof *share);
    share->seed = seed;
    share->max_waiting = max_waiting;
    share->max_of_application = half_of(max_waiting);
    share->max_when_slow = half_of(threads);
    return share;
}

void fair_share_free(struct fair_share *share)
{
    free(share);
}

bool fair_share_enter(struct fair_share *share, const struct uuid *application, struct fair_claim *out_claim,
                      const char **out_why)
{
    uint64_t hash = XXH3_64bits_withSeed(application, sizeof *application, share->seed);
    *out_claim = (struct fair_claim){.share = share, .of_application = &share->of_application[hash % SHARES]};
    int of_application = atomic_fetch_add_explicit(out_claim->of_application, 1, memory_order_relaxed);
    int waiting = atomic_fetch_add_explicit(&share->waiting, 1, memory_order_relaxed);
    bool is_slow = atomic_load_explicit(&share->slow, memory_order_relaxed) > 0;
    if (waiting >= share->max_waiting)
        *out_why = too_many;
    else if (of_application >= share->max_of_application || (is_slow && of_application >= share->max_when_slow))
        *out_why = too_many_of_application;
    else
        return true;
    fair_share_leave(out_claim);
    return false;
}

bool fair_share_may_wait(struct fair_claim *claim, const char **out_why)
{
    struct fair_share *share = claim->share;
    if (!claim->slow)
        atomic_fetch_add_explicit(&share->slow, 1, memory_order_relaxed);
    claim->slow = true;
    int n = atomic_load_explicit(claim->of_application, memory_order_relaxed);
    while (n > share->max_when_slow)
        if (atomic_compare_exchange_weak_explicit(claim->of_application, &n, n - 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            claim->of_application = NULL; /* given up: the others keep their half */
            *out_why = too_many_of_application;
            return false;
        }
    return true;
}

void fair_share_leave(struct fair_claim *claim)
{
    if (claim->slow)
        atomic_fetch_sub_explicit(&claim->share->slow, 1, memory_order_relaxed);
    if (claim->of_application != NULL)
        atomic_fetch_sub_explicit(claim->of_application, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&claim->share->waiting, 1, memory_order_relaxed);
}
