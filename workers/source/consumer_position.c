#include "workers/source/consumer_position.h"

#include "caseview/clock.h"
#include "workers/source/consumer_query.h"

/*
 * How a partition is started.
 *
 * There is one way: librdkafka is assigned the partitions that have a position, with absolute offsets. To set a
 * position, the partition is removed from the assignment and added again. A partition without a position is in no
 * assignment, so nothing is fetched for it. The alternatives were refused:
 *
 * - rd_kafka_seek_partitions() works only while a fetcher runs. After an offset out of range the fetcher is dead
 *   (ERR__STATE), and before its start there is none. An answer to a fetch sent before the seek may stop the fetcher
 *   after the seek: the library resets it without comparing versions.
 * - A logical start (BEGINNING, STORED) asks the broker. When a seek or a stop overtakes the answer, librdkafka 2.0
 * asks again 500 ms later and jumps there while records flow. So CONSUMER_BEGINNING is resolved here, and librdkafka
 * gets absolute offsets only.
 *
 * Why no record from before a start is delivered after it: each stop and start gives the partition a new version
 * (rktp_version in librdkafka), and rd_kafka_consume_queue() discards every record and end-of-partition mark that was
 * fetched under an older one when it takes it from the queue. Partitions are stopped and started between two polls or
 * in a callback of one, so the only older records then in our hands are those that `running` holds back. The version of
 * the stop is set before rd_kafka_assign() returns: the library's main thread answers that call only after it has
 * served the removals. The fetcher starts at the given offset under the version of the start, so nothing in between is
 * lost either. This file keeps its own guard as well: nothing is delivered while `running` is false, and nothing below
 * `next`.
 *
 * Only errors carry no version. RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET may refer to an earlier start, so it counts as the
 * answer to this one only if it names our own `next`; otherwise the partition is started again (consumer.c).
 *
 * The first list is empty, not NULL: NULL would also answer a revocation that waits in the queue, before the caller
 * heard of it.
 *
 * Under the eager protocol all running partitions restart when one does, because that protocol has no other way, and
 * they fetch again what they had fetched ahead. Positions are set at a start and in recovery; those set between two
 * polls cost one restart together.
 */

#define FIRST_OFFSET_TIMEOUT_MS 1000
#define RETRY_DELAY_MS          200

static rd_kafka_resp_err_t code_of(rd_kafka_error_t *error)
{
    rd_kafka_resp_err_t code = error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;

    rd_kafka_error_destroy(error);
    return code;
}

/* Whether a restart concerns the partition: the eager protocol restarts all of them. */
static bool must_restart(const struct consumer *consumer, const struct consumer_partition *p)
{
    return p->assigned && (!consumer->cooperative || (p->wanted && !p->running));
}

/* From here on nothing of the partitions that are to be restarted is delivered. */
static rd_kafka_resp_err_t remove_from_assignment(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    struct consumer_partition_id id;

    for (size_t i = 0; i < consumer->partitions.owned_count; i++) {
        struct consumer_partition *p = consumer_partitions_owned(&consumer->partitions, i, &id);
        if (!must_restart(consumer, p))
            continue;
        p->running = false;
        if (consumer->cooperative)
            rd_kafka_topic_partition_list_add(list, consumer_partitions_name(&consumer->partitions, id.topic),
                                              id.partition);
    }
    if (!consumer->cooperative)
        code = rd_kafka_assign(consumer->rk, list);
    else if (list->cnt > 0)
        code = code_of(rd_kafka_incremental_unassign(consumer->rk, list));
    for (size_t i = 0; !code && i < consumer->partitions.owned_count; i++) {
        struct consumer_partition *p = consumer_partitions_owned(&consumer->partitions, i, &id);
        if (must_restart(consumer, p))
            p->assigned = false;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* The pause outlives the assignment. A partition that the library does not know was never paused: no error to check. */
static void resume(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(list->cnt);

    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        enum topic topic = consumer_partitions_topic(&consumer->partitions, one->topic);
        struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, one->partition);
        if (p->paused)
            rd_kafka_topic_partition_list_add(paused, one->topic, one->partition);
        p->paused = false;
    }
    if (paused->cnt > 0)
        (void)rd_kafka_resume_partitions(consumer->rk, paused);
    rd_kafka_topic_partition_list_destroy(paused);
}

