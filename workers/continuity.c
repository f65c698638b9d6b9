#include "workers/continuity.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "workers/sink/batch.h"

#define QUESTION_MS   2000  /* to the brokers, within the loop */
#define BEYOND_END_MS 10000 /* longer than a broker takes to learn of a new leader */

static void go_live(struct partition *partition, bool proven, const struct worker_metrics *m)
{
    if (!proven) {
        metric_add(m->unproven, 1);
        log_info("partition %.*s/%d: the last record folded, offset %" PRId64
                 ", is no longer in the log; continuing at %" PRId64,
                 (int)partition->topic_name.len, partition->topic_name.ptr, partition->part,
                 partition->cursor.last_offset, partition->cursor.next_offset);
    }
    retry_reset(&partition->retry);
    partition_set_state(partition, PARTITION_LIVE);
}

/* The record at last_offset is not there. That is fine where compaction or retention removed it. */
static void last_record_absent(struct partitions *partitions, struct partition *partition,
                               const struct worker_metrics *m)
{
    struct err err = ERR_INIT;
    bool compacted = false;
    int64_t low, high;
    enum cv_status status = consumer_watermarks(partitions->consumer, partition->topic, partition->part, QUESTION_MS,
                                                &low, &high, &err);
    if (status == CV_OK && low <= partition->cursor.last_offset)
        status = consumer_is_compacted(partitions->consumer, partition->topic, QUESTION_MS, &compacted, &err);
    if (status != CV_OK)
        partitions_postpone(partitions, partition, &err);
    else if (compacted || low > partition->cursor.last_offset)
        go_live(partition, false, m);
    else
        partitions_halt(partitions, partition, HALT_RECREATED, NULL);
}

void continuity_check_record(struct partitions *partitions, struct partition *partition, const struct record *record,
                             const struct worker_metrics *m)
{
    const struct cursor *cursor = &partition->cursor;
    if (record->offset > cursor->last_offset)
        last_record_absent(partitions, partition, m);
    else if (record->offset < cursor->last_offset)
        return; /* fetched before the position was set */
    else if (record->timestamp_ms == cursor->last_at && batch_record_crc(record) == cursor->last_crc)
        go_live(partition, true, m);
    else
        partitions_halt_at(partitions, partition, record, HALT_RECREATED,
                           "the log has another record at the offset of the last record folded");
}

/*
 * The log seems to end before the cursor. A broker that was away and does not know yet that another one leads says so,
 * too, with the end that it knows: only what stays so counts.
 */
static void beyond_end(struct partitions *partitions, struct partition *partition, int64_t end)
{
    struct err err = ERR_INIT;
    int64_t now = clock_mono_ms();
    err_set(&err, "the cursor is at %" PRId64 ", the log ends at %" PRId64, partition->position, end);
    if (partition->beyond_end_ms == 0)
        partition->beyond_end_ms = now;
    if (now - partition->beyond_end_ms < BEYOND_END_MS)
        partitions_postpone(partitions, partition, &err);
    else
        partitions_halt(partitions, partition, HALT_BEYOND_END, err.text);
}

/* Only the ends of transactions may be between the last record folded and the cursor. */
void continuity_check_old_record(struct partitions *partitions, struct partition *partition,
                                 const struct record *record)
{
    if (partition->cursor.has_last && record->offset > partition->cursor.last_offset)
        beyond_end(partitions, partition, record->offset);
}

void continuity_check_end(struct partitions *partitions, struct partition *partition, int64_t end,
                          const struct worker_metrics *m)
{
    if (end < partition->position && (partition->state == PARTITION_PROVING || partition->state == PARTITION_LIVE))
        beyond_end(partitions, partition, end);
    if (partition->state == PARTITION_PROVING)
        last_record_absent(partitions, partition, m);
}

void continuity_out_of_range(struct partitions *partitions, struct partition *partition, const struct worker_metrics *m)
{
    struct err err = ERR_INIT;
    int64_t low, high;
    char detail[160];
    if (partition->state != PARTITION_PROVING && partition->state != PARTITION_LIVE)
        return;
    if (consumer_watermarks(partitions->consumer, partition->topic, partition->part, QUESTION_MS, &low, &high, &err) !=
        CV_OK) {
        partitions_postpone(partitions, partition, &err);
        return;
    }
    snprintf(detail, sizeof detail, "the cursor is at %" PRId64 ", the log has %" PRId64 " to %" PRId64,
             partition->position, low, high);
    if (partition->position > high)
        beyond_end(partitions, partition, high);
    else if (low > partition->position && !partition_is_fresh(partition))
        partitions_halt(partitions, partition, HALT_RETENTION_GAP, detail);
    else if (partitions_position(partitions, partition, &err) != CV_OK)
        partitions_postpone(partitions, partition, &err);
    else if (partition->state == PARTITION_PROVING)
        go_live(partition, false, m);
}
