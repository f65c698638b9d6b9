/*
 * produce.h: `caseview-dev produce FILE`: produces events from JSON lines (format: encode.h; FILE `-` is standard
 * input) to the three topics. With schema-registry it registers the schemas first and uses the registry's framing,
 * without it Avro's single-object encoding. The producer is idempotent and waits for all replicas.
 *
 * Ends at the first bad line with FILE:LINE and the field; all events of the lines before it are delivered.
 */
#ifndef CASEVIEW_DEV_PRODUCE_H
#define CASEVIEW_DEV_PRODUCE_H

#include "caseview/config.h"

/*
 * Reads kafka, case-topic, agent-topic, directory-topic, schema-dir, schema-registry and connect-timeout-s. An exit
 * code.
 */
int produce_main(struct config *config);

#endif
