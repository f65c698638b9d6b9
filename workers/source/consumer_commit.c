#include "workers/source/consumer_commit.h"

#include "caseview/clock.h"
#include "caseview/log.h"

#define INTERVAL_MS 1000

void consumer_commit_add(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset)
{
    struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, partition);

    if (p == NULL || !p->owned)
        return;
    if (p->commit_next < 0) {
        consumer->commits.items = cv_grow(consumer->commits.items, consumer->commits.count, &consumer->commits.cap,
                                          sizeof *consumer->commits.items);
        consumer->commits.items[consumer->commits.count++] = (struct consumer_partition_id){topic, partition};
    }
    p->commit_next = next_offset;
}

void consumer_commit_send(struct consumer *consumer)
{
    size_t count = consumer->commits.count;

    consumer->commits.next_at_ms = clock_mono_ms() + INTERVAL_MS;
    consumer->commits.count = 0;
    if (count == 0)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        struct consumer_partition_id id = consumer->commits.items[i];
        struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, id.topic, id.partition);
        /* Not after a revocation in between, and once, even if the partition came back and was added again. */
        if (!p->owned || p->commit_next < 0)
            continue;
        const char *name = consumer_partitions_name(&consumer->partitions, id.topic);
        rd_kafka_topic_partition_list_add(list, name, id.partition)->offset = p->commit_next;
        p->commit_next = -1;
    }
    if (list->cnt > 0)
        (void)rd_kafka_commit(consumer->rk, list, 1 /* do not wait */);
    rd_kafka_topic_partition_list_destroy(list);
}

void consumer_commit_send_when_due(struct consumer *consumer, int64_t now_ms)
{
    if (now_ms >= consumer->commits.next_at_ms)
        consumer_commit_send(consumer);
}

void consumer_commit_answered(rd_kafka_t *rk CV_UNUSED, rd_kafka_resp_err_t code,
                              rd_kafka_topic_partition_list_t *list CV_UNUSED, void *opaque CV_UNUSED)
{
    if (code && code != RD_KAFKA_RESP_ERR__NO_OFFSET)
        log_debug("kafka: commit to the consumer group failed: %s", rd_kafka_err2str(code));
}
