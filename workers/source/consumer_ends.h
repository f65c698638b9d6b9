/*
 * consumer_ends.h: what librdkafka's statistics say, which come once a second: the partitions' end offsets (last stable
 * offsets) as the brokers reported them last, which no other call tells, and the figures of consumer_types.h.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_ENDS_H
#define CASEVIEW_SOURCE_CONSUMER_ENDS_H

#include "workers/source/consumer_state.h"

int64_t consumer_ends_offset(const struct consumer *consumer, enum topic topic, int32_t partition); /* -1: not known */
/* librdkafka's callback. */
int consumer_ends_on_statistics(rd_kafka_t *rk, char *json, size_t len, void *opaque);

#endif
