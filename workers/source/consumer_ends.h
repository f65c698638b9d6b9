/*
 * consumer_ends.h: the partitions' end offsets (last stable offsets) as the brokers reported them last, from
 * librdkafka's statistics, which come once a second: no other call tells what the fetch answers said.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_ENDS_H
#define CASEVIEW_SOURCE_CONSUMER_ENDS_H

#include "workers/source/consumer_state.h"

int64_t consumer_ends_offset(const struct consumer *consumer, enum topic topic, int32_t partition); /* -1: not known */
/* librdkafka's callback. */
int consumer_ends_on_statistics(rd_kafka_t *rk, char *json, size_t len, void *opaque);

#endif
