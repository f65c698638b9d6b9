#include "workers/source/consumer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "workers/source/consumer_internal.h"

/* librdkafka's codes that 2.0's header does not name yet. */
#define LOG_TRUNCATION (-139)
/* A damaged record is tried again this much later: read anew from the broker it may be whole. */
#define DAMAGED_AGAIN_MS 5000

enum topic consumer_topic_of(const struct consumer *consumer, const char *name)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        if (strcmp(consumer->topics[t].name, name) == 0)
            return t;
    return TOPIC_COUNT;
}

struct consumer_partition *consumer_find(struct consumer *consumer, enum topic topic, int32_t partition)
{
    if (topic >= TOPIC_COUNT || partition < 0 || partition >= consumer->topics[topic].count)
        return NULL;
    return &consumer->topics[topic].partitions[partition];
}

struct consumer_partition *consumer_find_or_add(struct consumer *consumer, enum topic topic, int32_t partition)
{
    struct consumer_topic *t = &consumer->topics[topic];

    if (partition >= t->count) {
        t->partitions = cv_realloc(t->partitions, ((size_t)partition + 1) * sizeof *t->partitions);
        for (int32_t i = t->count; i <= partition; i++)
            t->partitions[i] = (struct consumer_partition){.end_offset = -1, .commit_next = -1};
        t->count = partition + 1;
    }
    return &t->partitions[partition];
}

static enum cv_status subscribe(struct consumer *consumer, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TOPIC_COUNT);

    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        rd_kafka_topic_partition_list_add(list, consumer->topics[t].name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code)
        return CV_OK;
    err_set(err, "kafka: subscribe: %s", rd_kafka_err2str(code));
    return CV_FATAL;
}

static enum cv_status start(struct consumer *consumer, rd_kafka_conf_t *conf, struct err *err)
{
    static const uint64_t one = 1;
    char text[512];

    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, consumer_on_rebalance);
    rd_kafka_conf_set_error_cb(conf, consumer_on_error);
    rd_kafka_conf_set_log_cb(conf, consumer_on_log);
    rd_kafka_conf_set_stats_cb(conf, consumer_on_stats);
    rd_kafka_conf_set_offset_commit_cb(conf, consumer_on_commit);
    consumer->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (!consumer->rk) {
        rd_kafka_conf_destroy(conf);
        err_set(err, "kafka: %s", text);
        return CV_FATAL;
    }
    /* Errors, statistics and log lines take the way of the records: one queue, and all callbacks on one thread. */
    (void)rd_kafka_poll_set_consumer(consumer->rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
    (void)rd_kafka_set_log_queue(consumer->rk, consumer->queue);
    rd_kafka_queue_io_event_enable(consumer->queue, consumer->event_fd, &one, sizeof one);
    return subscribe(consumer, err);
}

enum cv_status consumer_open(const struct consumer_options *options, consumer_before_revoke before_revoke,
                             void *context, struct consumer **out_consumer, struct err *err)
{
    rd_kafka_conf_t *conf;
    enum cv_status status = consumer_conf_new(options, true, &conf, err);

    if (status != CV_OK)
        return status;
    struct consumer *consumer = cv_zalloc(sizeof *consumer);
    consumer->before_revoke = before_revoke;
    consumer->context = context;
    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        consumer->topics[t].name = cv_strdup(options->topics[t]);
    consumer->fetch_sleeps = !consumer_conf_knows(FETCH_QUEUE_BACKOFF);
    consumer->poll_within_ms = consumer_conf_int(conf, "max.poll.interval.ms");
    consumer->cooperative = consumer_conf_is_cooperative(conf);
    consumer->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (consumer->event_fd < 0) {
        err_set(err, "eventfd: %s", strerror(errno));
        rd_kafka_conf_destroy(conf);
        status = CV_FATAL;
    } else {
        status = start(consumer, conf, err);
    }
    if (status != CV_OK) {
        consumer_close(consumer);
        return status;
    }
    *out_consumer = consumer;
    return CV_OK;
}

static void give_back_messages(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->message_count; i++)
        rd_kafka_message_destroy(consumer->messages[i]);
    consumer->message_count = 0;
}

/*
 * One after the other: rd_kafka_consume_batch_queue() is no cheaper, and when one partition is stopped or paused it may
 * throw away the first record of the others that it has in hand (librdkafka 2.8 does).
 */
static size_t take_messages(struct consumer *consumer, size_t max, int timeout_ms)
{
    if (max > consumer->message_cap) {
        consumer->messages = cv_realloc(consumer->messages, max * sizeof *consumer->messages);
        consumer->message_cap = max;
    }
    consumer->message_count = 0;
    while (consumer->message_count < max) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->queue, timeout_ms);
        if (!message)
            break;
        consumer->messages[consumer->message_count++] = message;
        timeout_ms = 0;
    }
    return consumer->message_count;
}

/* Leaving is asked for and served here with a deadline: rd_kafka_consumer_close() has none. */
static void leave(struct consumer *consumer)
{
    int64_t deadline = clock_mono_ms() + CLOSE_TIMEOUT_MS;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->rk, consumer->queue);

    while (!error && !rd_kafka_consumer_closed(consumer->rk) && clock_mono_ms() < deadline) {
        (void)take_messages(consumer, 100, 20);
        give_back_messages(consumer);
    }
    rd_kafka_error_destroy(error);
}

