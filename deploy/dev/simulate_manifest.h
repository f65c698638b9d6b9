/*
 * simulate_manifest.h: describes the simulated organizations to other programs: applications, agents, and the cases
 * that each agent's list must contain, in the view's order. A snapshot: it matches the view once all events sent so far
 * are delivered and folded, and no further ones are sent.
 */
#ifndef CASEVIEW_DEV_SIMULATE_MANIFEST_H
#define CASEVIEW_DEV_SIMULATE_MANIFEST_H

#include "deploy/dev/simulate_life.h"

/* Replaces the file atomically. CV_OK or CV_FATAL. */
enum cv_status manifest_write(const char *path, const struct world *world, const struct life *life,
                              struct err *err) CV_MUST_CHECK;

#endif
