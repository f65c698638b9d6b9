#include <assert.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "workers/source/consumer_internal.h"

static void report(struct consumer *consumer, rd_kafka_error_t *error, const char *call)
{
    if (!error)
        return;
    log_warn("kafka: %s: %s", call, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    (void)consumer;
}

/*
 * Answers the group without starting anything: librdkafka's assignment holds only partitions that have a position
 * (consumer_position.c). The empty list is what tells the library that the callback did its part.
 */
static void on_assign(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);

    for (int i = 0; i < list->cnt; i++) {
        enum topic topic = consumer_topic_of(consumer, list->elems[i].topic);
        assert(topic != TOPIC_COUNT); /* the group gives what was subscribed */
        struct consumer_partition *p = consumer_find_or_add(consumer, topic, list->elems[i].partition);
        assert(!p->assigned);
        *p = (struct consumer_partition){.owned = true, .paused = p->paused, .end_offset = -1, .commit_next = -1};
        consumer_push(consumer, CONSUMER_ASSIGNED, topic, list->elems[i].partition, NULL);
    }
    if (consumer->cooperative) {
        report(consumer, rd_kafka_incremental_assign(consumer->rk, none), "incremental assign");
    } else {
        rd_kafka_resp_err_t code = rd_kafka_assign(consumer->rk, none);
        if (code)
            log_warn("kafka: assign: %s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(none);
}

static void give_up(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *ours = rd_kafka_topic_partition_list_new(list->cnt);

    for (int i = 0; i < list->cnt; i++) {
        enum topic topic = consumer_topic_of(consumer, list->elems[i].topic);
        struct consumer_partition *p = consumer_find(consumer, topic, list->elems[i].partition);
        if (!p || !p->owned)
            continue;
        if (p->assigned)
            rd_kafka_topic_partition_list_add(ours, list->elems[i].topic, list->elems[i].partition);
        *p = (struct consumer_partition){.paused = p->paused, .end_offset = -1, .commit_next = -1};
        if (!consumer->closing)
            consumer_push(consumer, CONSUMER_REVOKED, topic, list->elems[i].partition, NULL);
    }
    if (consumer->cooperative)
        report(consumer, rd_kafka_incremental_unassign(consumer->rk, ours), "incremental unassign");
    rd_kafka_topic_partition_list_destroy(ours);
}

/* Not when nothing of it is the caller's any more, and not while closing. */
static void tell_before_revoke(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list, bool lost)
{
    CV_CLEANUP(cv_free_ptr) struct consumer_taken *taken = cv_alloc(((size_t)list->cnt + 1) * sizeof *taken);
    size_t count = 0;

    for (int i = 0; i < list->cnt; i++) {
        enum topic topic = consumer_topic_of(consumer, list->elems[i].topic);
        const struct consumer_partition *p = consumer_find(consumer, topic, list->elems[i].partition);
        if (p && p->owned)
            taken[count++] = (struct consumer_taken){topic, list->elems[i].partition};
    }
    if (count > 0 && !consumer->closing)
        consumer->before_revoke(consumer->context, taken, count, lost, lost ? 0 : REVOKE_BUDGET_MS);
}

void consumer_lose_all(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (enum topic t = 0; t < TOPIC_COUNT; t++)
        for (int32_t i = 0; i < consumer->topics[t].count; i++)
            if (consumer->topics[t].partitions[i].owned)
                rd_kafka_topic_partition_list_add(list, consumer->topics[t].name, i);
    tell_before_revoke(consumer, list, true);
    give_up(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                           void *opaque)
{
    struct consumer *consumer = opaque;

    if (rd_kafka_consumer_closed(rk))
        return; /* the group has ended and answers nobody any more */
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !consumer->closing) {
        consumer->joined = true;
        on_assign(consumer, list);
        return;
    }
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        tell_before_revoke(consumer, list, rd_kafka_assignment_lost(rk));
    consumer_send_commits(consumer);
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        give_up(consumer, list);
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        log_warn("kafka: rebalance failed: %s", rd_kafka_err2str(code));
    /* Eager: all is given up at once, what was never started too. */
    if (!consumer->cooperative)
        (void)rd_kafka_assign(rk, NULL);
}

void consumer_commit(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset)
{
    struct consumer_partition *p = consumer_find(consumer, topic, partition);

    if (p && p->owned)
        p->commit_next = next_offset;
}

void consumer_send_commits(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        for (int32_t i = 0; i < consumer->topics[t].count; i++) {
            struct consumer_partition *p = &consumer->topics[t].partitions[i];
            if (!p->owned || p->commit_next < 0)
                continue;
            rd_kafka_topic_partition_list_add(list, consumer->topics[t].name, i)->offset = p->commit_next;
            p->commit_next = -1;
        }
    }
    if (list->cnt > 0 && rd_kafka_commit(consumer->rk, list, 1 /* do not wait */))
        consumer->commits_failed++;
    rd_kafka_topic_partition_list_destroy(list);
    consumer->commit_at_ms = clock_mono_ms() + COMMIT_INTERVAL_MS;
}

void consumer_on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct consumer *consumer = opaque;

    (void)rk;
    (void)list;
    if (code && code != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        consumer->commits_failed++;
        log_debug("kafka: commit: %s", rd_kafka_err2str(code));
    }
}
