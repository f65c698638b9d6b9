/*
 * simulate_directory.h: the directory of each organization: its entities, and the events that publish, rename, remove,
 * restore and forget them. Statuses are those of sink_put(). One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_DIRECTORY_H
#define CASEVIEW_DEV_SIMULATE_DIRECTORY_H

#include "deploy/dev/simulate_world.h"

/* Creates the entities of all organizations, with so many users each. Sends nothing. */
void directory_create(struct world *world, uint32_t users);
/* Sends the first upserts of an organization. */
enum cv_status directory_publish(struct world *world, struct organization *organization, struct err *err) CV_MUST_CHECK;
/* Sends one upsert of a new customer of a random organization. */
enum cv_status directory_customer_step(struct world *world, struct err *err) CV_MUST_CHECK;
/* Sends one random change of an entity of a random organization. */
enum cv_status directory_step(struct world *world, struct err *err) CV_MUST_CHECK;

#endif
