/*
 * consumer_partitions.h: the consumer's state of each partition. A look-up takes constant time, and a walk over the
 * partitions assigned to us takes time in proportion to their number.
 *
 * A partition of ours goes through these, each of which includes the ones above it:
 *
 *   owned      the group's assignment has named it (consumer_rebalance.c)
 *   announced  CONSUMER_ASSIGNED was delivered (consumer_poll())
 *   wanted     the caller has given it a position: consumer_position()
 *   running    librdkafka was started at `next` (consumer_position.c): only then records of it are delivered
 *
 * A pause, or an offset out of range, leads back to announced; a new position, a damaged record, or with the eager
 * protocol the start of another partition, to wanted; the loss of the partition to nothing.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_PARTITIONS_H
#define CASEVIEW_SOURCE_CONSUMER_PARTITIONS_H

#include "workers/source/consumer_types.h"

struct consumer_partition {
    bool owned, announced, wanted, running;
    bool assigned;       /* in librdkafka's assignment, running or not; only while owned */
    bool paused;         /* paused in librdkafka, where a pause outlives the assignment */
    int64_t next;        /* nothing below it is delivered */
    int64_t end_offset;  /* last stable offset as last reported, -1: not yet */
    int64_t start_at_ms; /* not started before */
    int64_t commit_next; /* to be committed to the group, -1: nothing new */
    size_t owned_index;  /* its index in consumer_partitions.owned */
};

struct consumer_partitions {
    struct {
        char *name;
        struct consumer_partition *items; /* by partition number */
        int32_t count;                    /* grows with the highest number seen */
    } topics[TOPIC_COUNT];
    struct consumer_partition_id *owned; /* in no order */
    size_t owned_count, owned_cap;
};

/* Partition numbers above this are refused: Kafka's own limits are far below. */
#define CONSUMER_PARTITION_MAX 1000000

void consumer_partitions_init(struct consumer_partitions *partitions, const char *const topics[TOPIC_COUNT]);
void consumer_partitions_done(struct consumer_partitions *partitions);

const char *consumer_partitions_name(const struct consumer_partitions *partitions, enum topic topic);
enum topic consumer_partitions_topic(const struct consumer_partitions *partitions,
                                     const char *name); /* TOPIC_COUNT: not ours */

/* NULL: no such partition was ever assigned to us. Valid until the next consumer_partitions_add(). */
struct consumer_partition *consumer_partitions_find(const struct consumer_partitions *partitions, enum topic topic,
                                                    int32_t partition);
struct consumer_partition *consumer_partitions_owned(const struct consumer_partitions *partitions, size_t i,
                                                     struct consumer_partition_id *out_id);

/* Marks the partition as owned, without a position. False: it was owned already, or the number is refused. */
bool consumer_partitions_add(struct consumer_partitions *partitions, enum topic topic, int32_t partition);
void consumer_partitions_remove(struct consumer_partitions *partitions, enum topic topic, int32_t partition);

#endif
