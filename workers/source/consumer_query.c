#include "workers/source/consumer_query.h"

#include "caseview/clock.h"

static enum cv_status refused(struct err *err, const char *topic, const char *what, const char *text)
{
    err_set(err, "kafka topic %s: %s: %s", topic, what, text);
    return CV_RETRY;
}

static enum cv_status ask_one(struct consumer *consumer, enum topic topic, int32_t partition, int64_t which,
                              int64_t deadline_ms, int64_t *out_offset, struct err *err)
{
    const char *name = consumer_partitions_name(&consumer->partitions, topic);
    int64_t left_ms = deadline_ms - clock_mono_ms();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, name, partition);
    rd_kafka_resp_err_t code = kafka_client_offsets(consumer->rk, list, which, left_ms > 0 ? (int)left_ms : 0);
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

enum cv_status consumer_query_first_offset(struct consumer *consumer, enum topic topic, int32_t partition,
                                           int timeout_ms, int64_t *out_low, struct err *err)
{
    return ask_one(consumer, topic, partition, RD_KAFKA_OFFSET_BEGINNING, clock_mono_ms() + timeout_ms, out_low, err);
}

enum cv_status consumer_query_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                         int64_t *out_low, int64_t *out_high, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms, low, high;
    enum cv_status status = ask_one(consumer, topic, partition, RD_KAFKA_OFFSET_BEGINNING, deadline_ms, &low, err);

    if (status == CV_OK)
        status = ask_one(consumer, topic, partition, RD_KAFKA_OFFSET_END, deadline_ms, &high, err);
    if (status != CV_OK)
        return status;
    *out_low = low;
    *out_high = high;
    return CV_OK;
}

enum cv_status consumer_query_partition_count(struct consumer *consumer, enum topic topic, int timeout_ms,
                                              int32_t *out_count, struct err *err)
{
    const char *name = consumer_partitions_name(&consumer->partitions, topic);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer->rk, name, NULL);

    if (handle == NULL)
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

    if (event == NULL)
        return refused(err, name, "configuration", "no answer");
    if (rd_kafka_event_error(event))
        return refused(err, name, "configuration", rd_kafka_event_error_string(event));
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
    if (count != 1)
        return refused(err, name, "configuration", "the answer does not name the topic");
    if (rd_kafka_ConfigResource_error(resources[0])) {
        const char *text = rd_kafka_ConfigResource_error_string(resources[0]);
        return refused(err, name, "configuration", text != NULL ? text : "refused");
    }
    const rd_kafka_ConfigEntry_t **list = rd_kafka_ConfigResource_configs(resources[0], &entries);
    for (size_t i = 0; i < entries; i++) {
        const char *value = rd_kafka_ConfigEntry_value(list[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(list[i]), "cleanup.policy") != 0 || value == NULL)
            continue;
        *out_compacted = strstr(value, "compact") != NULL;
        return CV_OK;
    }
    return refused(err, name, "configuration", "the answer has no cleanup.policy");
}

enum cv_status consumer_query_is_compacted(struct consumer *consumer, enum topic topic, int timeout_ms,
                                           bool *out_compacted, struct err *err)
{
    const char *name = consumer_partitions_name(&consumer->partitions, topic);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(consumer->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->rk);
    char text[256];

    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_DescribeConfigs(consumer->rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    enum cv_status status = read_policy(event, name, out_compacted, err);

    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}
