/*
 * kafka_properties.h: librdkafka's configuration for each of Caseview's clients: what Caseview fixes, its defaults, and
 * the user's properties, checked for contradictions that no broker could ever accept.
 *
 * No value of a property that may hold a secret appears in an error.
 */
#ifndef CASEVIEW_SOURCE_KAFKA_PROPERTIES_H
#define CASEVIEW_SOURCE_KAFKA_PROPERTIES_H

#include <librdkafka/rdkafka.h>

#include "workers/source/kafka_options.h"

enum kafka_role {
    KAFKA_MEMBER = 1 << 0, /* a member of the consumer group */
    KAFKA_READER = 1 << 1, /* reads partitions without a group */
    KAFKA_ASKER = 1 << 2,  /* asks for metadata and offsets only */
};

/* CV_OK, or CV_FATAL: a property is unknown, fixed by Caseview, or contradicts another one (the error names it). */
enum cv_status kafka_properties_new(const struct consumer_options *options, enum kafka_role role,
                                    rd_kafka_conf_t **out_conf, struct err *err) CV_MUST_CHECK;

/* Value of a number that has a default (assert). */
int kafka_properties_int(const rd_kafka_conf_t *conf, const char *name);
/* The property contains the word; false when the property is not set. */
bool kafka_properties_contain(const rd_kafka_conf_t *conf, const char *name, const char *word);

/*
 * True for librdkafka before 2.2, which has no fetch.queue.backoff.ms: after its queue was full it checks again only a
 * second later. See keep_fetching() in consumer.c.
 */
bool kafka_properties_lack_queue_backoff(void);

#endif
