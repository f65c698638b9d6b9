#include "workers/source/consumer_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "workers/source/consumer_internal.h"

#define TICK_MS 200 /* the longest wait for a record, and between two ticks */

struct consumer_scan {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topics[TOPIC_COUNT];
    struct scan_partition *partitions;
    bool *reading; /* started and not yet stopped, beside each partition */
    size_t count;
    char trouble[256]; /* what a broker said last: shown when nothing comes any more */
};

/* On the library's threads. What matters of it comes back as the status of a call. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    log_debug("kafka: %s: %s", facility, text);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct consumer_scan *scan = opaque;
    (void)rk;
    snprintf(scan->trouble, sizeof scan->trouble, "%s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)code), reason);
}

/* ---- open ---- */

static enum cv_status set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return CV_OK;
    err_set(err, "kafka property %s: %s", name, text);
    return CV_FATAL;
}

static enum cv_status open_client(struct consumer_scan *scan, const struct consumer_options *options, unsigned topics,
                                  struct err *err)
{
    /* What a group member has from consumer_conf.c and a client of this kind needs too. */
    static const struct consumer_property fixed[] = {
        {"enable.partition.eof", "true"}, {"auto.offset.reset", "error"}, {"auto.commit.enable", "false"},
        {"check.crcs", "true"},           {"fetch.wait.max.ms", "100"},
    };
    rd_kafka_conf_t *conf;
    char text[512];
    enum cv_status status = consumer_conf_new(options, false, &conf, err);
    if (status != CV_OK)
        return status;
    for (size_t i = 0; i < ARRAY_LEN(fixed) && status == CV_OK; i++)
        status = set(conf, fixed[i].name, fixed[i].value, err);
    if (status != CV_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    if (consumer_conf_knows(FETCH_QUEUE_BACKOFF))
        (void)rd_kafka_conf_set(conf, FETCH_QUEUE_BACKOFF, "10", text, sizeof text);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, scan);
    scan->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!scan->rk) {
        rd_kafka_conf_destroy(conf);
        err_set(err, "kafka: %s", text);
        return CV_FATAL;
    }
    scan->queue = rd_kafka_queue_new(scan->rk);
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        if (!(topics & 1u << t))
            continue;
        scan->topics[t] = rd_kafka_topic_new(scan->rk, options->topics[t], NULL);
        if (!scan->topics[t]) {
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
    if (!scan)
        return;
    for (size_t i = 0; scan->reading && i < scan->count; i++)
        stop_reading(scan, i);
    if (scan->queue)
        rd_kafka_queue_destroy(scan->queue);
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (scan->topics[t])
            rd_kafka_topic_destroy(scan->topics[t]);
    if (scan->rk)
        rd_kafka_destroy_flags(scan->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
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

/* scan->count: a message of no partition of ours. */
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
        .key = {message->key, message->key ? message->key_len : 0},
        .value = {message->payload, message->payload ? message->len : 0},
        .handle = message,
    };
    partition->records++;
    partition->position = message->offset + 1;
    return record(context, &given, err);
}

/* Errors that the library mends by itself are only remembered. */
static enum cv_status take_error(struct consumer_scan *scan, struct scan_partition *partition,
                                 const rd_kafka_message_t *message, struct err *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        /* Control records may be all that lies before it. */
        if (message->offset > partition->position)
            partition->position = message->offset;
        return CV_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return refused(scan, partition, "the log lost its beginning while it was read: run the command again", err);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return refused(scan, partition, rd_kafka_err2str(message->err), err);
    default:
        snprintf(scan->trouble, sizeof scan->trouble, "%s", rd_kafka_message_errstr(message));
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
    int64_t heard_ms = clock_mono_ms(), ticked_ms = heard_ms;
    enum cv_status status = start_all(scan, &left, err);
    while (status == CV_OK && left > 0) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(scan->queue, TICK_MS);
        int64_t now_ms = clock_mono_ms();
        if (message) {
            heard_ms = message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF ? heard_ms : now_ms;
            status = take(scan, message, record, context, &left, err);
            rd_kafka_message_destroy(message);
        }
        if (now_ms - ticked_ms < TICK_MS)
            continue;
        ticked_ms = now_ms;
        (void)rd_kafka_poll(scan->rk, 0); /* serves on_error */
        tick(context);
        if (status == CV_OK && stop_requested()) {
            err_set(err, "stopped");
            status = CV_RETRY;
        } else if (status == CV_OK && now_ms - heard_ms > timeout_ms) {
            err_set(err, "kafka: nothing came for %d s%s%s", timeout_ms / 1000, scan->trouble[0] ? ": " : "",
                    scan->trouble);
            status = CV_RETRY;
        }
    }
    return status;
}
