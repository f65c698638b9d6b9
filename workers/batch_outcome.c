#include "workers/batch_outcome.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"

void batch_outcome_init(struct batch_outcome *outcome, int32_t gen)
{
    *outcome = (struct batch_outcome){.gen = gen};
    retry_init(&outcome->conflict, 20, 1000);
}

/* ---- committed ---- */

static void count_rows(const struct worker_metrics *m, const struct batch *batch)
{
    int64_t active = (int64_t)batch->foreign_count;
    for (size_t i = 0; i < batch->case_count; i++)
        active += batch->case_rows[i].was_listed || (batch->case_rows[i].flags & CASE_LISTED) != 0;
    metric_add(m->applied, batch->counts.applied);
    metric_add(m->duplicates, batch->counts.duplicates);
    metric_add(m->unknown_types, batch->counts.unknown_types);
    metric_add(m->over, batch->counts.over);
    metric_add(m->rerendered, batch->counts.rerendered);
    metric_add(m->undated, (int64_t)batch->undated_count);
    metric_add(m->batches, 1);
    metric_add(m->case_rows, (int64_t)batch->case_count);
    metric_add(m->active_rows, active);
    metric_add(m->agent_rows, (int64_t)batch->agent_count);
    metric_add(m->directory_rows, (int64_t)(batch->entity_count + batch->version_count));
    metric_add(m->parked_rows, (int64_t)batch->parked_count);
}

static void move_cursor(struct batch_outcome *outcome, const struct batch_cursor *moved)
{
    struct partition *partition = partitions_find(outcome->claims->partitions, moved->topic, moved->part);
    int64_t back_to;
    if (partition == NULL || partition->state == PARTITION_UNCLAIMED)
        return; /* given up while the batch was in flight */
    partition->cursor.next_offset = moved->new_offset;
    if (moved->has_last) {
        partition->cursor.has_last = true;
        partition->cursor.last_offset = moved->last_offset;
        partition->cursor.last_at = moved->last_at;
        partition->cursor.last_crc = moved->last_crc;
    }
    if (moved->dir_no == CURSOR_UNRENDERED || (moved->dir_no > 0 && moved->dir_no > partition->cursor.dir_no))
        partition->cursor.dir_no = moved->dir_no;
    if (moved->new_offset > partition->refused.offset)
        partition->refused.offset = -1;
    if (poison_flood_add(&partition->flood, clock_mono_ms(), moved->records, moved->parked, moved->first_parked,
                         &back_to) &&
        (partition->state == PARTITION_LIVE || partition->state == PARTITION_HELD)) {
        partition->halt_back_to = back_to;
        partitions_halt(outcome->claims->partitions, partition, HALT_POISON_FLOOD, NULL);
    }
}

static void count_parked(struct batch_outcome *outcome, const struct batch_parked *parked)
{
    metric_add(outcome->claims->m->parked[parked->reason], 1);
    struct partition *partition = partitions_find(outcome->claims->partitions, parked->topic, parked->part);
    if (partition == NULL)
        return;
    log_limit_add(&partition->parked, 1);
    partition->parked_reason = park_reason_name(parked->reason);
    partition->parked_offset = parked->offset;
    partition->parked_trace = parked->trace;
}

static void observe_latency(const struct batch_outcome *outcome, const struct batch *batch)
{
    metric_observe_us(outcome->claims->m->commit_seconds,
                      clock_mono_us() - pipeline_sent_at_us(outcome->claims->pipeline));
    if (batch->oldest_record_ms == INT64_MAX)
        return;
    int64_t us = clock_wall_us() - batch->oldest_record_ms * 1000;
    metric_observe_us(outcome->claims->m->visible_seconds, us > 0 ? us : 0);
}

static void committed(struct batch_outcome *outcome)
{
    const struct batch *batch = pipeline_written(outcome->claims->pipeline);
    count_rows(outcome->claims->m, batch);
    observe_latency(outcome, batch);
    for (size_t i = 0; i < batch->cursor_count; i++)
        move_cursor(outcome, &batch->cursors[i]);
    for (size_t i = 0; i < batch->parked_count; i++)
        count_parked(outcome, &batch->parked[i]);
    if (batch->record_count > 0) { /* what only moves cursors says nothing of rows that are refused */
        retry_reset(&outcome->claims->reconnect);
        retry_reset(&outcome->conflict);
    }
    pipeline_release(outcome->claims->pipeline);
    FAIL_POINT("commit.after");
}

/* ---- refused ---- */

/* No failure of the database: nothing to log but what is logged here, and no delay. */
static enum cv_status expected_recovery(struct batch_outcome *outcome)
{
    outcome->expected = true;
    return CV_RETRY;
}

