#include "workers/source/consumer_ends.h"

#include <jansson.h>

int consumer_ends_on_statistics(rd_kafka_t *rk CV_UNUSED, char *json, size_t len, void *opaque)
{
    struct consumer *consumer = opaque;
    json_t *root = json_loadb(json, len, 0, NULL);
    json_t *topics = json_object_get(root, "topics");

    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        const char *name = consumer_partitions_name(&consumer->partitions, t), *number;
        json_t *one;
        json_object_foreach(json_object_get(json_object_get(topics, name), "partitions"), number, one)
        {
            int32_t partition = (int32_t)strtol(number, NULL, 10);
            struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, t, partition);
            json_int_t end = json_integer_value(json_object_get(one, "ls_offset"));
            /* What was known before the last start is useless, and -1001 means "not known". */
            if (p != NULL && p->running && end > p->end_offset)
                p->end_offset = end;
        }
    }
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
