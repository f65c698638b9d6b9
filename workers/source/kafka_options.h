/*
 * kafka_options.h: what a Kafka client of Caseview is opened with, and the checks of it that need no broker and no
 * librdkafka. All texts are borrowed.
 */
#ifndef CASEVIEW_SOURCE_KAFKA_OPTIONS_H
#define CASEVIEW_SOURCE_KAFKA_OPTIONS_H

#include "caseview/config.h"
#include "caseview/err.h"
#include "workers/fold/record.h"

struct consumer_options {
    const struct config_property *properties; /* of librdkafka, any */
    size_t property_count;
    const char *topics[TOPIC_COUNT];
    const char *group_id;
    const char *group_instance_id; /* NULL: dynamic membership */
    bool leave_group;              /* a static member leaves the group at its end, as a dynamic one does */
    const char *client_id;
    size_t queue_bytes; /* keys and values of fetched records waiting for consumer_poll(); 0: 8 MiB. See below */
};

/*
 * queue_bytes takes more resident memory than it says, since librdkafka keeps its own data on each record, and the
 * brokers' answers in flight (kafka_properties.c) come on top. Measured with a full queue of records of 300 bytes,
 * librdkafka 2.0.2 (tests/bench/bench_consumer.c), at most, the whole process, 9 to 18 MiB of it idle:
 *
 *   queue_bytes                  2 MiB   4 MiB   8 MiB   16 MiB  32 MiB
 *   one broker, 12 partitions    15 MiB  18 MiB  30 MiB  54 MiB  91 MiB
 *   three brokers, 100           26 MiB  28 MiB  44 MiB  81 MiB  124 MiB
 *
 * 20 MiB + 4 * queue_bytes covers all of these. On a busy machine (2 cores, 0 and 2 µs of work on each record) the
 * records/s did not grow with the size: the differences were within those of one size.
 */

/* The options that name the topics, by role: "case-topic" … */
extern const char *const topic_options[TOPIC_COUNT];

/*
 * Kafka's rule for the name of a topic: 1–249 characters of A-Z a-z 0-9 . _ - but neither "." nor "..". CV_OK, or
 * CV_FATAL with one line.
 */
enum cv_status consumer_topic_check(const char *name, struct err *err) CV_MUST_CHECK;

/* The three topics: valid, and no two the same. CV_OK, or CV_FATAL with one line that names the option. */
enum cv_status consumer_topics_check(const char *const topics[TOPIC_COUNT], struct err *err) CV_MUST_CHECK;

#endif
