/*
 * broker_options.h: the option `kafka` as the clients in source take it, for the commands that ask brokers themselves.
 */
#ifndef CASEVIEW_OPS_BROKER_OPTIONS_H
#define CASEVIEW_OPS_BROKER_OPTIONS_H

#include "caseview/config.h"
#include "workers/source/consumer.h"

/* All properties of --kafka. The array is the caller's to free(); its texts are borrowed from config. */
struct consumer_property *broker_properties(const struct config *config, size_t *out_count) CV_MUST_CHECK;
/* False: --kafka gives no broker's address, so that there is nothing to connect to. */
bool broker_is_given(const struct config *config);

#endif
