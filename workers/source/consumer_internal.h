/*
 * consumer_internal.h: what the consumer's files share. Nobody else includes it.
 *
 *   consumer.c            open, poll, close
 *   consumer_conf.c       properties: ours, the user's, the fixed ones
 *   consumer_rebalance.c  what the group gives and takes
 *   consumer_position.c   positions: the one way a partition starts to flow
 *   consumer_events.c     events that callbacks leave for the next poll; errors and log lines, rate-limited
 *   consumer_query.c      questions to the brokers: watermarks, partition count, compaction
 *   consumer_headers.c    a record's headers as JSON
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_INTERNAL_H
#define CASEVIEW_SOURCE_CONSUMER_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "workers/source/consumer.h"

/* How long the caller may take to finish a batch before its partitions are given up; none when they are lost already.
 */
#define REVOKE_BUDGET_MS 2000
/* consumer_close() leaves the group within this time, or without its leave. */
#define CLOSE_TIMEOUT_MS 5000
/* … and does without librdkafka's own end after this. */
#define END_TIMEOUT_MS (2 * CLOSE_TIMEOUT_MS)
/* Commits are told to the group this often at most. */
#define COMMIT_INTERVAL_MS 1000

/* How long a full queue stops the fetching; the first versions have no such property, and a second there. */
#define FETCH_QUEUE_BACKOFF "fetch.queue.backoff.ms"

/*
 * One partition. It is `owned` from the group's word on, `announced` once the caller was told, `wanted` from
 * consumer_position() on, and `running` once librdkafka was started at `next`: only then anything of it is delivered.
 */
struct consumer_partition {
    bool owned, announced, wanted, running;
    bool assigned;       /* part of librdkafka's assignment, running or not */
    bool paused;         /* paused there */
    int64_t next;        /* nothing below it is delivered */
    int64_t end_offset;  /* last stable offset as last heard, -1: not yet */
    int64_t start_at_ms; /* not started again before */
    int64_t commit_next; /* to be told to the group, -1: nothing new */
};

struct consumer_topic {
    char *name;
    struct consumer_partition *partitions;
    int32_t count; /* length of partitions, grows with the highest number seen */
};

/* Left by a callback, delivered by consumer_poll(). */
struct consumer_pending {
    enum consumer_event_type type;
    enum topic topic;
    int32_t partition;
    char *text; /* owned, or NULL */
};

/* One kind of message that must not flood: shown at once, then at doubling intervals while it goes on. */
struct consumer_limit {
    int key;
    int interval_ms;
    int64_t next_at_ms;
    unsigned suppressed;
};

struct consumer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int event_fd;
    struct consumer_topic topics[TOPIC_COUNT];
    consumer_before_revoke before_revoke;
    void *context;
    bool closing;
    bool joined;  /* the group has assigned something, or nothing */
    bool restart; /* some partition is wanted and not running */
    int64_t restart_at_ms;

    bool fetch_sleeps; /* see consumer_keep_fetching() */
    int poll_within_ms;
    bool cooperative; /* the group's protocol; asking librdkafka for it may wait for ever while it is closed */
    size_t nudge_bytes;
    int64_t nudge_at_ms;
    rd_kafka_message_t **messages; /* lent to the caller until the next poll */
    size_t message_count, message_cap;
    struct consumer_pending *pending;
    size_t pending_count, pending_cap;
    struct consumer_pending *told; /* delivered by the last poll: owners of its texts */
    size_t told_count, told_cap;
    struct consumer_limit limits[16];
    int64_t commit_at_ms;
    uint64_t commits_failed;
};

/* consumer_conf.c: CV_OK or CV_FATAL. in_group: with group and subscription, else for questions only. */
enum cv_status consumer_conf_new(const struct consumer_options *options, bool in_group, rd_kafka_conf_t **out_conf,
                                 struct err *err) CV_MUST_CHECK;

int consumer_conf_int(const rd_kafka_conf_t *conf, const char *property);
bool consumer_conf_is_cooperative(const rd_kafka_conf_t *conf);
/* True when the library knows the property. */
bool consumer_conf_knows(const char *property);

/* consumer_events.c. text is taken over. */
void consumer_push(struct consumer *consumer, enum consumer_event_type type, enum topic topic, int32_t partition,
                   char *text);
/* Pushes CONSUMER_ERROR unless the same kind was pushed a moment ago. topic TOPIC_COUNT: none. */
void consumer_push_error(struct consumer *consumer, rd_kafka_resp_err_t code, enum topic topic, int32_t partition,
                         const char *text);
size_t consumer_take_events(struct consumer *consumer, struct consumer_event *out_events, size_t max);
void consumer_forget_told(struct consumer *consumer);
void consumer_wake(struct consumer *consumer); /* makes consumer_fd() readable */
void consumer_on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque);
void consumer_on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);
int consumer_on_stats(rd_kafka_t *rk, char *json, size_t len, void *opaque);

/* consumer_rebalance.c */
void consumer_send_commits(struct consumer *consumer);
void consumer_on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);
void consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                           void *opaque);
/* As if the group had taken all away and given it to others: the client is dead. */
void consumer_lose_all(struct consumer *consumer);

/* consumer_position.c */
void consumer_start_wanted(struct consumer *consumer);
/* Starts it once more where it stands, after delay_ms. */
void consumer_start_again(struct consumer *consumer, struct consumer_partition *p, int delay_ms);

/*
 * consumer_query.c. which: RD_KAFKA_OFFSET_BEGINNING or _END, of all partitions of the list at once; each element then
 * has its offset or its err.
 */
rd_kafka_resp_err_t consumer_ask_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int64_t which,
                                         int timeout_ms) CV_MUST_CHECK;
/* Wakes the library's fetching now and then; bytes: what a poll took from its queue. */
void consumer_keep_fetching(struct consumer *consumer, size_t bytes);
enum cv_status consumer_first_offset(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                     int64_t *out_low, struct err *err) CV_MUST_CHECK;

/* NULL when the topic has no such partition as far as we know. */
struct consumer_partition *consumer_find(struct consumer *consumer, enum topic topic, int32_t partition);
struct consumer_partition *consumer_find_or_add(struct consumer *consumer, enum topic topic, int32_t partition);
enum topic consumer_topic_of(const struct consumer *consumer, const char *name); /* TOPIC_COUNT: not ours */

#endif