/* The partitions that have a position, are not assigned, and need not wait longer. */
static rd_kafka_topic_partition_list_t *startable(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < consumer->partitions.owned_count; i++) {
        struct consumer_partition_id id;
        const struct consumer_partition *p = consumer_partitions_owned(&consumer->partitions, i, &id);
        const char *name = consumer_partitions_name(&consumer->partitions, id.topic);
        if (!p->wanted || p->assigned)
            continue;
        if (p->start_at_ms <= now_ms) {
            rd_kafka_topic_partition_list_add(list, name, id.partition)->offset = p->next;
        } else {
            consumer->restart = true;
            if (p->start_at_ms < consumer->restart_at_ms)
                consumer->restart_at_ms = p->start_at_ms;
        }
    }
    return list;
}

static rd_kafka_resp_err_t add_to_assignment(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = startable(consumer);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    resume(consumer, list);
    if (list->cnt > 0)
        code = consumer->cooperative ? code_of(rd_kafka_incremental_assign(consumer->rk, list))
                                     : rd_kafka_assign(consumer->rk, list);
    for (int i = 0; !code && i < list->cnt; i++) {
        enum topic topic = consumer_partitions_topic(&consumer->partitions, list->elems[i].topic);
        struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, list->elems[i].partition);
        p->assigned = p->running = true;
        p->end_offset = -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

void consumer_position_start_wanted(struct consumer *consumer)
{
    if (!consumer->restart || clock_mono_ms() < consumer->restart_at_ms)
        return;
    consumer->restart = false;
    consumer->restart_at_ms = INT64_MAX;

    rd_kafka_resp_err_t code = remove_from_assignment(consumer);
    if (!code)
        code = add_to_assignment(consumer);
    if (code) {
        consumer->restart = true;
        consumer->restart_at_ms = clock_mono_ms() + RETRY_DELAY_MS;
        consumer_events_add_error(&consumer->events, code, TOPIC_COUNT, -1,
                                  "partitions could not be started at their positions; retrying");
    }
}

static void request_restart(struct consumer *consumer, int64_t at_ms)
{
    if (!consumer->restart || at_ms < consumer->restart_at_ms)
        consumer->restart_at_ms = at_ms;
    consumer->restart = true;
    consumer_events_wake(&consumer->events);
}

void consumer_position_restart(struct consumer *consumer, struct consumer_partition *p, int delay_ms)
{
    p->running = false;
    p->start_at_ms = clock_mono_ms() + delay_ms;
    request_restart(consumer, p->start_at_ms);
}

enum cv_status consumer_position_set(struct consumer *consumer, enum topic topic, int32_t partition,
                                     int64_t next_offset, struct err *err)
{
    struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, partition);

    assert(next_offset >= 0 || next_offset == CONSUMER_BEGINNING);
    if (p == NULL || !p->owned || !p->announced) {
        err_set(err, "%s [%d] is not assigned to this worker", consumer_partitions_name(&consumer->partitions, topic),
                partition);
        return CV_RETRY;
    }
    if (next_offset == CONSUMER_BEGINNING) {
        enum cv_status status = consumer_query_first_offset(consumer, topic, partition, FIRST_OFFSET_TIMEOUT_MS,
                                                            &next_offset, err);
        if (status != CV_OK)
            return status;
    }
    p->wanted = true;
    p->running = false;
    p->next = next_offset;
    p->start_at_ms = 0;
    request_restart(consumer, 0);
    return CV_OK;
}

void consumer_position_pause(struct consumer *consumer, enum topic topic, int32_t partition)
{
    struct consumer_partition *p = consumer_partitions_find(&consumer->partitions, topic, partition);

    if (p == NULL || !p->owned)
        return;
    p->wanted = p->running = false;
    if (!p->assigned || p->paused)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consumer_partitions_name(&consumer->partitions, topic), partition);
    (void)rd_kafka_pause_partitions(consumer->rk, list); /* only saves fetching: nothing is delivered in any case */
    p->paused = true;
    rd_kafka_topic_partition_list_destroy(list);
}
