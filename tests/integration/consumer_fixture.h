/*
 * consumer_fixture.h: a Kafka cluster for the consumer's tests, and a group member that checks what is delivered to it.
 *
 * Without CASEVIEW_TEST_KAFKA it is librdkafka's mock cluster in this process; with it (HOST:PORT) a real broker, with
 * topics and a group of the test's own. Every wait has a deadline; a wait that fails ends the test.
 */
#ifndef CONSUMER_FIXTURE_H
#define CONSUMER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "caseview/clock.h"
#include "workers/source/consumer.h"

#define PARTITIONS_MAX 8
#define WAIT_MS        30000

struct fixture {
    rd_kafka_t *rk;                /* produces, administers, and hosts the mock cluster */
    rd_kafka_mock_cluster_t *mock; /* NULL: a real broker */
    char servers[256];
    char topics[TOPIC_COUNT][64];
    char group[64];
};

/* A member's state of a partition. Every record is checked against `next`: none is lost or delivered twice. */
struct seen {
    bool assigned, positioned, out_of_range;
    int64_t next, eof;
    int records, assigns, revokes;
};

struct member {
    struct consumer *consumer;
    struct seen seen[TOPIC_COUNT][PARTITIONS_MAX];
    int before_revokes, losts, errors, fatals, budget_ms;
    int announced_revokes[TOPIC_COUNT][PARTITIONS_MAX]; /* number of times that before_revoke named each */
    char error[512];
    bool gaps; /* offsets need not be contiguous, nor values be offsets */
};

static inline struct fixture *fixture_open(int partitions)
{
    static int number;
    struct fixture *f = calloc(1, sizeof *f);
    const char *real = getenv("CASEVIEW_TEST_KAFKA");
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    if (real)
        assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", real, text, sizeof text), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "linger.ms", "2", text, sizeof text), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "message.max.bytes", "40000000", text, sizeof text), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "topic.metadata.refresh.interval.ms", "300", text, sizeof text),
                     RD_KAFKA_CONF_OK);
    f->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(f->rk);
    if (real) {
        snprintf(f->servers, sizeof f->servers, "%s", real);
    } else {
        f->mock = rd_kafka_mock_cluster_new(f->rk, 1);
        snprintf(f->servers, sizeof f->servers, "%s", rd_kafka_mock_cluster_bootstraps(f->mock));
        assert_true(rd_kafka_brokers_add(f->rk, f->servers) > 0);
    }
    number++;
    for (int t = 0; t < TOPIC_COUNT; t++)
        snprintf(f->topics[t], sizeof f->topics[t], "t%d-%lld-%d", t, (long long)clock_wall_us(), number);
    snprintf(f->group, sizeof f->group, "g-%lld-%d", (long long)clock_wall_us(), number);
    void fixture_create_topic(struct fixture *, enum topic, int);
    for (int t = 0; partitions > 0 && t < TOPIC_COUNT; t++)
        fixture_create_topic(f, (enum topic)t, partitions);
    return f;
}

/* Waits for an admin request and fails the test on any error in its answer. */
static inline void admin_done(struct fixture *f, rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    size_t n = 0;

    (void)f;
    assert_non_null(event);
    assert_string_equal(rd_kafka_event_error_string(event), "Success");
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
            rd_kafka_event_CreateTopics_result(event), &n);
        assert_int_equal(rd_kafka_topic_result_error(results[0]), 0);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
}

void fixture_create_topic(struct fixture *f, enum topic topic, int partitions);
void fixture_create_topic(struct fixture *f, enum topic topic, int partitions)
{
    char text[256];

    if (f->mock) {
        assert_int_equal(rd_kafka_mock_topic_create(f->mock, f->topics[topic], partitions, 1), 0);
        return;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(f->rk);
    rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(f->topics[topic], partitions, 1, text, sizeof text);
    assert_int_equal(rd_kafka_NewTopic_set_config(new_topic, "max.message.bytes", "40000000"), 0);
    rd_kafka_CreateTopics(f->rk, &new_topic, 1, NULL, queue);
    admin_done(f, queue);
    rd_kafka_NewTopic_destroy(new_topic);
}

/* Gives a topic of a real broker cleanup.policy=compact. */
static inline void fixture_compact(struct fixture *f, enum topic topic)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(f->rk);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, f->topics[topic]);

    assert_int_equal(rd_kafka_ConfigResource_set_config(resource, "cleanup.policy", "compact"), 0);
    rd_kafka_AlterConfigs(f->rk, &resource, 1, NULL, queue);
    admin_done(f, queue);
    rd_kafka_ConfigResource_destroy(resource);
}

