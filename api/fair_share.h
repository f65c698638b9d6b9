/*
 * fair_share.h: how many requests may wait for the database, and how many of them one application may have. Each that
 * waits holds a thread.
 *
 * At most max_waiting wait, and at most half as many of one application. While the database is slow (a request has
 * waited SLOW_MS), an application may hold no more than half of the threads: requests beyond that are refused, those
 * that wait already included. While it is fast, one application may have all threads, for none is held for long. Any
 * thread.
 */
#ifndef CASEVIEW_API_FAIR_SHARE_H
#define CASEVIEW_API_FAIR_SHARE_H

#include <stdatomic.h>

#include "caseview/uuid.h"

#define SLOW_MS 500

struct fair_share;

/* One request that waits; the caller's, opaque. */
struct fair_claim {
    struct fair_share *share;
    atomic_int *of_application;
    bool slow;
};

struct fair_share *fair_share_new(int max_waiting, int threads, uint64_t seed);
void fair_share_free(struct fair_share *share); /* NULL is fine; no claim may be open */

/* False: refused, out_why is one sentence, static text; there is nothing to leave. */
bool fair_share_enter(struct fair_share *share, const struct uuid *application, struct fair_claim *out_claim,
                      const char **out_why) CV_MUST_CHECK;
/* Called after SLOW_MS without an answer, of each look-up. False: the request must give up (and leave). */
bool fair_share_may_wait(struct fair_claim *claim, const char **out_why) CV_MUST_CHECK;
void fair_share_leave(struct fair_claim *claim);

#endif
