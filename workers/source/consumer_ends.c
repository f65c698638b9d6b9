#include "workers/source/consumer_ends.h"

#include <jansson.h>

static int count_connections(json_t *brokers)
{
    const char *name;
    json_t *broker;
    int count = 0;
    json_object_foreach(brokers, name, broker)
    {
        const char *state = json_string_value(json_object_get(broker, "state"));
        const char *source = json_string_value(json_object_get(broker, "source"));
        if (state != NULL && source != NULL && strcmp(state, "UP") == 0 && strcmp(source, "internal") != 0)
            count++;
    }
    return count;
}

int consumer_ends_on_statistics(rd_kafka_t *rk CV_UNUSED, char *json, size_t len, void *opaque)
{
    struct consumer *consumer = opaque;
    json_t *root = json_loadb(json, len, 0, NULL);
    json_t *topics = json_object_get(root, "topics");

    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        const char *name = consumer_partitions_name(&consumer->partitions, t), *number;
        json_t *one;
        int32_t known = 0;
        json_object_foreach(json_object_get(json_object_get(topics, name), "partitions"), number, one)
        {
            int32_t partition = (int32_t)strtol(number, NULL, 10);
            if (partition < 0) /* records that have no partition yet */
                continue;
            known++;
            struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, t, partition);
            json_int_t end = json_integer_value(json_object_get(one, "ls_offset"));
            /* What was known before the last start is useless, and -1001 means "not known". */
            if (p != NULL && p->running && end > p->end_offset)
                p->end_offset = end;
        }
        if (known > 0) /* the client forgets topics of which it reads nothing */
            consumer->figures.partitions[t] = known;
    }
    consumer->figures.connections = count_connections(json_object_get(root, "brokers"));
    json_decref(root);
    return 0;
}

int64_t consumer_ends_offset(const struct consumer *consumer, enum topic topic, int32_t partition)
{
    const struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, partition);
    int64_t low, high;

    if (p == NULL || !p->running)
        return -1;
    if (p->end_offset >= 0)
        return p->end_offset > p->next ? p->end_offset : p->next;
    /* Until the first statistics: the high watermark, which is the same unless a transaction is open. */
    const char *name = consumer_partitions_name(&consumer->partitions, topic);
    if (rd_kafka_get_watermark_offsets(consumer->rk, name, partition, &low, &high) || high < 0)
        return -1;
    return high > p->next ? high : p->next;
}
