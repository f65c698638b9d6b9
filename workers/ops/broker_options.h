/*
 * broker_options.h: what the commands' options say about Kafka: the topics, and whether a broker's address was given.
 */
#ifndef CASEVIEW_OPS_BROKER_OPTIONS_H
#define CASEVIEW_OPS_BROKER_OPTIONS_H

#include "caseview/config.h"
#include "workers/source/kafka_options.h"

/* The topics' names; memory of the configuration. */
void topic_names(const struct config *config, const char *out_names[TOPIC_COUNT]);
/* TOPIC_COUNT: it is none of them. */
enum topic topic_role(const char *const names[TOPIC_COUNT], struct str name);

/* False: --kafka gives no broker's address, so that there is nothing to connect to. */
bool broker_is_given(const struct config *config);

#endif