/* Removes the records before `offset` from a partition of a real broker. */
static inline void fixture_trim(struct fixture *f, enum topic topic, int partition, int64_t offset)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(f->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, f->topics[topic], partition)->offset = offset;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(f->rk, &request, 1, NULL, queue);
    admin_done(f, queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Adds partitions to a topic of a real broker. */
static inline void fixture_grow(struct fixture *f, enum topic topic, int partitions)
{
    char text[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(f->rk);
    rd_kafka_NewPartitions_t *request = rd_kafka_NewPartitions_new(f->topics[topic], (size_t)partitions, text,
                                                                   sizeof text);

    rd_kafka_CreatePartitions(f->rk, &request, 1, NULL, queue);
    admin_done(f, queue);
    rd_kafka_NewPartitions_destroy(request);
}

static inline void fixture_close(struct fixture *f)
{
    if (f->mock)
        rd_kafka_mock_cluster_destroy(f->mock);
    rd_kafka_destroy(f->rk);
    free(f);
}

/* Appends n records whose value is their offset's decimal, given that the partition already has `from` of them. */
static inline void produce(struct fixture *f, enum topic topic, int partition, int64_t from, int n)
{
    int64_t give_up = clock_mono_ms() + WAIT_MS;

    for (int i = 0; i < n; i++) {
        char value[32], key[16];
        int length = snprintf(value, sizeof value, "%lld", (long long)(from + i));
        int key_length = snprintf(key, sizeof key, "k%d", i % 7);
        rd_kafka_resp_err_t code;
        do {
            code = rd_kafka_producev(f->rk, RD_KAFKA_V_TOPIC(f->topics[topic]), RD_KAFKA_V_PARTITION(partition),
                                     RD_KAFKA_V_VALUE(value, (size_t)length), RD_KAFKA_V_KEY(key, (size_t)key_length),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
            /* The queue is full, or the producer does not know a new partition yet. */
            if (code)
                rd_kafka_poll(f->rk, 10);
        } while (code && clock_mono_ms() < give_up);
        assert_int_equal(code, 0);
    }
    assert_int_equal(rd_kafka_flush(f->rk, WAIT_MS), 0);
}

static inline void on_before_revoke(void *context, const struct consumer_partition_id *revoked, size_t count, bool lost,
                                    int budget_ms)
{
    struct member *m = context;

    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        m->announced_revokes[revoked[i].topic][revoked[i].partition]++;
    m->before_revokes++;
    m->losts += lost;
    m->budget_ms = budget_ms;
}

/* extra: NULL-terminated name, value, name, value … how: what is not the same for all members of the fixture. */
static inline struct member *member_open_with(struct fixture *f, struct consumer_options how, const char *const *extra)
{
    struct member *m = calloc(1, sizeof *m);
    struct config_property properties[16] = {
        {"bootstrap.servers", f->servers}, {"topic.metadata.refresh.interval.ms", "300"}, {"fetch.wait.max.ms", "50"}};
    size_t n = 3;
    struct err err = ERR_INIT;

    for (; extra && extra[0]; extra += 2)
        properties[n++] = (struct config_property){extra[0], extra[1]};
    struct consumer_options options = {.properties = properties,
                                       .property_count = n,
                                       .topics = {f->topics[0], f->topics[1], f->topics[2]},
                                       .group_id = f->group,
                                       .group_instance_id = how.group_instance_id,
                                       .leave_group = how.leave_group,
                                       .client_id = "test",
                                       .queue_bytes = how.queue_bytes};
    enum cv_status status = consumer_open(&options, on_before_revoke, m, &m->consumer, &err);
    if (status != CV_OK)
        fail_msg("consumer_open: %s", err.text);
    return m;
}

static inline struct member *member_open(struct fixture *f, const char *instance, const char *const *extra)
{
    return member_open_with(f, (struct consumer_options){.group_instance_id = instance}, extra);
}

static inline void member_close(struct member *m)
{
    consumer_close(m->consumer);
    free(m);
}

static inline void check_record(struct member *m, struct seen *s, const struct record *r)
{
    char value[32];

    assert_true(s->assigned && s->positioned);
    if (r->offset != s->next && !(m->gaps && r->offset > s->next))
        fail_msg("topic %d [%d]: offset %lld where %lld is next", (int)r->topic, r->partition, (long long)r->offset,
                 (long long)s->next);
    if (!m->gaps) {
        snprintf(value, sizeof value, "%lld", (long long)r->offset);
        assert_int_equal(r->value.len, strlen(value));
        assert_memory_equal(r->value.ptr, value, r->value.len);
    }
    s->next = r->offset + 1;
    s->records++;
}

static inline void take(struct member *m, const struct consumer_event *e)
{
    struct seen *s = e->record.topic < TOPIC_COUNT && e->record.partition >= 0
                         ? &m->seen[e->record.topic][e->record.partition]
                         : NULL;
    switch (e->type) {
    case CONSUMER_RECORD:
        check_record(m, s, &e->record);
        return;
    case CONSUMER_EOF:
        assert_true(s->assigned && s->positioned && e->record.offset >= s->next);
        s->eof = s->next = e->record.offset;
        return;
    case CONSUMER_ASSIGNED:
        assert_false(s->assigned);
        *s = (struct seen){.assigned = true, .eof = -1, .assigns = s->assigns + 1, .revokes = s->revokes};
        return;
    case CONSUMER_REVOKED:
        assert_true(s->assigned);
        s->assigned = s->positioned = false;
        s->revokes++;
        return;
    case CONSUMER_OUT_OF_RANGE:
        assert_true(s->assigned && s->positioned);
        s->positioned = false;
        s->out_of_range = true;
        return;
    case CONSUMER_ERROR:
        m->errors++;
        snprintf(m->error, sizeof m->error, "%s", e->text);
        return;
    case CONSUMER_FATAL:
        m->fatals++;
        snprintf(m->error, sizeof m->error, "%s", e->text);
        return;
    }
}

/* One iteration of the worker's loop: wait for the descriptor, drain it, poll. */
static inline size_t turn(struct member *m, int timeout_ms, size_t max)
{
    struct consumer_event events[512];
    size_t n;

    void wait_readable(int, int);
    wait_readable(consumer_fd(m->consumer), timeout_ms);
    consumer_fd_drain(m->consumer);
    n = consumer_poll(m->consumer, events, max < 512 ? max : 512);
    for (size_t i = 0; i < n; i++)
        take(m, &events[i]);
    return n;
}

#include <poll.h>

void wait_readable(int fd, int timeout_ms);
void wait_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    (void)poll(&p, 1, timeout_ms);
}

/* Iterates all members until the condition holds. */
#define UNTIL(condition, ...)                                                                         \
    do {                                                                                              \
        struct member *members_[] = {__VA_ARGS__};                                                    \
        int64_t deadline_ = clock_mono_ms() + WAIT_MS;                                                \
        while (!(condition)) {                                                                        \
            for (size_t i_ = 0; i_ < ARRAY_LEN(members_); i_++)                                       \
                turn(members_[i_], ARRAY_LEN(members_) > 1 ? 5 : 20, 512);                            \
            if (clock_mono_ms() > deadline_)                                                          \
                fail_msg("waited too long for: %s (last error: %s)", #condition, members_[0]->error); \
        }                                                                                             \
    } while (0)

/* Iterates the member for a while, to check that something does not happen. */
static inline void for_ms(struct member *m, int ms)
{
    for (int64_t end = clock_mono_ms() + ms; clock_mono_ms() < end;)
        turn(m, 20, 512);
}

static inline int assigned(const struct member *m)
{
    int n = 0;

    for (int t = 0; t < TOPIC_COUNT; t++)
        for (int p = 0; p < PARTITIONS_MAX; p++)
            n += m->seen[t][p].assigned;
    return n;
}

static inline void position(struct member *m, enum topic topic, int partition, int64_t next)
{
    struct err err = ERR_INIT;
    struct seen *s = &m->seen[topic][partition];

    if (consumer_position(m->consumer, topic, partition, next, &err) != CV_OK)
        fail_msg("consumer_position: %s", err.text);
    s->positioned = true;
    s->out_of_range = false;
    s->next = next == CONSUMER_BEGINNING ? 0 : next;
    s->eof = -1;
    s->records = 0;
}

#endif