static void *end_library(void *context)
{
    struct consumer *consumer = context;

    if (consumer->queue) {
        consumer_send_commits(consumer);
        leave(consumer);
        rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(consumer->queue);
    }
    FAIL_POINT("consumer.destroy");
    rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

/*
 * librdkafka may wait for ever while it is closed: for threads of its own, or in a rebalance callback for the answer of
 * a group that has just ended (its issues 4041 and 4884). All is committed by then: the process may end without it.
 * False: it still waits, and what its callbacks know has to stay.
 */
static bool end_in_time(struct consumer *consumer)
{
    pthread_t thread;
    int64_t until_us = clock_mono_us() + (int64_t)END_TIMEOUT_MS * 1000;
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

    int failed = pthread_create(&thread, NULL, end_library, consumer);
    assert(failed == 0);
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        return true;
    pthread_detach(thread);
    log_warn("librdkafka does not end; all is committed, going on without it: if the group was not left, it waits for "
             "session.timeout.ms");
    return false;
}

void consumer_close(struct consumer *consumer)
{
    if (!consumer)
        return;
    consumer->closing = true;
    give_back_messages(consumer);
    if (consumer->rk && !end_in_time(consumer))
        return;
    if (consumer->event_fd >= 0)
        close(consumer->event_fd);
    consumer_forget_told(consumer);
    for (size_t i = 0; i < consumer->pending_count; i++)
        free(consumer->pending[i].text);
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        free(consumer->topics[t].name);
        free(consumer->topics[t].partitions);
    }
    free(consumer->pending);
    free(consumer->told);
    free(consumer->messages);
    free(consumer);
}

int consumer_poll_within_ms(const struct consumer *consumer)
{
    return consumer->poll_within_ms;
}

int consumer_fd(const struct consumer *consumer)
{
    return consumer->event_fd;
}

void consumer_fd_drain(struct consumer *consumer)
{
    uint64_t count;

    if (read(consumer->event_fd, &count, sizeof count) < 0) {
        /* EAGAIN: nothing was there. */
    }
}

/* An error of one partition, or of the whole consumer when p is NULL. */
static void on_message_error(struct consumer *consumer, const rd_kafka_message_t *message, enum topic topic,
                             struct consumer_partition *p)
{
    const char *text = rd_kafka_message_errstr(message);
    int code = message->err;

    if (p && (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == LOG_TRUNCATION)) {
        if (!p->running)
            return; /* speaks of an earlier start */
        if (code == LOG_TRUNCATION || message->offset == p->next) {
            p->wanted = p->running = false;
            consumer_push(consumer, CONSUMER_OUT_OF_RANGE, topic, message->partition, NULL);
        } else {
            consumer_start_again(consumer, p, 0); /* see consumer_position.c */
        }
        return;
    }
    if (p && code == RD_KAFKA_RESP_ERR__BAD_MSG && p->running)
        consumer_start_again(consumer, p, DAMAGED_AGAIN_MS); /* the library would go on behind it */
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        consumer_on_error(consumer->rk, code, text, consumer);
        return;
    }
    consumer_push_error(consumer, (rd_kafka_resp_err_t)code, p ? topic : TOPIC_COUNT, p ? message->partition : -1,
                        text);
}

/* True when the message makes an event for the caller. */
static bool deliver(struct consumer *consumer, rd_kafka_message_t *message, enum topic topic,
                    struct consumer_event *out)
{
    struct consumer_partition *p = consumer_find(consumer, topic, message->partition);
    bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;

    if (message->err && !is_end) {
        on_message_error(consumer, message, topic, p);
        return false;
    }
    if (!p || !p->running || message->offset < p->next)
        return false;

    *out = (struct consumer_event){
        .type = is_end ? CONSUMER_EOF : CONSUMER_RECORD,
        .record = {.topic = topic, .partition = message->partition, .offset = message->offset, .timestamp_ms = -1},
    };
    if (is_end) {
        p->next = message->offset;
        p->end_offset = message->offset;
        return true;
    }
    rd_kafka_timestamp_type_t type;
    out->record.timestamp_ms = rd_kafka_message_timestamp(message, &type);
    out->record.key = (struct str){message->key, message->key_len};
    out->record.value = (struct str){message->payload, message->len};
    out->record.handle = message;
    p->next = message->offset + 1;
    return true;
}

bool consumer_has_joined(const struct consumer *consumer)
{
    return consumer->joined;
}

size_t consumer_poll(struct consumer *consumer, struct consumer_event *out_events, size_t max)
{
    const rd_kafka_topic_t *handle = NULL;
    enum topic topic = TOPIC_COUNT;
    size_t n = 0, bytes = 0;

    give_back_messages(consumer);
    consumer_forget_told(consumer);
    consumer_start_wanted(consumer);
    if (clock_mono_ms() >= consumer->commit_at_ms)
        consumer_send_commits(consumer);

    /* Events that wait keep their places: records can fill the rest. Callbacks run in here. */
    size_t room = max > consumer->pending_count ? max - consumer->pending_count : 0;
    size_t taken = room ? take_messages(consumer, room, 0) : 0;
    for (size_t i = 0; i < taken; i++) {
        rd_kafka_message_t *message = consumer->messages[i];
        if (message->rkt != handle) { /* a handle is held by its messages, so it is one topic's within a batch */
            handle = message->rkt;
            topic = handle ? consumer_topic_of(consumer, rd_kafka_topic_name(handle)) : TOPIC_COUNT;
        }
        bytes += message->len + message->key_len;
        n += deliver(consumer, message, topic, &out_events[n]);
    }
    consumer_keep_fetching(consumer, bytes);
    n += consumer_take_events(consumer, out_events + n, max - n);
    /* librdkafka reports a queue that fills from empty, once: what was left there or here is reported by us. */
    if (taken == room || consumer->pending_count > 0)
        consumer_wake(consumer);
    return n;
}
