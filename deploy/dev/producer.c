#include "deploy/dev/producer.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "deploy/dev/encode.h"
#include "workers/source/kafka_options.h"

#define RECORD_CEILING (16u << 20) /* larger than what the worker accepts, since tests send such records */

struct producer {
    struct encoder *encoder;
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topics[TOPIC_COUNT];
    struct buf key, value;
    struct producer_counts counts;
};

/* The opaque pointer of a message carries its event's tag. */
static void on_delivery(rd_kafka_t *kafka CV_UNUSED, const rd_kafka_message_t *message, void *opaque)
{
    struct producer_counts *counts = &((struct producer *)opaque)->counts;
    if (!message->err) {
        counts->delivered++;
    } else if (counts->failed++ == 0) {
        counts->first_failed_tag = (uintptr_t)message->_private;
        counts->first_failure = rd_kafka_err2str(message->err); /* a constant of the library */
    }
}

static void on_log(const rd_kafka_t *kafka CV_UNUSED, int level, const char *facility, const char *text)
{
    if (level <= 4)
        log_warn("kafka: %s: %s", facility, text);
    else
        log_debug("kafka: %s: %s", facility, text);
}

static bool set_property(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return true;
    err_set(err, "--kafka %s: %s", name, text);
    return false;
}

/* The user's properties override our defaults, but not what makes the producer safe. */
static bool set_properties(rd_kafka_conf_t *conf, const struct config *config, const char *linger_ms, struct err *err)
{
    if (!set_property(conf, "partitioner", "murmur2_random", err) || !set_property(conf, "linger.ms", linger_ms, err))
        return false;
    size_t count;
    const struct config_property *properties = config_pairs(config, "kafka", &count);
    for (size_t i = 0; i < count; i++)
        if (!set_property(conf, properties[i].name, properties[i].value, err))
            return false;
    return set_property(conf, "enable.idempotence", "true", err) && set_property(conf, "acks", "all", err);
}

static enum cv_status open_kafka(struct producer *producer, const struct config *config, const char *linger_ms,
                                 struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!set_properties(conf, config, linger_ms, err)) {
        rd_kafka_conf_destroy(conf);
        return CV_FATAL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, producer);
    char text[256];
    producer->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (producer->kafka == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, "kafka: %s", text);
        return CV_FATAL;
    }
    for (int i = 0; i < TOPIC_COUNT; i++) {
        const char *name = config_text(config, topic_options[i]);
        producer->topics[i] = rd_kafka_topic_new(producer->kafka, name, NULL);
        if (producer->topics[i] == NULL) {
            err_set(err, "--%s %s: %s", topic_options[i], name, rd_kafka_err2str(rd_kafka_last_error()));
            return CV_FATAL;
        }
    }
    const struct rd_kafka_metadata *metadata;
    int timeout_ms = (int)config_int(config, "connect-timeout-s") * 1000;
    rd_kafka_resp_err_t error = rd_kafka_metadata(producer->kafka, 0, NULL, &metadata, timeout_ms);
    if (error) {
        err_set(err, "cannot reach any broker: %s", rd_kafka_err2str(error));
        return CV_RETRY;
    }
    rd_kafka_metadata_destroy(metadata);
    return CV_OK;
}

/* Opens the encoder; waits connect-timeout-s for a registry that is not available yet. */
static enum cv_status open_encoder(struct producer *producer, const struct config *config, struct err *err)
{
    char subjects[TOPIC_COUNT][300];
    const char *folder = config_text(config, "schema-dir");
    struct encoder_options options = {.schema_dir = folder != NULL ? folder : CASEVIEW_SCHEMA_DIR,
                                      .registry = config_text(config, "schema-registry")};
    for (int i = 0; i < TOPIC_COUNT; i++) {
        int len = snprintf(subjects[i], sizeof subjects[i], "%s-value", config_text(config, topic_options[i]));
        if (len < 0 || (size_t)len >= sizeof subjects[i]) {
            err_set(err, "--%s: longer than a topic name can be", topic_options[i]);
            return CV_FATAL;
        }
        options.subjects[i] = subjects[i];
    }
    int64_t deadline_ms = clock_mono_ms() + config_int(config, "connect-timeout-s") * 1000;
    struct retry retry;
    retry_init(&retry, 100, 2000);
    for (;;) {
        enum cv_status status = encoder_open(&options, &producer->encoder, err);
        if (status != CV_RETRY || clock_mono_ms() >= deadline_ms || stop_wait(retry_failed(&retry)))
            return status;
    }
}

enum cv_status producer_open(struct config *config, const char *linger_ms, struct producer **out_producer,
                             struct err *err)
{
    struct producer *producer = cv_zalloc(sizeof *producer);
    buf_init(&producer->key, RECORD_CEILING);
    buf_init(&producer->value, RECORD_CEILING);
    enum cv_status status = open_encoder(producer, config, err);
    if (status == CV_OK)
        status = open_kafka(producer, config, linger_ms, err);
    if (status != CV_OK) {
        producer_close(producer);
        return status;
    }
    *out_producer = producer;
    return CV_OK;
}

void producer_close(struct producer *producer)
{
    if (producer == NULL)
        return;
    for (int i = 0; i < TOPIC_COUNT; i++)
        if (producer->topics[i] != NULL)
            rd_kafka_topic_destroy(producer->topics[i]);
    if (producer->kafka != NULL)
        rd_kafka_destroy(producer->kafka);
    encoder_close(producer->encoder);
    buf_done(&producer->key);
    buf_done(&producer->value);
    free(producer);
}

static enum cv_status send_record(struct producer *producer, enum topic topic, bool null, uint64_t tag, struct err *err)
{
    const struct buf *key = &producer->key, *value = &producer->value;
    while (rd_kafka_produce(producer->topics[topic], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                            null ? NULL : value->data, null ? 0 : value->len, key->data ? key->data : "", key->len,
                            (void *)(uintptr_t)tag)) {
        rd_kafka_resp_err_t error = rd_kafka_last_error();
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            err_set(err, "%s", rd_kafka_err2str(error));
            return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? CV_PARK : CV_RETRY;
        }
        rd_kafka_poll(producer->kafka, 100);
        if (stop_requested()) {
            err_set(err, "stopped");
            return CV_RETRY;
        }
    }
    producer->counts.sent[topic]++;
    producer->counts.sent_in_all++;
    return CV_OK;
}

enum cv_status producer_put(struct producer *producer, const json_t *event, uint64_t tag, struct err *err)
{
    enum topic topic;
    bool null;
    buf_reset(&producer->key);
    buf_reset(&producer->value);
    enum cv_status status = encoder_encode(producer->encoder, event, &topic, &producer->key, &producer->value, &null,
                                           err);
    if (status == CV_OK && (producer->key.overflow || producer->value.overflow)) {
        err_set(err, "record is too large");
        status = CV_PARK;
    }
    return status == CV_OK ? send_record(producer, topic, null, tag, err) : status;
}

void producer_poll(struct producer *producer, int timeout_ms)
{
    rd_kafka_poll(producer->kafka, timeout_ms);
}

void producer_drain(struct producer *producer)
{
    while (rd_kafka_outq_len(producer->kafka) > 0)
        rd_kafka_flush(producer->kafka, 1000); /* not poll: flush does not wait for linger.ms */
}

struct producer_counts producer_counts(const struct producer *producer)
{
    return producer->counts;
}
