#include "deploy/dev/broker.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>

#include "caseview/log.h"
#include "caseview/output.h"
#include "caseview/stop.h"
#include "deploy/dev/file.h"
#include "deploy/dev/parent.h"

/* The options of each topic. */
static const struct {
    const char *topic, *partitions;
} topics[] = {
    {"case-topic", "case-partitions"},
    {"agent-topic", "agent-partitions"},
    {"directory-topic", "directory-partitions"},
};

static void on_log(const rd_kafka_t *kafka CV_UNUSED, int level CV_UNUSED, const char *facility, const char *text)
{
    /* Not a warning: the host instance complains that it has no brokers, and it needs none. */
    log_debug("broker: %s: %s", facility, text);
}

/* Opens the librdkafka instance that owns the mock cluster; it is not a client of any broker. */
static rd_kafka_t *open_host(struct err *err)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (kafka == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, "broker: %s", text);
    }
    return kafka;
}

static enum cv_status create_topics(rd_kafka_mock_cluster_t *cluster, const struct config *config, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        const char *name = config_text(config, topics[i].topic);
        rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(cluster, name,
                                                               (int)config_int(config, topics[i].partitions), 1);
        if (error) {
            err_set(err, "--%s %s: %s", topics[i].topic, name, rd_kafka_err2str(error));
            return CV_FATAL;
        }
    }
    return CV_OK;
}

static enum cv_status announce(const char *bootstraps, const char *path, struct err *err)
{
    printf("%s\n", bootstraps);
    if (!output_flush()) {
        err_set(err, "the address could not be written to standard output");
        return CV_FATAL;
    }
    return path ? file_replace(path, bootstraps, 0644, err) : CV_OK;
}

static enum cv_status serve(rd_kafka_t *host, const struct config *config, struct err *err)
{
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
    if (cluster == NULL) {
        err_set(err, "broker: cannot create the mock cluster");
        return CV_FATAL;
    }
    enum cv_status status = create_topics(cluster, config, err);
    if (status == CV_OK)
        status = announce(rd_kafka_mock_cluster_bootstraps(cluster), config_text(config, "bootstrap-file"), err);
    while (status == CV_OK && !stop_wait(60000))
        continue;
    rd_kafka_mock_cluster_destroy(cluster);
    return status;
}

int broker_main(struct config *config)
{
    struct err err = ERR_INIT;
    enum cv_status status = CV_FATAL;
    if (config_flag(config, "end-with-parent"))
        parent_end_with();
    rd_kafka_t *host = NULL;
    if (config_operand(config, 0))
        err_set(&err, "unexpected word: %s", config_shown(config_operand(config, 0)));
    else
        host = open_host(&err);
    if (host) {
        status = serve(host, config, &err);
        rd_kafka_destroy(host);
    }
    if (status == CV_OK)
        return CV_EXIT_OK;
    log_error("%s", err.text);
    return CV_EXIT_USAGE;
}
