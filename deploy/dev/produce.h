/*
 * produce.h: `caseview-dev produce FILE`: events as JSON lines (encode.h says how one looks; FILE `-` is standard
 * input) into the three topics. With schema-registry the schemas are registered first and the registry's framing is
 * used, without it Avro's single-object encoding. The producer is idempotent and waits for all replicas.
 *
 * The first bad line ends it with FILE:LINE and the field; what came before has been delivered by then.
 */
#ifndef CASEVIEW_DEV_PRODUCE_H
#define CASEVIEW_DEV_PRODUCE_H

#include "caseview/config.h"

/* Reads kafka, case-topic, agent-topic, directory-topic, schema-dir, schema-registry and connect-timeout-s. An exit
 * code. */
int produce_main(struct config *config);

#endif
