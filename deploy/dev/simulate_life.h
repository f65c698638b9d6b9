/*
 * simulate_life.h: the cases: they arrive, wait, are served, moved, interrupted, resolved and closed, through every
 * event type of the contract. Knows which cases each agent must be shown. One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_LIFE_H
#define CASEVIEW_DEV_SIMULATE_LIFE_H

#include "deploy/dev/simulate_world.h"

struct life;

/* cases: in flight at the busiest hour. events_per_case: on average; with 1 a case is queued and heard of no more. */
struct life *life_new(struct world *world, uint32_t cases, uint32_t events_per_case);
void life_free(struct life *life);

/* Puts exactly one case event and moves the clock on. Statuses of sink_put(). */
enum cv_status life_step(struct life *life, struct err *err) CV_MUST_CHECK;

/*
 * Calls back for each case that must be listed for somebody: Active, locked by an agent, in the unit that counts for
 * it. In no order.
 */
typedef void (*life_visit)(void *context, const struct agent *agent, const char *case_id, int64_t status_date);
void life_listed(const struct life *life, life_visit visit, void *context);

#endif
