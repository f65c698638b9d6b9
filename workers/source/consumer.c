#include "workers/source/consumer.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "workers/source/consumer_commit.h"
#include "workers/source/consumer_position.h"
#include "workers/source/consumer_query.h"
#include "workers/source/consumer_rebalance.h"

/* consumer_close() waits this long for the group's answer to its leaving … */
#define LEAVE_TIMEOUT_MS 5000
/* … and this long for librdkafka to shut down. */
#define SHUTDOWN_TIMEOUT_MS (2 * LEAVE_TIMEOUT_MS)
/* An error code of librdkafka that the header of 2.0 does not define. */
#define LOG_TRUNCATION (-139)
/* Delay before a damaged record is fetched again: it may be intact in the broker's log. */
#define DAMAGED_RETRY_MS 5000
/* When no broker has answered after this time, a log line says what to check. */
#define CONTACT_TIMEOUT_MS 10000
/* One request per so many bytes taken, and at most one per interval: negligible for a broker that sends a backlog. */
#define REQUEST_BYTES       (1u << 20)
#define REQUEST_INTERVAL_MS 10
/* Partitions named in one request. Partitions are spread over the brokers, so these reach each leader in turn. */
#define REQUEST_PARTITIONS 64

/* ---- callbacks of librdkafka, called while its queue is polled ---- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;
    char text[512], *line;

    if (code != RD_KAFKA_RESP_ERR__FATAL) {
        consumer_events_add_error(&consumer->events, (rd_kafka_resp_err_t)code, TOPIC_COUNT, -1, reason);
        return;
    }
    rd_kafka_resp_err_t cause = rd_kafka_fatal_error(rk, text, sizeof text);
    consumer_rebalance_lose_all(consumer); /* librdkafka revokes nothing by itself until it is closed */
    if (asprintf(&line, "%s: %s", rd_kafka_err2name(cause), text) >= 0)
        consumer_events_add(&consumer->events, CONSUMER_FATAL, TOPIC_COUNT, -1, line);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct consumer *consumer = rd_kafka_opaque(rk);

    kafka_client_log(&consumer->events.limits, level, facility, text);
}

static int count_connections(json_t *brokers)
{
    const char *name;
    json_t *broker;
    int count = 0;
    json_object_foreach(brokers, name, broker)
    {
        const char *state = json_string_value(json_object_get(broker, "state"));
        const char *source = json_string_value(json_object_get(broker, "source"));
        if (state != NULL && source != NULL && strcmp(state, "UP") == 0 && strcmp(source, "internal") != 0)
            count++;
    }
    return count;
}

/*
 * Once a second. Takes the partitions' end offsets (last stable offsets) as the brokers reported them last, which no
 * other call tells, and the figures of consumer_types.h.
 */
static int on_statistics(rd_kafka_t *rk CV_UNUSED, char *json, size_t len, void *opaque)
{
    struct consumer *consumer = opaque;
    json_t *root = json_loadb(json, len, 0, NULL);
    json_t *topics = json_object_get(root, "topics");

    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        const char *name = consumer_partitions_name(&consumer->partitions, t), *number;
        json_t *one;
        int32_t known = 0;
        json_object_foreach(json_object_get(json_object_get(topics, name), "partitions"), number, one)
        {
            int32_t partition = (int32_t)strtol(number, NULL, 10);
            if (partition < 0) /* records that have no partition yet */
                continue;
            known++;
            struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, t, partition);
            json_int_t end = json_integer_value(json_object_get(one, "ls_offset"));
            /* What was known before the last start is useless, and -1001 means "not known". */
            if (p != NULL && p->running && end > p->end_offset)
                p->end_offset = end;
        }
        if (known > 0) /* the client forgets topics of which it reads nothing */
            consumer->figures.partitions[t] = known;
    }
    consumer->figures.connections = count_connections(json_object_get(root, "brokers"));
    json_decref(root);
    return 0;
}

/* ---- open ---- */

static enum cv_status subscribe(struct consumer *consumer, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(TOPIC_COUNT);

    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        rd_kafka_topic_partition_list_add(list, consumer_partitions_name(&consumer->partitions, t),
                                          RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code)
        return CV_OK;
    err_set(err, "kafka: subscribe: %s", rd_kafka_err2str(code));
    return CV_FATAL;
}

/* Takes ownership of conf. */
static enum cv_status start(struct consumer *consumer, rd_kafka_conf_t *conf, struct err *err)
{
    static const uint64_t one = 1;

    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, consumer_rebalance_on_change);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    rd_kafka_conf_set_offset_commit_cb(conf, consumer_commit_answered);
    enum cv_status status = kafka_client_new(conf, &consumer->rk, err);
    if (status != CV_OK)
        return status;
    /* Errors, statistics and log lines go through the queue of the records: all callbacks run on one thread. */
    (void)rd_kafka_poll_set_consumer(consumer->rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
    (void)rd_kafka_set_log_queue(consumer->rk, consumer->queue);
    rd_kafka_queue_io_event_enable(consumer->queue, consumer->events.fd, &one, sizeof one);
    return subscribe(consumer, err);
}

