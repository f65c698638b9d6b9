/*
 * broker_options.h: whether a command that asks brokers itself knows one.
 */
#ifndef CASEVIEW_OPS_BROKER_OPTIONS_H
#define CASEVIEW_OPS_BROKER_OPTIONS_H

#include "caseview/config.h"

/* False: --kafka gives no broker's address, so that there is nothing to connect to. */
bool broker_is_given(const struct config *config);

#endif
