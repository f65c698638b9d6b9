/*
 * simulate_directory.h: the directory of an organization: how an entity begins, and how it is published. For the files
 * of the simulator's world.
 */
#ifndef CASEVIEW_DEV_SIMULATE_DIRECTORY_H
#define CASEVIEW_DEV_SIMULATE_DIRECTORY_H

#include "deploy/dev/simulate_world.h"

void directory_init_entity(struct world *world, const struct organization *organization, struct entity *entity,
                           enum entity_kind kind, uint32_t index, struct entity *parent);
/* Puts the upserts of all entities of an organization. */
enum cv_status directory_open(struct world *world, struct organization *organization, struct err *err) CV_MUST_CHECK;

#endif