enum cv_status consumer_open(const struct consumer_options *options, consumer_before_revoke before_revoke,
                             void *context, struct consumer **out_consumer, struct err *err)
{
    rd_kafka_conf_t *conf;
    enum cv_status status = consumer_topics_check(options->topics, err);

    if (status == CV_OK)
        status = kafka_properties_new(options, KAFKA_MEMBER, &conf, err);
    if (status != CV_OK)
        return status;
    struct consumer *consumer = cv_zalloc(sizeof *consumer);
    consumer->before_revoke = before_revoke;
    consumer->context = context;
    consumer->opened_ms = clock_mono_ms();
    consumer->unsubscribes = options->group_instance_id != NULL && options->leave_group;
    consumer->fetching.needed = kafka_properties_lack_queue_backoff();
    consumer->max_poll_interval_ms = kafka_properties_int(conf, "max.poll.interval.ms");
    consumer->cooperative = kafka_properties_contain(conf, "partition.assignment.strategy", "cooperative");
    consumer_partitions_init(&consumer->partitions, options->topics);
    status = consumer_events_init(&consumer->events, err);
    if (status == CV_OK)
        status = start(consumer, conf, err);
    else
        rd_kafka_conf_destroy(conf);
    if (status != CV_OK) {
        consumer_close(consumer);
        return status;
    }
    *out_consumer = consumer;
    return CV_OK;
}

/* ---- messages ---- */

static void release_messages(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->message_count; i++)
        rd_kafka_message_destroy(consumer->messages[i]);
    consumer->message_count = 0;
}

/*
 * Takes messages one by one: rd_kafka_consume_batch_queue() is no cheaper, and when one partition is stopped or paused
 * it may discard the first record of the others that it has in hand (librdkafka 2.8 does).
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
        if (message == NULL)
            break;
        consumer->messages[consumer->message_count++] = message;
        timeout_ms = 0;
    }
    return consumer->message_count;
}

/* ---- close ---- */

static void serve_callbacks(struct consumer *consumer)
{
    (void)take_messages(consumer, 100, 20);
    release_messages(consumer);
}

/* librdkafka clears the member id when it sends LeaveGroup. */
static bool is_member(const struct consumer *consumer)
{
    char *id = rd_kafka_memberid(consumer->rk);
    bool is = id != NULL && id[0] != '\0';

    if (id != NULL)
        rd_kafka_mem_free(consumer->rk, id);
    return is;
}

/*
 * Leaves the group with a deadline: rd_kafka_consumer_close() has none. That call lets a static member stay in the
 * group; one that has unsubscribed before leaves it like any other.
 */
static void leave(struct consumer *consumer)
{
    int64_t deadline_ms = clock_mono_ms() + LEAVE_TIMEOUT_MS;
    bool unsubscribed = consumer->unsubscribes && !rd_kafka_unsubscribe(consumer->rk);

    while (unsubscribed && is_member(consumer) && clock_mono_ms() < deadline_ms)
        serve_callbacks(consumer);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->rk, consumer->queue);
    while (error == NULL && !rd_kafka_consumer_closed(consumer->rk) && clock_mono_ms() < deadline_ms)
        serve_callbacks(consumer);
    rd_kafka_error_destroy(error);
}

