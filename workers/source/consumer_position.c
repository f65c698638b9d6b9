#include <assert.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "workers/source/consumer_internal.h"

/*
 * How a partition starts.
 *
 * There is one way: the partitions that have a position are assigned to librdkafka with absolute offsets; to set a
 * position, they are taken out and put in again. A partition without a position is in no assignment, so nothing is
 * fetched for it. Of the alternatives:
 *
 * - rd_kafka_seek_partitions() works only on a fetcher that runs. After an offset out of range the fetcher is dead
 *   (ERR__STATE), before its start too, and an answer to a fetch sent before the seek may kill it after the seek: the
 *   library resets it without a look at the version.
 * - A logical start (BEGINNING, STORED) asks the broker; when a seek or stop overtakes the answer, librdkafka 2.0 asks
 *   again 500 ms later and jumps there in mid-flow. So BEGINNING is resolved here, and only absolute offsets are given.
 *
 * Why no record of before a start comes after it: each stop and start takes a new version of the partition
 * (rktp_version in librdkafka), and rd_kafka_consume_queue() throws away every record and end-of-partition mark that
 * was fetched under an older one, at the moment it is taken from the queue. Partitions are stopped and started between
 * two polls or in a callback of one, so nothing older is in hand then but what `running` keeps back. The stop's version
 * is taken by the library's main thread before rd_kafka_assign() returns, since it answers the call only after serving
 * the removals. The fetcher starts from the offset given, under the start's version, so nothing in between is lost
 * either. What the library cannot get wrong is kept here as well: nothing is delivered while `running` is false, and
 * nothing below `next`.
 *
 * Only errors carry no version. RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET may speak of an earlier start, so it counts as an
 * answer to this one only if it names our own `next`; else the partition is started again (consumer.c).
 *
 * The list given first is empty, not NULL: NULL would also answer a revocation that waits in the queue, before the
 * caller heard of it.
 *
 * All running partitions start anew when one does (the eager protocol knows no other way); what they had fetched ahead
 * is fetched again. Positions are set at a start and in recovery, and set together they cost one restart, at the next
 * poll.
 */

#define LOW_TIMEOUT_MS 1000
#define AGAIN_AFTER_MS 200

static bool must_move(const struct consumer_partition *p, bool cooperative)
{
    return !cooperative || (p->wanted && !p->running);
}

static rd_kafka_resp_err_t code_of(rd_kafka_error_t *error)
{
    rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;

    rd_kafka_error_destroy(error);
    return code;
}

