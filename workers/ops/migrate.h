/*
 * migrate.h: `caseview migrate`: creates or updates the schema of this version: ctl, the roles and, when there is none
 * yet, the given generation with its views. Running it again changes nothing. Waits
 * connect-timeout-s for the database, then exits 3.
 */
#ifndef CASEVIEW_OPS_MIGRATE_H
#define CASEVIEW_OPS_MIGRATE_H

#include "caseview/config.h"

int migrate_main(const struct config *config);

#endif
