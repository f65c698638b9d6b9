#include "workers/source/consumer_internal.h"

static enum cv_status refused(struct err *err, const char *topic, const char *what, const char *text)
{
    err_set(err, "kafka topic %s: %s: %s", topic, what, text);
    return CV_RETRY;
}

enum cv_status consumer_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                   int64_t *out_low, int64_t *out_high, struct err *err)
{
    const char *name = consumer->topics[topic].name;
    int64_t low, high;
    /* The end is the last stable one, since the question carries our isolation level. */
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(consumer->rk, name, partition, &low, &high, timeout_ms);

    if (code) {
        err_set(err, "kafka topic %s [%d]: first and end offset: %s", name, partition, rd_kafka_err2str(code));
        return CV_RETRY;
    }
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
    /*
     * Every Kafka since 0.11 answers this request; one that does not know it is librdkafka's mock cluster, which keeps
     * all records.
     */
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) {
        *out_compacted = false;
        return CV_OK;
    }
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
