/*
 * producer.h: writes events to the three topics that the options name: the encoder and librdkafka's producer together.
 * The producer is idempotent, waits for all replicas, and partitions keys as Java's clients do. One thread.
 */
#ifndef CASEVIEW_DEV_PRODUCER_H
#define CASEVIEW_DEV_PRODUCER_H

#include <jansson.h>

#include "caseview/config.h"
#include "caseview/err.h"
#include "workers/fold/record.h"

struct producer;

/*
 * Reads kafka, case-topic, agent-topic, directory-topic, schema-dir, schema-registry and connect-timeout-s; waits that
 * long for registry and brokers. linger_ms: the default for linger.ms.
 * CV_OK, CV_RETRY (a service cannot be reached) or CV_FATAL.
 */
enum cv_status producer_open(struct config *config, const char *linger_ms, struct producer **out_producer,
                             struct err *err) CV_MUST_CHECK;
void producer_close(struct producer *producer); /* loses undelivered records: call producer_drain() first */

/*
 * Encodes and queues one event; waits while the queue is full. tag: identifies it in first_failed_tag.
 * CV_OK; CV_PARK: not a valid event, or too large; CV_RETRY: a stop was requested, or the producer has failed.
 */
enum cv_status producer_put(struct producer *producer, const json_t *event, uint64_t tag,
                            struct err *err) CV_MUST_CHECK;
void producer_poll(struct producer *producer, int timeout_ms);
/* Waits until each record is delivered or has failed (message.timeout.ms). */
void producer_drain(struct producer *producer);

struct producer_counts {
    uint64_t sent[TOPIC_COUNT];
    uint64_t sent_in_all;
    uint64_t delivered;
    uint64_t failed;
    uint64_t first_failed_tag;
    const char *first_failure; /* librdkafka's text, NULL: no failure */
};

struct producer_counts producer_counts(const struct producer *producer);

#endif
