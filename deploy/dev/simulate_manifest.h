/*
 * simulate_manifest.h: what the simulator knows and a caller needs: organizations with their applications and agents,
 * and the cases that each agent must be shown, in the view's order. A picture of one moment: exact once all was
 * delivered and nothing more is put.
 */
#ifndef CASEVIEW_DEV_SIMULATE_MANIFEST_H
#define CASEVIEW_DEV_SIMULATE_MANIFEST_H

#include "deploy/dev/simulate_life.h"

/* Writes path as a whole or not at all. CV_OK or CV_FATAL. */
enum cv_status manifest_write(const char *path, const struct world *world, const struct life *life,
                              struct err *err) CV_MUST_CHECK;

#endif
