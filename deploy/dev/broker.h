/*
 * broker.h: `caseview-dev broker`: a Kafka broker for trying and testing, librdkafka's mock cluster as a process of its
 * own. It keeps everything in memory, about 5 MB a partition (the oldest records go first), and has no compaction: what
 * must be real is tried with Apache Kafka. The port is the mock's choice; bootstrap.servers is printed.
 */
#ifndef CASEVIEW_DEV_BROKER_H
#define CASEVIEW_DEV_BROKER_H

#include "caseview/config.h"

int broker_main(struct config *config); /* an exit code; runs until SIGTERM or SIGINT */

#endif