/* The refused batch held one record: it is parked when it is read again. */
static void note_refused_record(struct batch_outcome *outcome, const struct batch *batch, const struct err *err)
{
    for (size_t i = 0; i < batch->cursor_count; i++) {
        const struct batch_cursor *cursor = &batch->cursors[i];
        struct partition *partition = partitions_find(outcome->claims->partitions, cursor->topic, cursor->part);
        if (cursor->records == 0 || partition == NULL)
            continue;
        struct refused_record *refused = &partition->refused;
        refused->times = refused->offset == cursor->last_offset ? refused->times + 1 : 1;
        refused->offset = cursor->last_offset;
        snprintf(refused->text, sizeof refused->text, "%s", err->text);
        log_traced(
            LOG_LEVEL_WARN, &cursor->trace,
            "partition %.*s/%d: the database refuses what the record at offset %" PRId64 " leads to; parking it: "
            "%s",
            (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, refused->offset, err->text);
        return;
    }
}

/* Smaller and smaller batches find the record that the database refuses. */
static enum cv_status after_refusal(struct batch_outcome *outcome, struct err *err)
{
    const struct batch *batch = pipeline_written(outcome->claims->pipeline);
    size_t items = batch_items(batch);
    if (items > 0 && batch_limit_refused(pipeline_limit(outcome->claims->pipeline), items)) {
        if (batch->record_count > 0) {
            note_refused_record(outcome, batch, err);
        } else {
            log_error("database: it refuses a row that was rendered again because the directory changed; the row stays "
                      "as it is: %s",
                      err->text);
            directory_names_skip_row(outcome->names, batch);
        }
    }
    err_prefix(err, "a row was refused");
    return items > 0 ? expected_recovery(outcome) : CV_RETRY; /* the search goes on without delay */
}

static enum cv_status after_conflict(struct batch_outcome *outcome, struct err *err)
{
    const struct batch *batch = pipeline_written(outcome->claims->pipeline);
    metric_add(outcome->claims->m->refolds, 1);
    log_limit_add(&outcome->conflicts, 1);
    int64_t times = log_limit_due(&outcome->conflicts);
    if (times > 0)
        log_info("%" PRId64 " batches were refused because another writer had changed a row (%s); this is normal while "
                 "partitions move, or while `parked retry` or `repair` runs; if it continues, `caseview status` shows "
                 "the owners",
                 times, err->text);
    batch_limit_conflict(pipeline_limit(outcome->claims->pipeline), batch_items(batch));
    outcome->claims->not_before_ms = clock_mono_ms() + retry_failed(&outcome->conflict);
    return expected_recovery(outcome);
}

static enum cv_status after_fence(struct batch_outcome *outcome, struct err *err)
{
    struct err poll_err = ERR_INIT;
    operator_control_poll_now(outcome->control);
    /* An operator's pause is no failure; a rival of another group has to be named. */
    if (operator_control_poll(outcome->control, &poll_err) != CV_OK) {
        *err = poll_err;
        return outcome->control->stopped ? expected_recovery(outcome) : CV_RETRY;
    }
    metric_add(outcome->claims->m->fenced, 1);
    if (outcome->control->rival[0] != '\0')
        err_set(
            err,
            "the fence refused a batch: %s, a worker of another consumer group (group-id): two groups on generation "
            "%d take each other's claims without end; stop one, or give it another generation",
            outcome->control->rival, outcome->gen);
    else
        err_set(err, "the fence refused a batch: another worker has claimed one of our partitions; `caseview status` "
                     "shows the owners");
    return CV_RETRY;
}

static void log_sent_again(struct batch_outcome *outcome, const struct err *err)
{
    log_limit_add(&outcome->sent_again, 1);
    int64_t times = log_limit_due(&outcome->sent_again);
    if (times > 0)
        log_info("%" PRId64 " batches were sent again (%s); if this continues, find who holds locks: SELECT pid, "
                 "usename, state, query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start",
                 times, err->text);
}

enum cv_status batch_outcome_settle(struct batch_outcome *outcome, struct err *err)
{
    outcome->expected = false;
    switch (pipeline_poll(outcome->claims->pipeline, err)) {
    case WRITER_IDLE:
    case WRITER_BUSY:
        return CV_OK;
    case WRITER_COMMITTED:
        committed(outcome);
        return CV_OK;
    case WRITER_AGAIN:
        metric_add(outcome->claims->m->retries, 1);
        log_sent_again(outcome, err);
        return CV_OK;
    case WRITER_CONFLICT:
        return after_conflict(outcome, err);
    case WRITER_FENCED:
        return after_fence(outcome, err);
    case WRITER_REFUSED:
        return after_refusal(outcome, err);
    case WRITER_LOST:
        return CV_RETRY;
    }
    return CV_OK;
}
