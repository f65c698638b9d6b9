/*
 * broker_options.h: checks whether a broker's address was given.
 */
#ifndef CASEVIEW_OPS_BROKER_OPTIONS_H
#define CASEVIEW_OPS_BROKER_OPTIONS_H

#include "caseview/config.h"

/* False: --kafka gives no broker's address, so that there is nothing to connect to. */
bool broker_is_given(const struct config *config);

#endif
