#include "workers/source/consumer_partitions.h"

#define UNKNOWN .end_offset = -1, .commit_next = -1

void consumer_partitions_init(struct consumer_partitions *partitions, const char *const topics[TOPIC_COUNT])
{
    *partitions = (struct consumer_partitions){.owned = NULL};
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        partitions->topics[t].name = cv_strdup(topics[t]);
}

void consumer_partitions_done(struct consumer_partitions *partitions)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        free(partitions->topics[t].name);
        free(partitions->topics[t].items);
    }
    free(partitions->owned);
}

const char *consumer_partitions_name(const struct consumer_partitions *partitions, enum topic topic)
{
    return partitions->topics[topic].name;
}

enum topic consumer_partitions_topic(const struct consumer_partitions *partitions, const char *name)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (strcmp(partitions->topics[t].name, name) == 0)
            return t;
    return TOPIC_COUNT;
}

struct consumer_partition *consumer_partitions_find(const struct consumer_partitions *partitions, enum topic topic,
                                                    int32_t partition)
{
    if (topic >= TOPIC_COUNT || partition < 0 || partition >= partitions->topics[topic].count)
        return NULL;
    return &partitions->topics[topic].items[partition];
}

struct consumer_partition *consumer_partitions_owned(const struct consumer_partitions *partitions, size_t i,
                                                     struct consumer_partition_id *out_id)
{
    *out_id = partitions->owned[i];
    return consumer_partitions_find(partitions, out_id->topic, out_id->partition);
}

bool consumer_partitions_add(struct consumer_partitions *partitions, enum topic topic, int32_t partition)
{
    if (topic >= TOPIC_COUNT || partition < 0 || partition > CONSUMER_PARTITION_MAX)
        return false;
    if (partition >= partitions->topics[topic].count) {
        int32_t count = partitions->topics[topic].count;
        struct consumer_partition *items = cv_realloc(partitions->topics[topic].items,
                                                      ((size_t)partition + 1) * sizeof *items);
        for (; count <= partition; count++)
            items[count] = (struct consumer_partition){UNKNOWN};
        partitions->topics[topic].items = items;
        partitions->topics[topic].count = count;
    }
    struct consumer_partition *p = &partitions->topics[topic].items[partition];
    if (p->owned)
        return false;
    partitions->owned = cv_grow(partitions->owned, partitions->owned_count, &partitions->owned_cap,
                                sizeof *partitions->owned);
    *p = (struct consumer_partition){
        .owned = true, .paused = p->paused, .owned_index = partitions->owned_count, UNKNOWN};
    partitions->owned[partitions->owned_count++] = (struct consumer_partition_id){topic, partition};
    return true;
}

void consumer_partitions_remove(struct consumer_partitions *partitions, enum topic topic, int32_t partition)
{
    struct consumer_partition *p = consumer_partitions_find(partitions, topic, partition);

    if (p == NULL || !p->owned)
        return;
    struct consumer_partition_id last = partitions->owned[--partitions->owned_count];
    partitions->owned[p->owned_index] = last;
    consumer_partitions_find(partitions, last.topic, last.partition)->owned_index = p->owned_index;
    *p = (struct consumer_partition){.paused = p->paused, UNKNOWN};
}
