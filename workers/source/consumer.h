/*
 * consumer.h: one member of a consumer group over the three topics (consumer*.c and watermarks.c are the only files of
 * the worker that know librdkafka). Everything happens on the caller's thread, inside consumer_poll(), until it closes;
 * librdkafka's own threads only fill its queue.
 *
 * Positions come from the caller's database, never from Kafka's group. A partition delivers nothing until it was
 * positioned, and then exactly the records from that offset on, each once and in order; nothing of before a position
 * comes after it (consumer_position.c says why).
 *
 * consumer_poll() must be called at least every max.poll.interval.ms (5 min), also while nothing can be positioned, or
 * the group takes the partitions away.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_H
#define CASEVIEW_SOURCE_CONSUMER_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/err.h"
#include "workers/fold/record.h"

struct consumer;

struct consumer_property {
    const char *name, *value; /* any librdkafka property */
};

struct consumer_options {
    const struct consumer_property *properties;
    size_t property_count;
    const char *topics[TOPIC_COUNT];
    const char *group_id;
    const char *group_instance_id; /* NULL: dynamic membership */
    const char *client_id;
};

enum consumer_event_type {
    CONSUMER_RECORD,       /* record */
    CONSUMER_EOF,          /* read to its end: record.offset is the next one */
    CONSUMER_ASSIGNED,     /* record.topic and .partition are ours now, paused and without a position */
    CONSUMER_REVOKED,      /* no longer ours; see consumer_before_revoke */
    CONSUMER_OUT_OF_RANGE, /* the position is not in the log: silent, without a position; ask consumer_watermarks() */
    CONSUMER_ERROR, /* to be logged: text, rate-limited here; all goes on by itself. topic TOPIC_COUNT: no partition */
    CONSUMER_FATAL, /* text; this consumer is dead (its group-instance-id was taken over): close it */
};

struct consumer_event {
    enum consumer_event_type type;
    struct record record; /* borrowed until the next poll */
    const char *text;     /* CONSUMER_ERROR, CONSUMER_FATAL: one line, borrowed until the next poll */
};

struct consumer_taken {
    enum topic topic;
    int32_t partition;
};

/*
 * Called inside consumer_poll() when the group takes partitions away, before they are given up: the caller finishes or
 * abandons what is under way of them (at most `budget_ms`). Under the eager protocol they are all that it has, under
 * the cooperative one the others go on. lost: the group has already given them to somebody else. It may commit and
 * silence, never poll. The CONSUMER_REVOKED events follow; records of these partitions that were taken from the queue
 * but not yet returned are dropped.
 */
typedef void (*consumer_before_revoke)(void *context, const struct consumer_taken *taken, size_t count, bool lost,
                                       int budget_ms);

/*
 * CV_OK, or CV_FATAL: a property that librdkafka does not know or that Caseview fixes (names it and says why). Does not
 * wait for a broker; topics that are not there yet are waited for, with a CONSUMER_ERROR. Options are copied.
 */
enum cv_status consumer_open(const struct consumer_options *options, consumer_before_revoke before_revoke,
                             void *context, struct consumer **out_consumer, struct err *err) CV_MUST_CHECK;
/*
 * Leaves the group (a static member stays in it until its session ends) and frees; NULL is fine. Waits at most 10 s; if
 * librdkafka has not ended then, it is left alone with what it needs. before_revoke is not called: the caller has
 * finished.
 */
void consumer_close(struct consumer *consumer);

/* max.poll.interval.ms: from who polls less often than that the group takes everything. Any thread. */
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

/* next_offset of consumer_position(): the partition's first record. */
#define CONSUMER_BEGINNING INT64_C(-2)
/*
 * Sets where the partition is read next and lets it flow, from the next poll on. All earlier records of it still queued
 * are dropped. Positions set between two polls start together; that is cheaper, since under the eager protocol each
 * start makes the other partitions fetch anew what they had fetched ahead.
 * CV_OK; CV_RETRY: not assigned (wait for its CONSUMER_ASSIGNED), or the beginning could not be asked for (waits up to
 * a second): what was before still holds.
 */
enum cv_status consumer_position(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset,
                                 struct err *err) CV_MUST_CHECK;
/* Stops a partition: it is paused and silent until it is positioned again. */
void consumer_silence(struct consumer *consumer, enum topic topic, int32_t partition);

/* First offset and end (last stable offset) asked from the broker; needs no assignment. CV_OK or CV_RETRY. */
enum cv_status consumer_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                   int64_t *out_low, int64_t *out_high, struct err *err) CV_MUST_CHECK;
/* The end (last stable offset) as last heard from the broker, a second old at most while it flows; -1: not heard yet.
 */
int64_t consumer_end_offset(struct consumer *consumer, enum topic topic, int32_t partition);
/* How many partitions the topic has as of the last metadata; CV_RETRY: unknown. */
enum cv_status consumer_partition_count(struct consumer *consumer, enum topic topic, int timeout_ms, int32_t *out_count,
                                        struct err *err) CV_MUST_CHECK;
/*
 * True when the topic's cleanup.policy has `compact`; CV_RETRY: unknown. Needs the right to describe the topic's
 * configuration. Ask only when the answer matters: librdkafka's mock cluster never answers.
 */
enum cv_status consumer_is_compacted(struct consumer *consumer, enum topic topic, int timeout_ms, bool *out_compacted,
                                     struct err *err) CV_MUST_CHECK;

/* Tells the group how far the database has committed: a courtesy to lag tools, once a second, errors only counted. */
void consumer_commit(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset);

/*
 * Appends the headers of a record as a JSON array of {"name", "value"}; bytes that are no text of jsonb (UTF-8 without
 * U+0000) stand under "name_base64", "base64" instead. false: it has none, nothing is appended.
 */
bool consumer_headers_json(const struct record *record, struct buf *out);
size_t consumer_headers_size(const struct record *record); /* bytes of names, each with its end, and values; 0: none */

#endif
