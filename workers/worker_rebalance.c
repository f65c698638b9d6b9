#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "workers/worker_internal.h"

#define NAMED_MAX 1500

void worker_log_partitions(const struct worker *worker, const char *what, const struct consumer_partition_id *which,
                           size_t count)
{
    struct buf line CV_CLEANUP(buf_done);
    buf_init(&line, NAMED_MAX);
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        bool first = true;
        for (size_t i = 0; i < count; i++) {
            if (which[i].topic != t)
                continue;
            if (first)
                buf_printf(&line, " %s/%d", worker->topics[t], which[i].partition);
            else
                buf_printf(&line, ",%d", which[i].partition);
            first = false;
        }
    }
    /* A line that was too long for the log has stopped growing, and says so. */
    log_info("group: %s%.*s%s", what, (int)line.len, line.data ? line.data : "", line.overflow ? " …" : "");
}

static bool is_of(const struct partition *partition, enum topic topic, int32_t part)
{
    return partition->part == part && partition->topic == topic;
}

static void filter_events(struct batch *batch, const struct partition *partition)
{
    size_t kept = 0;
    batch->directory_count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        struct batch_event *event = batch->events[i];
        if (is_of(partition, event->record.topic, event->record.partition))
            continue;
        batch->directory_count += event->record.topic == TOPIC_DIRECTORY;
        batch->events[kept++] = event;
    }
    batch->event_count = kept;
    kept = 0;
    for (size_t i = 0; i < batch->parked_count; i++)
        if (!is_of(partition, batch->parked[i].topic, batch->parked[i].part))
            batch->parked[kept++] = batch->parked[i];
    batch->parked_count = kept;
    kept = 0;
    for (size_t i = 0; i < batch->rerender_count; i++)
        if (!is_of(partition, batch->rerenders[i].topic, batch->rerenders[i].part))
            batch->rerenders[kept++] = batch->rerenders[i];
    batch->rerender_count = kept;
    kept = 0;
    for (size_t i = 0; i < batch->cursor_count; i++)
        if (!is_of(partition, batch->cursors[i].topic, batch->cursors[i].part))
            batch->cursors[kept++] = batch->cursors[i];
    batch->cursor_count = kept;
}

/* Its memory and its size in bytes are given back with the whole batch. */
static void take_out_of(struct worker *worker, struct batch *batch, const struct partition *partition)
{
    if (batch_find_cursor(batch, partition->topic, partition->part) == NULL)
        return;
    if (batch->folded) {
        batch_begin_fold(batch); /* the rows, and what folding parked */
        /* The cached states are ahead of the database by events that are gone now. */
        cases_clear(worker->cases);
        agents_clear(worker->agents);
        worker->folds -= batch == worker->collecting;
    }
    filter_events(batch, partition);
    if (batch_is_empty(batch))
        batch_reset(batch);
}

void worker_take_out(struct worker *worker, const struct partition *partition)
{
    take_out_of(worker, worker->writing, partition);
    take_out_of(worker, worker->collecting, partition);
}

/* What is being committed is finished within the time. False: it is not, or has failed. */
static bool finish_writing(struct worker *worker, int64_t deadline_ms)
{
    struct err err = ERR_INIT;
    enum writer_outcome outcome = writer_poll(worker->writer, &err);
    while (outcome == WRITER_BUSY && clock_mono_ms() < deadline_ms) {
        db_pipeline_wait(writer_db(worker->writer), 20);
        outcome = writer_poll(worker->writer, &err);
    }
    if (outcome == WRITER_COMMITTED)
        worker_committed(worker);
    return outcome == WRITER_COMMITTED || outcome == WRITER_IDLE;
}

static void let_go(struct worker *worker, struct partition *partition)
{
    worker_unclaim(worker, partition);
    partition->look_again_ms = 0;
}

/*
 * The group takes partitions away: what is being committed is finished if it may be, what is being collected of them is
 * dropped (it will be read again, by whoever gets them). The others go on where they are, claims and positions stay;
 * but a batch that could not be finished is theirs too, and all is claimed anew.
 */
void worker_before_revoke(void *context, const struct consumer_partition_id *taken, size_t count, bool lost, int budget_ms)
{
    struct worker *worker = context;
    worker_log_partitions(worker, lost ? "lost" : "takes away", taken, count);
    FAIL_POINT("revoke");
    bool finished = finish_writing(worker, clock_mono_ms() + (lost ? 0 : budget_ms));
    if (finished && count < worker->partition_count) {
        for (size_t i = 0; i < count; i++) {
            struct partition *partition = worker_partition(worker, taken[i].topic, taken[i].partition);
            if (partition == NULL)
                continue; /* given and taken before we heard of it */
            worker_take_out(worker, partition);
            let_go(worker, partition);
        }
        return;
    }
    if (!finished)
        writer_disconnect(worker->writer);
    worker_drop_batches(worker);
    for (size_t i = 0; i < worker->partition_count; i++)
        let_go(worker, &worker->partitions[i]);
}
