/*
 * consumer_commit.h: offsets committed to the group. Nothing reads them back: they only show lag tools how far the
 * database has committed, so an error is logged at debug and not repeated.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_COMMIT_H
#define CASEVIEW_SOURCE_CONSUMER_COMMIT_H

#include "workers/source/consumer_state.h"

/* Remembers what to commit with the next batch; ignored when the partition is not ours. */
void consumer_commit_add(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset);
/* Sends what was added since the last batch, without waiting. */
void consumer_commit_send(struct consumer *consumer);
/* The same, at most once a second. */
void consumer_commit_send_when_due(struct consumer *consumer, int64_t now_ms);
/* librdkafka's callback. */
void consumer_commit_answered(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                              void *opaque);

#endif
