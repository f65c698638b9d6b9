#include "workers/source/consumer_scan.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/stop.h"
#include "workers/source/kafka_client.h"

#define TICK_MS 200 /* the longest wait for a record, and between two ticks */

struct consumer_scan {
    struct kafka_client client;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[TOPIC_COUNT];
    struct scan_partition *partitions;
    bool *reading; /* for each partition: started and not yet stopped */
    size_t count;
};

/* ---- open ---- */

static enum cv_status open_client(struct consumer_scan *scan, const struct consumer_options *options, unsigned topics,
                                  struct err *err)
{
    enum cv_status status = consumer_topics_check(options->topics, err);

    if (status == CV_OK)
        status = kafka_client_open(&scan->client, options, KAFKA_READER, err);
    if (status != CV_OK)
        return status;
    scan->queue = rd_kafka_queue_new(scan->client.rk);
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        if (!(topics & 1u << t))
            continue;
        scan->topics[t] = rd_kafka_topic_new(scan->client.rk, options->topics[t], NULL);
        if (scan->topics[t] == NULL) {
            err_set(err, "kafka topic %s: %s", options->topics[t], rd_kafka_err2str(rd_kafka_last_error()));
            return CV_FATAL;
        }
    }
    return CV_OK;
}

enum cv_status consumer_scan_open(const struct consumer_options *options, const struct scan_partition *partitions,
                                  size_t count, struct consumer_scan **out_scan, struct err *err)
{
    struct consumer_scan *scan = cv_zalloc(sizeof *scan);
    unsigned topics = 0;
    scan->count = count;
    scan->partitions = cv_zalloc((count + 1) * sizeof *scan->partitions);
    scan->reading = cv_zalloc((count + 1) * sizeof *scan->reading);
    for (size_t i = 0; i < count; i++) {
        topics |= 1u << partitions[i].topic;
        scan->partitions[i] = partitions[i];
        scan->partitions[i].position = partitions[i].low;
        scan->partitions[i].records = 0;
    }
    enum cv_status status = open_client(scan, options, topics, err);
    if (status != CV_OK) {
        consumer_scan_close(scan);
        return status;
    }
    *out_scan = scan;
    return CV_OK;
}

static void stop_reading(struct consumer_scan *scan, size_t i)
{
    if (!scan->reading[i])
        return;
    scan->reading[i] = false;
    (void)rd_kafka_consume_stop(scan->topics[scan->partitions[i].topic], scan->partitions[i].partition);
}

void consumer_scan_close(struct consumer_scan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; scan->reading != NULL && i < scan->count; i++)
        stop_reading(scan, i);
    if (scan->queue != NULL)
        rd_kafka_queue_destroy(scan->queue);
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (scan->topics[t] != NULL)
            rd_kafka_topic_destroy(scan->topics[t]);
    kafka_client_close(&scan->client);
    free(scan->reading);
    free(scan->partitions);
    free(scan);
}

const struct scan_partition *consumer_scan_partitions(const struct consumer_scan *scan, size_t *out_count)
{
    *out_count = scan->count;
    return scan->partitions;
}

/* ---- run ---- */

static enum cv_status refused(struct consumer_scan *scan, const struct scan_partition *partition, const char *text,
                              struct err *err)
{
    err_set(err, "kafka topic %s [%d]: %s", rd_kafka_topic_name(scan->topics[partition->topic]), partition->partition,
            text);
    return CV_RETRY;
}

static enum cv_status start_all(struct consumer_scan *scan, size_t *out_left, struct err *err)
{
    *out_left = 0;
    for (size_t i = 0; i < scan->count; i++) {
        const struct scan_partition *partition = &scan->partitions[i];
        if (partition->position >= partition->until)
            continue;
        if (rd_kafka_consume_start_queue(scan->topics[partition->topic], partition->partition, partition->low,
                                         scan->queue) != 0)
            return refused(scan, partition, rd_kafka_err2str(rd_kafka_last_error()), err);
        scan->reading[i] = true;
        ++*out_left;
    }
    return CV_OK;
}

/* scan->count: the message is of another partition. */
static size_t find(const struct consumer_scan *scan, const rd_kafka_message_t *message)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->partitions[i].partition == message->partition &&
            scan->topics[scan->partitions[i].topic] == message->rkt)
            return i;
    return scan->count;
}

static enum cv_status deliver(struct scan_partition *partition, rd_kafka_message_t *message, scan_record record,
                              void *context, struct err *err)
{
    rd_kafka_timestamp_type_t type;
    const struct record given = {
        .topic = partition->topic,
        .partition = partition->partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, &type),
        .key = {message->key, message->key != NULL ? message->key_len : 0},
        .value = {message->payload, message->payload != NULL ? message->len : 0},
        .handle = message,
    };
    partition->records++;
    partition->position = message->offset + 1;
    return record(context, &given, err);
}

/* Errors from which the library recovers by itself are only remembered. */
static enum cv_status take_error(struct consumer_scan *scan, struct scan_partition *partition,
                                 const rd_kafka_message_t *message, struct err *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        /* There may be only control records before it. */
        if (message->offset > partition->position)
            partition->position = message->offset;
        return CV_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return refused(scan, partition, "retention removed records before they were read: run the command again", err);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return refused(scan, partition, rd_kafka_err2str(message->err), err);
    default:
        kafka_client_redact(rd_kafka_message_errstr(message), scan->client.problem, sizeof scan->client.problem);
        return CV_OK;
    }
}

static enum cv_status take(struct consumer_scan *scan, rd_kafka_message_t *message, scan_record record, void *context,
                           size_t *left, struct err *err)
{
    size_t i = find(scan, message);
    if (i == scan->count || !scan->reading[i])
        return CV_OK; /* fetched ahead before it was stopped */
    struct scan_partition *partition = &scan->partitions[i];
    enum cv_status status = CV_OK;
    if (message->err)
        status = take_error(scan, partition, message, err);
    else if (message->offset < partition->until)
        status = deliver(partition, message, record, context, err);
    else
        partition->position = partition->until;
    if (partition->position >= partition->until) {
        stop_reading(scan, i);
        --*left;
    }
    return status;
}

enum cv_status consumer_scan_run(struct consumer_scan *scan, scan_record record, scan_tick tick, void *context,
                                 int timeout_ms, struct err *err)
{
    size_t left;
    int64_t received_ms = clock_mono_ms(), ticked_ms = received_ms;
    enum cv_status status = start_all(scan, &left, err);
    while (status == CV_OK && left > 0) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(scan->queue, TICK_MS);
        int64_t now_ms = clock_mono_ms();
        if (message != NULL) {
            received_ms = message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF ? received_ms : now_ms;
            status = take(scan, message, record, context, &left, err);
            rd_kafka_message_destroy(message);
        }
        if (now_ms - ticked_ms < TICK_MS)
            continue;
        ticked_ms = now_ms;
        const char *problem = kafka_client_problem(&scan->client);
        tick(context);
        if (status == CV_OK && stop_requested()) {
            err_set(err, "stopped");
            status = CV_RETRY;
        } else if (status == CV_OK && now_ms - received_ms > timeout_ms) {
            err_set(err, "kafka: nothing was received for %d s%s%s", timeout_ms / 1000,
                    problem[0] != '\0' ? "; last error: " : "", problem);
            status = CV_RETRY;
        }
    }
    return status;
}
