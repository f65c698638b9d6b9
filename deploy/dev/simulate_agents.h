/*
 * simulate_agents.h: the agents' choices of units and workspaces, and which of them count (contract, section 3).
 * Statuses are those of sink_put(). One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_AGENTS_H
#define CASEVIEW_DEV_SIMULATE_AGENTS_H

#include "deploy/dev/simulate_world.h"

/* Creates an agent for each user of the directory, which must exist. Sends nothing. */
void agents_create(struct world *world);
/* Sends the first choices of all agents of an organization. */
enum cv_status agents_publish(struct world *world, struct organization *organization, struct err *err) CV_MUST_CHECK;
/* Sends one more choice of a random agent. */
enum cv_status agents_step(struct world *world, struct err *err) CV_MUST_CHECK;

/* A random agent that works in the unit now; after some failed tries a random one of the organization. */
struct agent *agents_pick(struct world *world, struct organization *organization, const struct entity *unit);

/* The unit that counts for an agent now, NULL: none. */
const struct entity *agent_current_unit(const struct agent *agent);
/* Does the agent have workspaces in its unit that count? */
bool agent_has_workspaces(const struct agent *agent);

#endif
