#include "caseview/clock.h"
#include "workers/source/consumer_internal.h"

static enum cv_status refused(struct err *err, const char *topic, const char *what, const char *text)
{
    err_set(err, "kafka topic %s: %s: %s", topic, what, text);
    return CV_RETRY;
}

/*
 * rd_kafka_query_watermark_offsets() would be the call for this, but it waits without end for a leader that is away
 * (2.0.2). This one keeps its time-out and passes the two special times on to the broker as they are.
 */
rd_kafka_resp_err_t consumer_ask_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int64_t which,
                                         int timeout_ms)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = which;
        list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, list, timeout_ms);
    for (int i = 0; !code && i < list->cnt; i++)
        if (!list->elems[i].err && list->elems[i].offset < 0)
            list->elems[i].err = RD_KAFKA_RESP_ERR__BAD_MSG;
    return code;
}

/* A question for so many bytes taken, and at most one in this time: nothing to a broker that sends a backlog. */
#define NUDGE_BYTES       (1u << 20)
#define NUDGE_INTERVAL_MS 10

/*
 * A full queue stops the fetching, and the library looks again only when its broker thread wakes: in 2.0.2 a second
 * later, while a worker empties the queue in a fraction of that (measured at 3 µs a record: 80,000 instead of 311,000
 * records/s). Any request to the leader wakes the thread, so the ends are asked for, without waiting for the answers.
 */
void consumer_keep_fetching(struct consumer *consumer, size_t bytes)
{
    consumer->nudge_bytes += bytes;
    if (!consumer->fetch_sleeps || consumer->nudge_bytes < NUDGE_BYTES || clock_mono_ms() < consumer->nudge_at_ms)
        return;
    consumer->nudge_bytes = 0;
    consumer->nudge_at_ms = clock_mono_ms() + NUDGE_INTERVAL_MS;

    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        for (int32_t i = 0; i < consumer->topics[t].count; i++)
            if (consumer->topics[t].partitions[i].running)
                rd_kafka_topic_partition_list_add(list, consumer->topics[t].name, i)->offset = RD_KAFKA_OFFSET_END;
    (void)rd_kafka_offsets_for_times(consumer->rk, list, 0); /* always "timed out": nobody waits */
    rd_kafka_topic_partition_list_destroy(list);
}

static enum cv_status ask_one(struct consumer *consumer, enum topic topic, int32_t partition, int64_t which,
                              int64_t deadline_ms, int64_t *out_offset, struct err *err)
{
    const char *name = consumer->topics[topic].name;
    int64_t left_ms = deadline_ms - clock_mono_ms();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, name, partition);
    rd_kafka_resp_err_t code = consumer_ask_offsets(consumer->rk, list, which, left_ms > 0 ? (int)left_ms : 0);
    int64_t offset = one->offset;

    if (!code)
        code = one->err;
    rd_kafka_topic_partition_list_destroy(list);
    if (code) {
        err_set(err, "kafka topic %s [%d]: %s offset: %s", name, partition,
                which == RD_KAFKA_OFFSET_BEGINNING ? "first" : "end", rd_kafka_err2str(code));
        return CV_RETRY;
    }
    *out_offset = offset;
    return CV_OK;
}

enum cv_status consumer_first_offset(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                     int64_t *out_low, struct err *err)
{
    return ask_one(consumer, topic, partition, RD_KAFKA_OFFSET_BEGINNING, clock_mono_ms() + timeout_ms, out_low, err);
}

enum cv_status consumer_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                   int64_t *out_low, int64_t *out_high, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms, low, high;
    enum cv_status status = ask_one(consumer, topic, partition, RD_KAFKA_OFFSET_BEGINNING, deadline_ms, &low, err);

    /* The end is the last stable one, since the question carries our isolation level. */
    if (status == CV_OK)
        status = ask_one(consumer, topic, partition, RD_KAFKA_OFFSET_END, deadline_ms, &high, err);
    if (status != CV_OK)
        return status;
    *out_low = low;
    *out_high = high;
    return CV_OK;
}

int64_t consumer_end_offset(struct consumer *consumer, enum topic topic, int32_t partition)
{
    struct consumer_partition *p = consumer_find(consumer, topic, partition);
    int64_t low, high;

    if (!p || !p->running)
        return -1;
    if (p->end_offset >= 0)
        return p->end_offset > p->next ? p->end_offset : p->next;
    /* Until the first statistics: the high watermark, which is the same unless a transaction is open. */
    if (rd_kafka_get_watermark_offsets(consumer->rk, consumer->topics[topic].name, partition, &low, &high) || high < 0)
        return -1;
    return high > p->next ? high : p->next;
}

enum cv_status consumer_partition_count(struct consumer *consumer, enum topic topic, int timeout_ms, int32_t *out_count,
                                        struct err *err)
{
    const char *name = consumer->topics[topic].name;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer->rk, name, NULL);

    if (!handle)
        return refused(err, name, "metadata", rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(consumer->rk, 0, handle, &metadata, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code)
        return refused(err, name, "metadata", rd_kafka_err2str(code));

    code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, name) != 0)
            continue;
        code = metadata->topics[i].err;
        if (!code)
            *out_count = metadata->topics[i].partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return code ? refused(err, name, "metadata", rd_kafka_err2str(code)) : CV_OK;
}

static enum cv_status read_policy(rd_kafka_event_t *event, const char *name, bool *out_compacted, struct err *err)
{
    size_t count, entries;

    if (!event)
        return refused(err, name, "configuration", "no answer");
    if (rd_kafka_event_error(event))
        return refused(err, name, "configuration", rd_kafka_event_error_string(event));
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
    if (count != 1)
        return refused(err, name, "configuration", "an answer without the topic");
    if (rd_kafka_ConfigResource_error(resources[0])) {
        const char *text = rd_kafka_ConfigResource_error_string(resources[0]);
        return refused(err, name, "configuration", text ? text : "refused");
    }
    const rd_kafka_ConfigEntry_t **list = rd_kafka_ConfigResource_configs(resources[0], &entries);
    for (size_t i = 0; i < entries; i++) {
        const char *value = rd_kafka_ConfigEntry_value(list[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(list[i]), "cleanup.policy") != 0 || !value)
            continue;
        *out_compacted = strstr(value, "compact") != NULL;
        return CV_OK;
    }
    return refused(err, name, "configuration", "no cleanup.policy in the answer");
}

enum cv_status consumer_is_compacted(struct consumer *consumer, enum topic topic, int timeout_ms, bool *out_compacted,
                                     struct err *err)
{
    const char *name = consumer->topics[topic].name;
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(consumer->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->rk);
    char text[256];

    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_DescribeConfigs(consumer->rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    enum cv_status status = read_policy(event, name, out_compacted, err);

    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}
