/*
 * consumer_state.h: the consumer's state, shared by the files that act on it. They are layered, each may call those
 * before it: consumer_commit, consumer_query, consumer_position, consumer_rebalance, consumer. Everything happens on
 * the thread that polls, or on the one that closes after it.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_STATE_H
#define CASEVIEW_SOURCE_CONSUMER_STATE_H

#include <librdkafka/rdkafka.h>

#include "workers/source/consumer_events.h"
#include "workers/source/consumer_partitions.h"

struct consumer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue; /* records, errors, statistics and log lines: all callbacks run where it is polled */
    struct consumer_partitions partitions;
    struct consumer_events events;
    consumer_before_revoke before_revoke;
    void *context;
    int max_poll_interval_ms;
    bool cooperative; /* the group's protocol: asking librdkafka for it may wait indefinitely while it closes */
    bool closing;
    bool unsubscribes; /* before it closes: the way for a static member to leave the group */
    bool joined;       /* the group has answered, be it with no partition at all */

    struct consumer_figures figures;

    bool contact_checked; /* a broker was reached, or the log line that none was is written */
    int64_t opened_ms;

    bool restart; /* some partition is wanted and not running; not before restart_at_ms */
    int64_t restart_at_ms;

    rd_kafka_message_t **messages; /* borrowed by the caller until the next poll */
    size_t message_count, message_cap;

    struct {
        struct consumer_partition_id *items; /* partitions that have, or had, something to commit */
        size_t count, cap;
        int64_t next_at_ms;
    } commits;

    struct {
        bool needed;
        size_t bytes; /* taken from the queue since the last request */
        size_t at;    /* where in the owned partitions the next request goes on */
        int64_t next_at_ms;
    } fetching;
};

#endif
