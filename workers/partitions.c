#include "workers/partitions.h"

#include <inttypes.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "workers/source/consumer_headers.h"

void partitions_init(struct partitions *partitions, const char *const topic_names[TOPIC_COUNT])
{
    *partitions = (struct partitions){.option = ""};
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        partitions->topic_names[topic] = topic_names[topic];
}

void partitions_done(struct partitions *partitions)
{
    for (size_t i = 0; i < partitions->count; i++)
        free(partitions->all[i]);
    free(partitions->all);
    for (int topic = 0; topic < TOPIC_COUNT; topic++)
        free(partitions->by_part[topic]);
}

static void grow_topic(struct partitions *partitions, enum topic topic, int32_t part)
{
    int32_t old = partitions->parts[topic], new = part + 16;
    if (part < old)
        return;
    partitions->by_part[topic] = cv_realloc(partitions->by_part[topic], (size_t) new * sizeof(struct partition *));
    for (int32_t i = old; i < new; i++)
        partitions->by_part[topic][i] = NULL;
    partitions->parts[topic] = new;
}

struct partition *partitions_add(struct partitions *partitions, enum topic topic, int32_t part)
{
    if (partitions_find(partitions, topic, part) != NULL)
        return NULL;
    partitions->all = cv_grow(partitions->all, partitions->count, &partitions->room, sizeof(struct partition *));
    grow_topic(partitions, topic, part);
    struct partition *partition = cv_zalloc(sizeof *partition);
    partition_init(partition, topic, part, str_of(partitions->topic_names[topic]));
    partitions->all[partitions->count++] = partition;
    partitions->by_part[topic][part] = partition;
    partitions->changed = true;
    return partition;
}

void partitions_remove(struct partitions *partitions, struct partition *partition)
{
    size_t i = 0;
    while (partitions->all[i] != partition)
        i++;
    partitions->all[i] = partitions->all[--partitions->count];
    partitions->by_part[partition->topic][partition->part] = NULL;
    partitions->changed = true;
    free(partition);
}

enum cv_status partitions_position(struct partitions *partitions, struct partition *partition, struct err *err)
{
    int64_t from = partition_is_fresh(partition) ? CONSUMER_BEGINNING : partition->position;
    return consumer_position(partitions->consumer, partition->topic, partition->part, from, err);
}

void partitions_release(struct partitions *partitions, struct partition *partition)
{
    consumer_pause(partitions->consumer, partition->topic, partition->part);
    if (partition->state != PARTITION_UNCLAIMED)
        partitions->changed = true;
    partition_set_state(partition, PARTITION_UNCLAIMED);
    partition->at_end = partition->complete_pending = false;
    partition->halt_back_to = -1;
    partition->try_at_ms = 0;
}

void partitions_release_all(struct partitions *partitions)
{
    for (size_t i = 0; i < partitions->count; i++) {
        int64_t try_at_ms = partitions->all[i]->state == PARTITION_UNCLAIMED ? partitions->all[i]->try_at_ms : 0;
        partitions_release(partitions, partitions->all[i]);
        partitions->all[i]->try_at_ms = try_at_ms; /* what was put off stays so */
    }
}

void partitions_postpone(struct partitions *partitions, struct partition *partition, const struct err *err)
{
    int wait_ms = retry_failed(&partition->retry);
    if (retry_worth_logging(&partition->retry))
        log_warn("partition %.*s/%d: cannot be read yet: %s; trying again", (int)partition->topic_name.len,
                 partition->topic_name.ptr, partition->part, err->text);
    partitions_release(partitions, partition);
    partition->try_at_ms = clock_mono_ms() + wait_ms;
}

void partitions_hold(struct partitions *partitions, struct partition *partition, const struct record *record,
                     const struct err *err)
{
    consumer_pause(partitions->consumer, partition->topic, partition->part);
    int wait_ms = retry_failed(&partition->retry);
    /* A schema that is met for the first time is being asked for: that is normal. */
    if (retry_worth_logging(&partition->retry) && partition->retry.attempts > 2) {
        const struct trace trace = consumer_headers_trace(record);
        log_traced(LOG_LEVEL_WARN, &trace, "partition %.*s/%d: waiting at offset %" PRId64 ": %s",
                   (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, partition->position,
                   err->text);
    }
    partition->try_at_ms = clock_mono_ms() + wait_ms;
    partition_set_state(partition, PARTITION_HELD);
}

static void halt(struct partitions *partitions, struct partition *partition, const struct trace *trace,
                 enum halt_reason reason, const char *detail)
{
    consumer_pause(partitions->consumer, partition->topic, partition->part);
    partition->halt_reason = reason;
    partition_set_state(partition, PARTITION_HALTING);
    log_traced(
        LOG_LEVEL_ERROR, trace,
        "partition %.*s/%d halts (%s): %s; once the cause is fixed: caseview resume%s --topic %.*s --partition %d",
        (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, halt_reason_name(reason),
        detail != NULL ? detail : halt_reason_detail(reason), partitions->option, (int)partition->topic_name.len,
        partition->topic_name.ptr, partition->part);
}

void partitions_halt(struct partitions *partitions, struct partition *partition, enum halt_reason reason,
                     const char *detail)
{
    halt(partitions, partition, NULL, reason, detail);
}

void partitions_halt_at(struct partitions *partitions, struct partition *partition, const struct record *record,
                        enum halt_reason reason, const char *detail)
{
    const struct trace trace = consumer_headers_trace(record);
    halt(partitions, partition, &trace, reason, detail);
}

size_t partitions_of_topic(const struct partitions *partitions, enum topic topic, int32_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < partitions->count; i++)
        if (partitions->all[i]->topic == topic)
            out[count++] = partitions->all[i]->part;
    return count;
}