static void *shut_down(void *context)
{
    struct consumer *consumer = context;

    if (consumer->queue != NULL) {
        consumer_commit_send(consumer);
        leave(consumer);
        rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(consumer->queue);
    }
    FAIL_POINT("consumer.destroy");
    rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

/*
 * librdkafka may wait indefinitely while it closes: for threads of its own, or in a rebalance callback for the answer
 * of a group that has just ended (its issues 4041 and 4884). All work is committed then, so the process may end without
 * it. False: it still runs, and what its callbacks use has to stay.
 */
static bool shut_down_in_time(struct consumer *consumer)
{
    pthread_t thread;
    int64_t until_us = clock_mono_us() + (int64_t)SHUTDOWN_TIMEOUT_MS * 1000;
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    int code = pthread_create(&thread, NULL, shut_down, consumer);

    if (code != 0) {
        log_warn("kafka: no thread could be started to leave the consumer group (%s); exiting without leaving it: its "
                 "partitions move on after session.timeout.ms",
                 strerror(code));
        return false;
    }
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        return true;
    pthread_detach(thread);
    log_warn("librdkafka did not shut down within %d s; exiting anyway (all work is committed). If the group was not "
             "left, its partitions move on after session.timeout.ms",
             SHUTDOWN_TIMEOUT_MS / 1000);
    return false;
}

void consumer_close(struct consumer *consumer)
{
    if (consumer == NULL)
        return;
    consumer->closing = true;
    release_messages(consumer);
    if (consumer->rk != NULL && !shut_down_in_time(consumer))
        return;
    consumer_events_done(&consumer->events);
    consumer_partitions_done(&consumer->partitions);
    free(consumer->commits.items);
    free(consumer->messages);
    free(consumer);
}

/* ---- poll ---- */

/* An error of one partition, or of the whole consumer when p is NULL. */
static void on_message_error(struct consumer *consumer, const rd_kafka_message_t *message, enum topic topic,
                             struct consumer_partition *p)
{
    const char *text = rd_kafka_message_errstr(message);
    int code = message->err;

    if (p != NULL && (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == LOG_TRUNCATION)) {
        if (!p->running)
            return; /* refers to an earlier start */
        if (code == LOG_TRUNCATION || message->offset == p->next) {
            p->wanted = p->running = false;
            consumer_events_add(&consumer->events, CONSUMER_OUT_OF_RANGE, topic, message->partition, NULL);
        } else {
            consumer_position_restart(consumer, p, 0); /* see consumer_position.c */
        }
        return;
    }
    if (p != NULL && code == RD_KAFKA_RESP_ERR__BAD_MSG && p->running)
        consumer_position_restart(consumer, p, DAMAGED_RETRY_MS); /* the library would continue after it */
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        on_error(consumer->rk, code, text, consumer);
        return;
    }
    consumer_events_add_error(&consumer->events, (rd_kafka_resp_err_t)code, p != NULL ? topic : TOPIC_COUNT,
                              p != NULL ? message->partition : -1, text);
}

/* Where its bytes begin in memory; NULL: it has none. */
static const char *start_of(const rd_kafka_message_t *message)
{
    return message->key != NULL ? message->key : message->payload;
}

/* True when the message makes an event for the caller. */
static bool deliver(struct consumer *consumer, rd_kafka_message_t *message, enum topic topic,
                    struct consumer_event *out)
{
    struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, message->partition);
    bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;

    if (message->err && !is_end) {
        on_message_error(consumer, message, topic, p);
        return false;
    }
    if (p == NULL || !p->running || message->offset < p->next)
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

/* Reports once, after the time limit, that no broker has answered: wrong security settings may cause no error. */
static void check_contact(struct consumer *consumer, int64_t now_ms)
{
    char *line;

    if (consumer->contact_checked || now_ms - consumer->opened_ms < CONTACT_TIMEOUT_MS)
        return;
    consumer->contact_checked = true;
    char *cluster_id = rd_kafka_clusterid(consumer->rk, 0); /* known from the first metadata on */
    bool reached = cluster_id != NULL || consumer->joined;
    if (cluster_id != NULL)
        rd_kafka_mem_free(consumer->rk, cluster_id);
    if (reached)
        return;
    const char *problem = consumer->events.problem;
    if (asprintf(&line,
                 "no broker has answered within %d s (last error: %s); retrying. Check bootstrap.servers, "
                 "security.protocol and the sasl.* and ssl.* properties, and that the network lets this host connect",
                 CONTACT_TIMEOUT_MS / 1000, problem[0] != '\0' ? problem : "none") >= 0)
        consumer_events_add(&consumer->events, CONSUMER_ERROR, TOPIC_COUNT, -1, line);
}

/* Appends the events that callbacks queued. */
static size_t take_events(struct consumer *consumer, struct consumer_event *out_events, size_t max)
{
    size_t n = consumer_events_take(&consumer->events, out_events, max);

    for (size_t i = 0; i < n; i++) {
        const struct record *record = &out_events[i].record;
        if (out_events[i].type != CONSUMER_ASSIGNED)
            continue;
        struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, record->topic,
                                                                record->partition);
        /* Revoked and assigned again before either event was delivered: the later one counts. */
        if (p->owned)
            p->announced = true;
    }
    return n;
}

/*
 * Keeps a librdkafka without fetch.queue.backoff.ms (2.0) fetching. After its queue was full it checks for space again
 * only when a broker thread wakes, a second later, although a worker empties the queue in a fraction of that (measured
 * at 3 µs of work a record: 80,000 instead of 311,000 records/s). Any request to a leader wakes its thread: this one
 * asks for end offsets and ignores the answers. bytes: what the poll took from the queue.
 */
