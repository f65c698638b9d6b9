/*
 * consumer.h: a member of the consumer group, over the three topics. Everything happens on the caller's thread, inside
 * consumer_poll(), until it closes; librdkafka's own threads only fill its queue and renew tokens.
 *
 * Positions come from the caller's database, never from Kafka's group. A partition delivers nothing until it was
 * positioned, and then exactly the records from that offset on, each once and in order; no record from before a
 * position is delivered after it (consumer_position.c explains why).
 *
 * consumer_poll() must be called at least every max.poll.interval.ms (5 min), also while nothing can be positioned, or
 * the group revokes the partitions.
 *
 * Of the files of workers/source only consumer*.c, watermarks.c and kafka_*.c know librdkafka. Neither a record nor a
 * poll costs time that grows with the number of partitions; setting a position and a rebalance do.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_H
#define CASEVIEW_SOURCE_CONSUMER_H

#include "workers/source/consumer_headers.h"
#include "workers/source/consumer_types.h"
#include "workers/source/kafka_options.h"

struct consumer;

/*
 * CV_OK, or CV_FATAL: the name of a topic is not valid, or a property is unknown, fixed by Caseview or contradicts
 * another one (the error names it and says why). Does not wait for a broker; topics that do not exist yet are waited
 * for, with a CONSUMER_ERROR. When no broker has answered within 10 s, one CONSUMER_ERROR says what to check. Options
 * are copied.
 */
enum cv_status consumer_open(const struct consumer_options *options, consumer_before_revoke before_revoke,
                             void *context, struct consumer **out_consumer, struct err *err) CV_MUST_CHECK;
/*
 * Leaves the group (a static member only with leave_group, else it stays until its session ends) and frees; NULL is
 * fine. Waits at most 10 s: if librdkafka has not shut down by then, it keeps running with the memory it needs.
 * before_revoke is not called: the caller has finished.
 */
void consumer_close(struct consumer *consumer);

/* max.poll.interval.ms: a member that polls less often loses its partitions. */
int consumer_poll_within_ms(const struct consumer *consumer);
int consumer_fd(const struct consumer *consumer);  /* readable when there may be something to poll */
void consumer_fd_drain(struct consumer *consumer); /* call after poll(2) reported it, before consumer_poll() */

/*
 * Serves callbacks and takes at most max events, without waiting. When it returned max, or left something for the next
 * call, consumer_fd() is readable at once.
 */
size_t consumer_poll(struct consumer *consumer, struct consumer_event *out_events, size_t max);

/* The group has answered once, be it with no partition at all: there may be more members than partitions. */
bool consumer_has_joined(const struct consumer *consumer);

/*
 * Sets where the partition is read next, and starts it at the next poll. Earlier records of it that are still queued
 * are dropped. Positions set between two polls start together; that is cheaper, since under the eager protocol each
 * start makes the other partitions fetch again what they had fetched ahead.
 *
 * next_offset: 0 or more, or CONSUMER_BEGINNING, which is asked from the broker (waits at most a second).
 * CV_OK; CV_RETRY: not assigned (wait for its CONSUMER_ASSIGNED), or no broker answered: the partition is as before.
 */
enum cv_status consumer_position(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset,
                                 struct err *err) CV_MUST_CHECK;
/* Stops a partition: nothing of it is delivered until it is positioned again. */
void consumer_pause(struct consumer *consumer, enum topic topic, int32_t partition);

/* First offset and end offset (last stable offset) from the broker; needs no assignment. CV_OK or CV_RETRY. */
enum cv_status consumer_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                   int64_t *out_low, int64_t *out_high, struct err *err) CV_MUST_CHECK;
/* The end offset as last reported by the broker, at most a second old while the partition runs; -1: none yet. */
int64_t consumer_end_offset(struct consumer *consumer, enum topic topic, int32_t partition);
/* Number of partitions of the topic as of the last metadata; CV_RETRY: unknown. */
enum cv_status consumer_partition_count(struct consumer *consumer, enum topic topic, int timeout_ms, int32_t *out_count,
                                        struct err *err) CV_MUST_CHECK;
/* At most a second old. */
void consumer_figures(const struct consumer *consumer, struct consumer_figures *out_figures);
/*
 * True when the topic's cleanup.policy has `compact`; CV_RETRY: unknown. Needs the right to describe the topic's
 * configuration. Ask only when the answer matters: librdkafka's mock cluster never answers.
 */
enum cv_status consumer_is_compacted(struct consumer *consumer, enum topic topic, int timeout_ms, bool *out_compacted,
                                     struct err *err) CV_MUST_CHECK;

/* Commits to the group how far the database has committed: only for lag tools, once a second, without an error. */
void consumer_commit(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset);

#endif
