/*
 * consumer_types.h: what consumer_poll() delivers, and the callback before a revocation. The manual is consumer.h.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_TYPES_H
#define CASEVIEW_SOURCE_CONSUMER_TYPES_H

#include "caseview/base.h"
#include "workers/fold/record.h"

enum consumer_event_type {
    CONSUMER_RECORD,       /* record */
    CONSUMER_EOF,          /* the partition was read to its end: record.offset is the next offset */
    CONSUMER_ASSIGNED,     /* record.topic and .partition are assigned to us, not started: they have no position yet */
    CONSUMER_REVOKED,      /* no longer ours; see consumer_before_revoke */
    CONSUMER_OUT_OF_RANGE, /* the position is not in the log: stopped, without a position; ask consumer_watermarks() */
    CONSUMER_ERROR, /* text to be logged, rate-limited here; the client recovers by itself. topic TOPIC_COUNT: none */
    CONSUMER_FATAL, /* text: for instance, another process uses our group-instance-id. Close the consumer */
};

struct consumer_event {
    enum consumer_event_type type;
    struct record record; /* borrowed until the next poll */
    const char *text;     /* CONSUMER_ERROR, CONSUMER_FATAL: one line, borrowed until the next poll */
};

/* As the next offset of consumer_position(): the partition's first record. */
#define CONSUMER_BEGINNING INT64_C(-2)

struct consumer_partition_id {
    enum topic topic;
    int32_t partition;
};

/* What the client's statistics say. */
struct consumer_figures {
    int64_t assignments;             /* times that the group has assigned partitions, be it none */
    int connections;                 /* to brokers, that are up */
    int32_t partitions[TOPIC_COUNT]; /* of the topic, when we last had one of them; 0: not known */
};

/*
 * Called inside consumer_poll() when the group revokes partitions, before they are released: the caller finishes or
 * abandons its work in flight on them, within `budget_ms`. The eager protocol revokes all partitions, the cooperative
 * one some. lost: another member owns them already. The callback may call consumer_commit() and consumer_pause(), never
 * consumer_poll(). The CONSUMER_REVOKED events follow; records of these partitions that librdkafka has queued are
 * dropped.
 */
typedef void (*consumer_before_revoke)(void *context, const struct consumer_partition_id *revoked, size_t count,
                                       bool lost, int budget_ms);

#endif
