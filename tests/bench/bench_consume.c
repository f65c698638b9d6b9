/*
 * bench_consume: how fast librdkafka alone reads a topic, from its beginning to its end as of the start, without work
 * on the records. The drain of a backlog is compared with it.
 *
 *   bench_consume BOOTSTRAP TOPIC [PROPERTY=VALUE…]
 *
 * Prints records/s from the first record to the last, and CPU time a record of this process, librdkafka's threads
 * included. The library's defaults hold unless properties are given.
 */
#include <stdio.h>
#include <stdlib.h>

#include <librdkafka/rdkafka.h>

#include "caseview/clock.h"

#define BATCH      1000
#define TIMEOUT_MS 30000

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "bench_consume: %s: %s\n", name, text);
        exit(2);
    }
}

static void check(rd_kafka_resp_err_t code, const char *what)
{
    if (!code)
        return;
    fprintf(stderr, "bench_consume: %s: %s\n", what, rd_kafka_err2str(code));
    exit(1);
}

static rd_kafka_t *client(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];

    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "group.id", "bench-consume"); /* never joined */
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "auto.offset.reset", "error");
    for (int i = 3; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) {
            fprintf(stderr, "bench_consume: not PROPERTY=VALUE: %s\n", argv[i]);
            exit(2);
        }
        *equals = '\0';
        set(conf, argv[i], equals + 1);
    }
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (rk == NULL) {
        fprintf(stderr, "bench_consume: %s\n", text);
        exit(2);
    }
    return rk;
}

/* Assigns all partitions from their beginning; returns how many there are. */
static int assign_all(rd_kafka_t *rk, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    check(rd_kafka_metadata(rk, 0, handle, &metadata, TIMEOUT_MS), "metadata");
    check(metadata->topics[0].err, topic);
    int count = metadata->topics[0].partition_cnt;
    for (int p = 0; p < count; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    check(rd_kafka_assign(rk, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_consume BOOTSTRAP TOPIC [PROPERTY=VALUE…]\n");
        return 2;
    }
    rd_kafka_t *rk = client(argc, argv);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_message_t *messages[BATCH];
    int64_t records = 0, bytes = 0, start_us = 0, last_us = 0, cpu_start_us = 0, received_us = clock_mono_us();
    int open = assign_all(rk, argv[2]);

    while (open > 0) {
        /* A batch call waits its whole time-out unless the batch fills, so the time-out is short. */
        ssize_t n = rd_kafka_consume_batch_queue(queue, 1, messages, BATCH);
        if (n > 0)
            received_us = clock_mono_us();
        if (n > 0 && start_us == 0) {
            start_us = received_us;
            cpu_start_us = clock_cpu_us();
        }
        for (ssize_t i = 0; i < n; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                open--;
            } else {
                check(messages[i]->err, "record");
                records++;
                last_us = received_us;
                bytes += (int64_t)messages[i]->len + (int64_t)messages[i]->key_len;
            }
            rd_kafka_message_destroy(messages[i]);
        }
        if (clock_mono_us() - received_us > TIMEOUT_MS * INT64_C(1000)) {
            fprintf(stderr, "bench_consume: no record came for %d s, %d partitions are not finished\n",
                    TIMEOUT_MS / 1000, open);
            return 1;
        }
    }
    int64_t wall_us = last_us - start_us, cpu_us = clock_cpu_us() - cpu_start_us;
    double count = records > 0 ? (double)records : 1;
    printf("librdkafka %s: %lld records of %.0f bytes in %.3f s: %.0f records/s, %.2f µs CPU a record\n",
           rd_kafka_version_str(), (long long)records, (double)bytes / count, (double)wall_us / 1e6,
           wall_us > 0 ? (double)records / ((double)wall_us / 1e6) : 0.0, (double)cpu_us / count);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return 0;
}
