/*
 * producer.h: the three topics to write to, as the options say: encoder and librdkafka's producer together. The
 * producer is idempotent, waits for all replicas, and puts a key on the partition where Java's clients put it.
 * Belongs to one thread.
 */
#ifndef CASEVIEW_DEV_PRODUCER_H
#define CASEVIEW_DEV_PRODUCER_H

#include <jansson.h>

#include "caseview/config.h"
#include "caseview/err.h"
#include "workers/fold/record.h"

struct producer;

/* Options that name the topics, by role. */
extern const char *const producer_topic_options[TOPIC_COUNT];

/*
 * Reads kafka, case-topic, agent-topic, directory-topic, schema-dir, schema-registry and connect-timeout-s; waits that
 * long for registry and brokers. linger_ms: what the user's linger.ms replaces.
 * CV_OK, CV_RETRY (a service cannot be reached) or CV_FATAL.
 */
enum cv_status producer_open(struct config *config, const char *linger_ms, struct producer **out_producer,
                             struct err *err) CV_MUST_CHECK;
void producer_close(struct producer *producer); /* what was not delivered is lost: producer_drain() first */

/*
 * Encodes and queues one event; waits while the queue is full. tag: named when it cannot be delivered.
 * CV_OK; CV_PARK: the event is no such record, or too big; CV_RETRY: stopped, or the producer can do no more.
 */
enum cv_status producer_put(struct producer *producer, const json_t *event, uint64_t tag,
                            struct err *err) CV_MUST_CHECK;
void producer_poll(struct producer *producer, int timeout_ms);
/* Waits until each record was delivered or given up (message.timeout.ms). */
void producer_drain(struct producer *producer);

struct producer_counts {
    uint64_t sent[TOPIC_COUNT];
    uint64_t sent_in_all;
    uint64_t delivered;
    uint64_t failed;
    uint64_t first_failed_tag;
    const char *first_failure; /* librdkafka's words, NULL: none */
};

struct producer_counts producer_counts(const struct producer *producer);

#endif
