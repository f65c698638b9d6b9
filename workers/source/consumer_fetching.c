#include "workers/source/consumer_fetching.h"

#include "caseview/clock.h"

/* One request per so many bytes taken, and at most one per interval: negligible for a broker that sends a backlog. */
#define REQUEST_BYTES       (1u << 20)
#define REQUEST_INTERVAL_MS 10
/* Partitions named in one request. Partitions are spread over the brokers, so these reach each leader in turn. */
#define REQUEST_PARTITIONS 64

/* Any request to a leader wakes its thread. Requests end offsets and ignores the answers. */
void consumer_fetching_keep(struct consumer *consumer, size_t bytes)
{
    const struct consumer_partitions *partitions = &consumer->partitions;

    consumer->fetching.bytes += bytes;
    if (!consumer->fetching.needed || consumer->fetching.bytes < REQUEST_BYTES ||
        clock_mono_ms() < consumer->fetching.next_at_ms)
        return;
    consumer->fetching.bytes = 0;
    consumer->fetching.next_at_ms = clock_mono_ms() + REQUEST_INTERVAL_MS;

    size_t count = partitions->owned_count < REQUEST_PARTITIONS ? partitions->owned_count : REQUEST_PARTITIONS;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(REQUEST_PARTITIONS);
    for (size_t i = 0; i < count; i++) {
        struct consumer_partition_id id;
        consumer->fetching.at = (consumer->fetching.at + 1) % partitions->owned_count;
        if (!consumer_partitions_owned(partitions, consumer->fetching.at, &id)->running)
            continue;
        const char *name = consumer_partitions_name(partitions, id.topic);
        rd_kafka_topic_partition_list_add(list, name, id.partition)->offset = RD_KAFKA_OFFSET_END;
    }
    if (list->cnt > 0)
        (void)rd_kafka_offsets_for_times(consumer->rk, list, 0); /* always times out: the answers are not awaited */
    rd_kafka_topic_partition_list_destroy(list);
}
