#include "workers/source/consumer_rebalance.h"

#include <inttypes.h>

#include "caseview/log.h"
#include "workers/source/consumer_commit.h"

/* Time for the caller to finish a batch before its partitions are released; none if they are already lost. */
#define REVOKE_BUDGET_MS 2000

static void log_error_of(rd_kafka_error_t *error, const char *call)
{
    if (error == NULL)
        return;
    log_warn("kafka: %s after a rebalance failed: %s", call, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

static void release(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *assigned = rd_kafka_topic_partition_list_new(list->cnt);

    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        enum topic topic = consumer_partitions_topic(&consumer->partitions, one->topic);
        const struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, one->partition);
        if (p == NULL || !p->owned)
            continue;
        if (p->assigned)
            rd_kafka_topic_partition_list_add(assigned, one->topic, one->partition);
        consumer_partitions_remove(&consumer->partitions, topic, one->partition);
        if (!consumer->closing)
            consumer_events_add(&consumer->events, CONSUMER_REVOKED, topic, one->partition, NULL);
    }
    if (consumer->cooperative)
        log_error_of(rd_kafka_incremental_unassign(consumer->rk, assigned), "incremental unassign");
    rd_kafka_topic_partition_list_destroy(assigned);
}

/* Not called when none of them is ours any more, and not while closing. */
static void call_before_revoke(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list, bool lost)
{
    CV_CLEANUP(cv_free_ptr) struct consumer_partition_id *revoked = cv_alloc(((size_t)list->cnt + 1) * sizeof *revoked);
    size_t count = 0;

    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        enum topic topic = consumer_partitions_topic(&consumer->partitions, one->topic);
        const struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, one->partition);
        if (p != NULL && p->owned)
            revoked[count++] = (struct consumer_partition_id){topic, one->partition};
    }
    if (count > 0 && !consumer->closing)
        consumer->before_revoke(consumer->context, revoked, count, lost, lost ? 0 : REVOKE_BUDGET_MS);
}

void consumer_rebalance_lose_all(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);

    for (size_t i = 0; i < consumer->partitions.owned_count; i++) {
        struct consumer_partition_id id = consumer->partitions.owned[i];
        rd_kafka_topic_partition_list_add(list, consumer_partitions_name(&consumer->partitions, id.topic),
                                          id.partition);
    }
    call_before_revoke(consumer, list, true);
    release(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/*
 * Answers the group without starting anything: librdkafka's assignment holds only partitions that have a position
 * (consumer_position.c). The empty list tells the library that the callback has done its part.
 *
 * An assignment of the eager protocol replaces the one before. librdkafka does not always revoke that one first: not
 * when it learns of new partitions before the callback for the previous assignment was answered (revoke_all_rejoin in
 * its rdkafka_cgrp.c). Another member may have had our partitions in between, so they count as lost.
 */
static void on_assign(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);

    if (!consumer->cooperative)
        consumer_rebalance_lose_all(consumer);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        enum topic topic = consumer_partitions_topic(&consumer->partitions, one->topic);
        if (consumer_partitions_add(&consumer->partitions, topic, one->partition))
            consumer_events_add(&consumer->events, CONSUMER_ASSIGNED, topic, one->partition, NULL);
        else /* the assignment comes from another member: a fault in it must not stop us */
            log_warn("kafka: the group assigned %s [%" PRId32
                     "], which is no topic of this worker or assigned already; "
                     "ignored. Check that no other program uses this group id",
                     one->topic, one->partition);
    }
    if (consumer->cooperative) {
        log_error_of(rd_kafka_incremental_assign(consumer->rk, none), "incremental assign");
    } else {
        rd_kafka_resp_err_t code = rd_kafka_assign(consumer->rk, none);
        if (code)
            log_warn("kafka: assign after a rebalance failed: %s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(none);
}

void consumer_rebalance_on_change(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                                  void *opaque)
{
    struct consumer *consumer = opaque;

    if (rd_kafka_consumer_closed(rk))
        return; /* the group has ended: no answer is awaited */
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !consumer->closing) {
        consumer->joined = true;
        consumer->figures.assignments++;
        on_assign(consumer, list);
        return;
    }
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        call_before_revoke(consumer, list, rd_kafka_assignment_lost(rk));
    consumer_commit_send(consumer);
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        release(consumer, list);
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        log_warn("kafka: rebalance failed: %s", rd_kafka_err2str(code));
    /* Eager: everything is released at once, also what was never started. */
    if (!consumer->cooperative)
        (void)rd_kafka_assign(rk, NULL);
}
