/*
 * consumer_rebalance.h: answers the group when it assigns and revokes partitions.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_REBALANCE_H
#define CASEVIEW_SOURCE_CONSUMER_REBALANCE_H

#include "workers/source/consumer_state.h"

/* librdkafka's callback. */
void consumer_rebalance_on_change(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                                  void *opaque);
/* Revokes all partitions as lost: the client cannot be used any more, or the group has assigned others instead. */
void consumer_rebalance_lose_all(struct consumer *consumer);

#endif
