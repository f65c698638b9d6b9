/*
 * migrate.h: `caseview migrate`: brings the database to the schema of this version: ctl, the generation asked for, its
 * views, the roles. Running it again changes nothing. Waits connect-timeout-s for the database, then exits 3.
 */
#ifndef CASEVIEW_OPS_MIGRATE_H
#define CASEVIEW_OPS_MIGRATE_H

#include "caseview/config.h"

int migrate_main(const struct config *config);

#endif