static void keep_fetching(struct consumer *consumer, size_t bytes)
{
    const struct consumer_partitions *partitions = &consumer->partitions;

    consumer->fetching.bytes += bytes;
    if (!consumer->fetching.needed || consumer->fetching.bytes < REQUEST_BYTES ||
        clock_mono_ms() < consumer->fetching.next_at_ms)
        return;
    consumer->fetching.bytes = 0;
    consumer->fetching.next_at_ms = clock_mono_ms() + REQUEST_INTERVAL_MS;

    size_t count = partitions->owned_count < REQUEST_PARTITIONS ? partitions->owned_count : REQUEST_PARTITIONS;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(REQUEST_PARTITIONS);
    for (size_t i = 0; i < count; i++) {
        struct consumer_partition_id id;
        consumer->fetching.at = (consumer->fetching.at + 1) % partitions->owned_count;
        if (!consumer_partitions_owned(partitions, consumer->fetching.at, &id)->running)
            continue;
        const char *name = consumer_partitions_name(partitions, id.topic);
        rd_kafka_topic_partition_list_add(list, name, id.partition)->offset = RD_KAFKA_OFFSET_END;
    }
    if (list->cnt > 0)
        (void)rd_kafka_offsets_for_times(consumer->rk, list, 0); /* always times out: the answers are not awaited */
    rd_kafka_topic_partition_list_destroy(list);
}

size_t consumer_poll(struct consumer *consumer, struct consumer_event *out_events, size_t max)
{
    const rd_kafka_topic_t *handle = NULL;
    enum topic topic = TOPIC_COUNT;
    size_t n = 0, bytes = 0;
    int64_t now_ms = clock_mono_ms();

    release_messages(consumer);
    consumer_events_release(&consumer->events);
    consumer_position_start_wanted(consumer);
    consumer_commit_send_when_due(consumer, now_ms);
    check_contact(consumer, now_ms);

    /* Pending events keep their places: records can fill the rest. Callbacks run in take_messages(). */
    size_t pending = consumer->events.pending_count;
    size_t room = max > pending ? max - pending : 0;
    size_t taken = room > 0 ? take_messages(consumer, room, 0) : 0;
    for (size_t i = 0; i < taken; i++) {
        rd_kafka_message_t *message = consumer->messages[i];
        if (message->rkt != handle) { /* its messages hold a handle, so in one batch it is always the same topic's */
            handle = message->rkt;
            topic = handle != NULL ? consumer_partitions_topic(&consumer->partitions, rd_kafka_topic_name(handle))
                                   : TOPIC_COUNT;
        }
        bytes += message->len + message->key_len;
        if (!deliver(consumer, message, topic, &out_events[n]))
            continue;
        if (i + 1 < taken)
            out_events[n].record.behind = start_of(consumer->messages[i + 1]);
        n++;
    }
    keep_fetching(consumer, bytes);
    n += take_events(consumer, out_events + n, max - n);
    /* librdkafka signals only when its queue becomes non-empty: messages left in it, or here, are signalled by us. */
    if (taken == room || consumer->events.pending_count > 0)
        consumer_events_wake(&consumer->events);
    return n;
}

bool consumer_has_joined(const struct consumer *consumer)
{
    return consumer->joined;
}

void consumer_figures(const struct consumer *consumer, struct consumer_figures *out_figures)
{
    *out_figures = consumer->figures;
}

int consumer_poll_within_ms(const struct consumer *consumer)
{
    return consumer->max_poll_interval_ms;
}

int consumer_fd(const struct consumer *consumer)
{
    return consumer->events.fd;
}

void consumer_fd_drain(struct consumer *consumer)
{
    consumer_events_drain(&consumer->events);
}

int64_t consumer_end_offset(struct consumer *consumer, enum topic topic, int32_t partition)
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

/* ---- functions of other files ---- */

enum cv_status consumer_position(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset,
                                 struct err *err)
{
    return consumer_position_set(consumer, topic, partition, next_offset, err);
}

void consumer_pause(struct consumer *consumer, enum topic topic, int32_t partition)
{
    consumer_position_pause(consumer, topic, partition);
}

enum cv_status consumer_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                   int64_t *out_low, int64_t *out_high, struct err *err)
{
    return consumer_query_watermarks(consumer, topic, partition, timeout_ms, out_low, out_high, err);
}

enum cv_status consumer_partition_count(struct consumer *consumer, enum topic topic, int timeout_ms, int32_t *out_count,
                                        struct err *err)
{
    return consumer_query_partition_count(consumer, topic, timeout_ms, out_count, err);
}

enum cv_status consumer_is_compacted(struct consumer *consumer, enum topic topic, int timeout_ms, bool *out_compacted,
                                     struct err *err)
{
    return consumer_query_is_compacted(consumer, topic, timeout_ms, out_compacted, err);
}

void consumer_commit(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset)
{
    consumer_commit_add(consumer, topic, partition, next_offset);
}