/* Takes out of librdkafka's assignment what is to be started anew. From here on nothing of it is delivered. */
static rd_kafka_resp_err_t take_out(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    rd_kafka_resp_err_t code;

    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        for (int32_t i = 0; i < consumer->topics[t].count; i++) {
            struct consumer_partition *p = &consumer->topics[t].partitions[i];
            if (!p->assigned || !must_move(p, consumer->cooperative))
                continue;
            p->running = false;
            if (consumer->cooperative)
                rd_kafka_topic_partition_list_add(list, consumer->topics[t].name, i);
        }
    }
    if (consumer->cooperative)
        code = list->cnt ? code_of(rd_kafka_incremental_unassign(consumer->rk, list)) : RD_KAFKA_RESP_ERR_NO_ERROR;
    else
        code = rd_kafka_assign(consumer->rk, list);
    for (enum topic t = 0; !code && t < TOPIC_COUNT; t++) {
        for (int32_t i = 0; i < consumer->topics[t].count; i++) {
            struct consumer_partition *p = &consumer->topics[t].partitions[i];
            if (must_move(p, consumer->cooperative))
                p->assigned = false;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static void resume(struct consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(list->cnt);

    for (int i = 0; i < list->cnt; i++) {
        enum topic topic = consumer_topic_of(consumer, list->elems[i].topic);
        struct consumer_partition *p = consumer_find(consumer, topic, list->elems[i].partition);
        if (p->paused)
            rd_kafka_topic_partition_list_add(paused, list->elems[i].topic, list->elems[i].partition);
        p->paused = false;
    }
    /* The pause outlives the assignment. A partition unknown to the library was never paused: no error to look at. */
    if (paused->cnt > 0)
        (void)rd_kafka_resume_partitions(consumer->rk, paused);
    rd_kafka_topic_partition_list_destroy(paused);
}

static rd_kafka_resp_err_t put_in(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    int64_t now = clock_mono_ms();

    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        for (int32_t i = 0; i < consumer->topics[t].count; i++) {
            struct consumer_partition *p = &consumer->topics[t].partitions[i];
            if (!p->owned || !p->wanted || p->assigned)
                continue;
            if (p->start_at_ms <= now) {
                rd_kafka_topic_partition_list_add(list, consumer->topics[t].name, i)->offset = p->next;
            } else {
                consumer->restart = true;
                if (p->start_at_ms < consumer->restart_at_ms)
                    consumer->restart_at_ms = p->start_at_ms;
            }
        }
    }
    resume(consumer, list);
    if (list->cnt > 0)
        code = consumer->cooperative ? code_of(rd_kafka_incremental_assign(consumer->rk, list))
                                     : rd_kafka_assign(consumer->rk, list);
    for (int i = 0; !code && i < list->cnt; i++) {
        enum topic topic = consumer_topic_of(consumer, list->elems[i].topic);
        struct consumer_partition *p = consumer_find(consumer, topic, list->elems[i].partition);
        p->assigned = p->running = true;
        p->end_offset = -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

void consumer_start_wanted(struct consumer *consumer)
{
    if (!consumer->restart || clock_mono_ms() < consumer->restart_at_ms)
        return;
    consumer->restart = false;
    consumer->restart_at_ms = INT64_MAX;

    rd_kafka_resp_err_t code = take_out(consumer);
    if (!code)
        code = put_in(consumer);
    if (code) {
        consumer->restart = true;
        consumer->restart_at_ms = clock_mono_ms() + AGAIN_AFTER_MS;
        consumer_push_error(consumer, code, TOPIC_COUNT, -1, "positions could not be set, trying again");
    }
}

static void want_restart(struct consumer *consumer, int64_t at_ms)
{
    if (!consumer->restart || at_ms < consumer->restart_at_ms)
        consumer->restart_at_ms = at_ms;
    consumer->restart = true;
    consumer_wake(consumer);
}

void consumer_start_again(struct consumer *consumer, struct consumer_partition *p, int delay_ms)
{
    p->running = false;
    p->start_at_ms = clock_mono_ms() + delay_ms;
    want_restart(consumer, p->start_at_ms);
}

enum cv_status consumer_position(struct consumer *consumer, enum topic topic, int32_t partition, int64_t next_offset,
                                 struct err *err)
{
    struct consumer_partition *p = consumer_find(consumer, topic, partition);

    assert(next_offset >= 0 || next_offset == CONSUMER_BEGINNING);
    if (!p || !p->owned || !p->announced) {
        err_set(err, "%s [%d] is not assigned to this worker", consumer->topics[topic].name, partition);
        return CV_RETRY;
    }
    if (next_offset == CONSUMER_BEGINNING) {
        enum cv_status status = consumer_first_offset(consumer, topic, partition, LOW_TIMEOUT_MS, &next_offset, err);
        if (status != CV_OK)
            return status;
    }
    p->wanted = true;
    p->running = false;
    p->next = next_offset;
    p->start_at_ms = 0;
    want_restart(consumer, 0);
    return CV_OK;
}

void consumer_silence(struct consumer *consumer, enum topic topic, int32_t partition)
{
    struct consumer_partition *p = consumer_find(consumer, topic, partition);

    if (!p || !p->owned)
        return;
    p->wanted = p->running = false;
    if (!p->assigned || p->paused)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consumer->topics[topic].name, partition);
    (void)rd_kafka_pause_partitions(consumer->rk, list); /* saves fetching; silent it is in any case */
    p->paused = true;
    rd_kafka_topic_partition_list_destroy(list);
}
