/*
 * consumer_events.h: events that librdkafka's callbacks queue for the next consumer_poll(), in order, and the
 * descriptor that makes the caller poll. Errors are rate-limited here.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_EVENTS_H
#define CASEVIEW_SOURCE_CONSUMER_EVENTS_H

#include "workers/source/consumer_types.h"
#include "workers/source/kafka_client.h"

struct consumer_pending {
    enum consumer_event_type type;
    enum topic topic;
    int32_t partition;
    char *text; /* owned, or NULL */
};

struct consumer_events {
    int fd; /* eventfd; -1: not open */
    struct consumer_pending *pending;
    size_t pending_count, pending_cap;
    struct consumer_pending *delivered; /* by the last consumer_events_take(): owner of its texts */
    size_t delivered_count, delivered_cap;
    struct kafka_limits limits;
    char problem[256]; /* the last error, shown or not; "": none */
};

/* CV_OK, or CV_FATAL: no descriptor is available. Call consumer_events_done() in either case. */
enum cv_status consumer_events_init(struct consumer_events *events, struct err *err) CV_MUST_CHECK;
void consumer_events_done(struct consumer_events *events);

void consumer_events_wake(struct consumer_events *events); /* makes fd readable */
void consumer_events_drain(struct consumer_events *events);

/* text: one line or NULL, taken over. */
void consumer_events_add(struct consumer_events *events, enum consumer_event_type type, enum topic topic,
                         int32_t partition, char *text);
/* Adds CONSUMER_ERROR unless one with this code was added a moment ago. topic TOPIC_COUNT: of no partition. */
void consumer_events_add_error(struct consumer_events *events, rd_kafka_resp_err_t code, enum topic topic,
                               int32_t partition, const char *text);

/* Moves at most max events out; their texts live until the next consumer_events_release(). */
size_t consumer_events_take(struct consumer_events *events, struct consumer_event *out_events, size_t max);
void consumer_events_release(struct consumer_events *events);

#endif
