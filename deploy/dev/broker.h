/*
 * broker.h: `caseview-dev broker`: an in-memory Kafka broker for trying and testing: librdkafka's mock cluster in a
 * process of its own. Keeps about 5 MB per partition (the oldest records are dropped first) and has no compaction;
 * tests that depend on these use Apache Kafka. The mock cluster picks the port; the program prints bootstrap.servers.
 */
#ifndef CASEVIEW_DEV_BROKER_H
#define CASEVIEW_DEV_BROKER_H

#include "caseview/config.h"

int broker_main(struct config *config); /* an exit code; runs until SIGTERM or SIGINT */

#endif
