/*
 * simulate_life.h: the life of the cases, from arrival to end, with every event type of the contract. Knows which cases
 * each agent's list must contain. One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_LIFE_H
#define CASEVIEW_DEV_SIMULATE_LIFE_H

#include "deploy/dev/simulate_agents.h"

struct life;

/*
 * cases: how many are in flight at the busiest hour. events_per_case: the average; with 1 a case is queued and gets no
 * further event. Borrows world.
 */
struct life *life_new(struct world *world, uint32_t cases, uint32_t events_per_case);
void life_free(struct life *life);

/* Advances the clock and sends exactly one case event. Statuses of sink_put(). */
enum cv_status life_step(struct life *life, struct err *err) CV_MUST_CHECK;

/*
 * Calls visit for each case that an agent's list must contain: Active, locked by that agent, in the agent's current
 * unit. In no order.
 */
typedef void (*life_visit)(void *context, const struct agent *agent, const char *case_id, int64_t status_date);
void life_listed(const struct life *life, life_visit visit, void *context);

#endif
