#include "workers/worker_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define TICK_MS      1000
#define COUNTS_MS    2000
#define COUNTS_SHARE 20
#define SWEEP_MS     60000
#define SWEEP_ROWS   1000  /* the LIMIT of the sweeps */
#define SETTLED_MS   10000 /* a connection that lasts */

static const struct db_statement counts_statement = {"worker_counts", sql_worker_counts};
static const struct db_statement tombstone_statement = {"tombstone_sweep", sql_tombstone_sweep};
static const struct db_statement directory_sweep_statement = {"directory_sweep", sql_directory_sweep};

static struct metric *labelled(struct worker *worker, const char *name, const char *label, const char *value,
                               const char *help)
{
    char labels[128];
    snprintf(labels, sizeof labels, "%s=\"%s\"", label, value);
    size_t len = strlen(name);
    bool counter = len > 6 && strcmp(name + len - 6, "_total") == 0;
    return counter ? metrics_counter(worker->metrics, name, labels, help)
                   : metrics_gauge(worker->metrics, name, labels, help);
}

void worker_metrics_init(struct worker *worker)
{
    static const char *const topic_names[TOPIC_COUNT] = {"case", "agent", "directory"};
    struct worker_metrics *m = &worker->m;
    struct metrics *all = worker->metrics;
    for (int i = 0; i < TOPIC_COUNT; i++)
        m->records[i] = labelled(worker, "caseview_records_total", "kind", topic_names[i], "Records taken from Kafka");
    for (int i = 1; i < PARK_REASON_COUNT; i++)
        m->parked[i] = labelled(worker, "caseview_parked_total", "reason", park_reason_name((enum park_reason)i),
                                "Events that can never be used, stored in parked");
    for (int i = 0; i < PARTITION_STATE_COUNT; i++)
        m->partitions[i] = labelled(worker, "caseview_partitions", "state",
                                    partition_state_name((enum partition_state)i),
                                    "Partitions assigned to this worker");
    m->paused = labelled(worker, "caseview_partitions", "state", "paused", "Partitions assigned to this worker");
    m->applied = metrics_counter(all, "caseview_events_total", NULL, "Events folded");
    m->duplicates = metrics_counter(all, "caseview_duplicates_total", NULL,
                                    "Events whose number had been seen before, or stale versions");
    m->unknown_types = metrics_counter(all, "caseview_unknown_types_total", NULL,
                                       "Events of a type that this version does not know");
    m->over = metrics_counter(all, "caseview_over_total", NULL, "Events of cases that were over");
    m->degraded = metrics_gauge(all, "caseview_degraded", NULL,
                                "Cases and agents of this worker's partitions with a missing event");
    m->incomplete = metrics_gauge(all, "caseview_incomplete", NULL,
                                  "Cases of this worker's partitions without a snapshot yet");
    m->gap_alarms = metrics_gauge(all, "caseview_gap_alarms", NULL,
                                  "Of the degraded ones, those for longer than gap-alarm-s");
    m->batches = metrics_counter(all, "caseview_batches_total", NULL, "Transactions committed");
    m->case_rows = labelled(worker, "caseview_rows_total", "table", "case_state", "Rows written");
    m->active_rows = labelled(worker, "caseview_rows_total", "table", "active_case", "Rows written");
    m->agent_rows = labelled(worker, "caseview_rows_total", "table", "agent", "Rows written");
    m->directory_rows = labelled(worker, "caseview_rows_total", "table", "directory", "Rows written");
    m->parked_rows = labelled(worker, "caseview_rows_total", "table", "parked", "Rows written");
    m->rerendered = metrics_counter(all, "caseview_rerendered_total", NULL,
                                    "Rows rendered anew because the directory changed");
    m->commit_seconds = metrics_histogram(all, "caseview_commit_seconds", NULL,
                                          "From sending a batch to its acknowledged commit");
    m->visible_seconds = metrics_histogram(all, "caseview_visible_seconds", NULL,
                                           "From a record's timestamp to its commit: the oldest of each batch");
    m->fold_seconds = metrics_histogram(all, "caseview_fold_seconds", NULL,
                                        "Folding a batch, reads of missing rows included");
    m->fenced = metrics_counter(all, "caseview_fenced_total", NULL,
                                "Batches refused because another worker had claimed a partition");
    m->refolds = metrics_counter(all, "caseview_refolds_total", NULL,
                                 "Batches folded again because a row had been written by somebody else");
    m->retries = metrics_counter(
        all, "caseview_retries_total", NULL,
        "Batches sent again unchanged after a serialization failure, deadlock or lock time-out");
    m->recoveries = metrics_counter(all, "caseview_recoveries_total", NULL, "Starts from the cursors after a failure");
    m->claims = metrics_counter(all, "caseview_claims_total", NULL, "Partitions claimed");
    m->claims_refused = metrics_counter(all, "caseview_claims_refused_total", NULL,
                                        "Claims that waited in vain for a cursor that somebody else had locked");
    m->unproven = metrics_counter(all, "caseview_unproven_total", NULL,
                                  "Claims whose last record was no longer in the log to compare");
    m->consumer_errors = metrics_counter(all, "caseview_consumer_errors_total", NULL,
                                         "Errors reported by the Kafka client");
    m->cached_cases = metrics_gauge(all, "caseview_cached_cases", NULL, "Case states in memory");
    m->cache_bytes = metrics_gauge(all, "caseview_cache_bytes", NULL, "Memory of the case states");
    m->directory_number = metrics_gauge(all, "caseview_directory_number", NULL,
                                        "Directory changes up to here are shown");
}

void worker_count_commit(struct worker *worker, const struct batch *batch)
{
    struct worker_metrics *m = &worker->m;
    for (size_t i = 0; i < batch->cursor_count; i++) {
        const struct batch_cursor *cursor = &batch->cursors[i];
        struct partition *partition = worker_partition(worker, cursor->topic, cursor->part);
        if (partition == NULL)
            continue;
        partition->cursor.next_offset = cursor->new_offset;
        if (cursor->has_last) {
            partition->cursor.has_last = true;
            partition->cursor.last_offset = cursor->last_offset;
            partition->cursor.last_at = cursor->last_at;
            partition->cursor.last_crc = cursor->last_crc;
        }
        if (cursor->dir_no > partition->cursor.dir_no)
            partition->cursor.dir_no = cursor->dir_no;
    }
    for (size_t i = 0; i < batch->parked_count; i++) {
        const struct batch_parked *parked = &batch->parked[i];
        metric_add(m->parked[parked->reason], 1);
        struct partition *partition = worker_partition(worker, parked->topic, parked->part);
        if (partition == NULL)
            continue;
        log_limit_add(&partition->parked, 1);
        partition->parked_reason = park_reason_name(parked->reason);
        partition->parked_offset = parked->offset;
        if (i >= batch->parked_decoded) /* the others were counted when they were taken */
            worker_count_parked(worker, partition, parked->offset);
    }
    metric_add(m->applied, batch->counts.applied);
    metric_add(m->duplicates, batch->counts.duplicates);
    metric_add(m->unknown_types, batch->counts.unknown_types);
    metric_add(m->over, batch->counts.over);
    metric_add(m->batches, 1);
    metric_add(m->case_rows, (int64_t)batch->case_count);
    metric_add(m->active_rows, (int64_t)(batch->active_count + batch->unlisted_count));
    metric_add(m->agent_rows, (int64_t)batch->agent_count);
    metric_add(m->directory_rows, (int64_t)(batch->entity_count + batch->version_count));
    metric_add(m->parked_rows, (int64_t)batch->parked_count);
    metric_observe_us(m->commit_seconds, clock_mono_us() - worker->sent_at_us);
    int64_t now_us = clock_wall_us(); /* a producer's clock may say anything */
    if (batch->oldest_record_ms <= now_us / 1000)
        metric_observe_us(m->visible_seconds, now_us - batch->oldest_record_ms * 1000);
}

/* ---- once a second ---- */

static void log_parked(struct partition *partition)
{
    int64_t count = log_limit_due(&partition->parked);
    if (count > 0)
        log_warn("partition %.*s/%d: %" PRId64 " events parked, the last at offset %" PRId64
                 " (%s): caseview parked list --topic %.*s --partition %d",
                 (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, count,
                 partition->parked_offset, partition->parked_reason, (int)partition->topic_name.len,
                 partition->topic_name.ptr, partition->part);
}

/*
 * Age of the last record folded while there are more. It stood at its end a moment ago: what came since cannot have
 * waited for longer, however old the record before is.
 */
static double lag_seconds(struct partition *partition, int64_t lag)
{
    int64_t now_ms = clock_mono_ms();
    if (lag == 0)
        partition->caught_up_ms = now_ms;
    if (lag == 0 || partition->last_record_ms < 0)
        return 0;
    int64_t age_ms = clock_wall_us() / 1000 - partition->last_record_ms;
    int64_t behind_ms = partition->caught_up_ms > 0 ? now_ms - partition->caught_up_ms : INT64_MAX;
    if (age_ms > behind_ms)
        age_ms = behind_ms;
    return age_ms > 0 ? (double)age_ms / 1000.0 : 0;
}

/*
 * A worker is ready when it has joined the group and taken up what it was given. A partition that cannot go on (halted,
 * paused, held, or postponed after a try) is told by metrics and status: no other worker would do better, so it must
 * not stop a rolling update (docs/decisions/0008).
 */
static bool is_untried(const struct partition *partition)
{
    return partition->hold.attempts == 0 &&
           (partition->state == PARTITION_UNCLAIMED || partition->state == PARTITION_PROVING);
}

static void show_partitions(struct worker *worker)
{
    int64_t in_state[PARTITION_STATE_COUNT] = {0}, paused = 0;
    int untried = 0;
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        if (partition->state == PARTITION_HALTED && partition->cursor.state == CURSOR_PAUSED)
            paused++;
        else
            in_state[partition->state]++;
        untried += is_untried(partition);
        int64_t end = consumer_end_offset(worker->consumer, partition->topic, partition->part);
        int64_t next = partition->cursor.next_offset;
        int64_t lag = end > next && !(partition->at_eof && next == partition->position) ? end - next : 0;
        metric_set(partition->lag_events, (double)lag);
        metric_set(partition->lag_seconds, lag_seconds(partition, lag));
        log_parked(partition);
        if (partition->state == PARTITION_LIVE && next > partition->committed_to_kafka) {
            consumer_commit(worker->consumer, partition->topic, partition->part, next);
            partition->committed_to_kafka = next;
        }
    }
    for (int i = 0; i < PARTITION_STATE_COUNT; i++)
        metric_set(worker->m.partitions[i], (double)in_state[i]);
    metric_set(worker->m.paused, (double)paused);
    /* More workers than partitions are a reserve, and ready. */
    worker->unready = consumer_has_joined(worker->consumer) ? untried : -1;
    metric_set(worker->m.cached_cases, (double)cases_cached(worker->cases));
    metric_set(worker->m.cache_bytes, (double)cases_cached_bytes(worker->cases));
    metric_set(worker->m.directory_number, (double)feed_number(worker->feed));
}

static size_t own_parts(const struct worker *worker, enum topic topic, int32_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < worker->partition_count; i++)
        if (worker->partitions[i].topic == topic)
            out[count++] = worker->partitions[i].part;
    return count;
}

static enum cv_status show_counts(struct worker *worker, struct err *err)
{
    int32_t *parts = arena_alloc(worker->scratch, (worker->partition_count + 1) * sizeof *parts);
    if (parts == NULL)
        return CV_OK; /* the next tick tries again */
    struct db_args args;
    db_args_init(&args, worker->scratch);
    db_arg_int4_array(&args, parts, sizeof *parts, own_parts(worker, TOPIC_CASES, parts));
    db_arg_int4_array(&args, parts, sizeof *parts, own_parts(worker, TOPIC_AGENTS, parts));
    db_arg_int4(&args, worker->gap_alarm_s);
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(worker->writer), &counts_statement, &args, FOLD_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    int64_t alarms = db_int8(result, 0, 2);
    metric_set(worker->m.degraded, (double)db_int8(result, 0, 0));
    metric_set(worker->m.incomplete, (double)db_int8(result, 0, 1));
    metric_set(worker->m.gap_alarms, (double)alarms);
    if (alarms > worker->alarms)
        log_limit_add(&worker->gaps, alarms - worker->alarms);
    worker->alarms = alarms;
    if (log_limit_due(&worker->gaps) > 0)
        log_warn("%" PRId64 " cases and agents have had an event missing for longer than %d s, among them: caseview "
                 "explain %.*s",
                 alarms, worker->gap_alarm_s, (int)db_str(result, 0, 3).len, db_str(result, 0, 3).ptr);
    db_result_free(result);
    return CV_OK;
}

static enum cv_status sweep_some(struct worker *worker, const struct db_statement *statement,
                                 const struct db_args *args, bool *more, struct err *err)
{
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(worker->writer), statement, args, FOLD_QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    *more |= db_int8(result, 0, 0) >= SWEEP_ROWS;
    db_result_free(result);
    return CV_OK;
}

/* Tombstones that are old enough, and forgotten entities that everybody has passed; some a second while there are more.
 */
static enum cv_status sweep(struct worker *worker, struct err *err)
{
    struct db_args args;
    bool more = false, directory = false;
    for (size_t i = 0; i < worker->partition_count; i++)
        directory |= worker->partitions[i].topic == TOPIC_DIRECTORY;
    db_args_init(&args, worker->scratch);
    db_arg_int4(&args, worker->tombstone_days);
    enum cv_status status = sweep_some(worker, &tombstone_statement, &args, &more, err);
    if (status == CV_OK && directory) {
        struct str topics[] = {str_of(worker->topics[TOPIC_CASES]), str_of(worker->topics[TOPIC_AGENTS])};
        db_args_init(&args, worker->scratch);
        db_arg_int4(&args, worker->gen);
        db_arg_text_array(&args, topics, sizeof *topics, ARRAY_LEN(topics));
        status = sweep_some(worker, &directory_sweep_statement, &args, &more, err);
    }
    worker->next_sweep_ms = clock_mono_ms() + (more ? TICK_MS : SWEEP_MS);
    return status;
}

void worker_tick(struct worker *worker)
{
    int64_t now = clock_mono_ms();
    if (now < worker->next_tick_ms)
        return;
    worker->next_tick_ms = now + TICK_MS;
    show_partitions(worker);
    if (!writer_is_connected(worker->writer) || worker->feed_stale)
        return;
    struct err err = ERR_INIT;
    enum cv_status status = CV_OK;
    arena_reset(worker->scratch);
    if (now >= worker->connected_at_ms + SETTLED_MS)
        retry_reset(&worker->reconnect);
    if (now >= worker->next_counts_ms) {
        status = show_counts(worker, &err);
        int64_t taken_ms = clock_mono_ms() -
                           now; /* a million incomplete cases take their time: a twentieth of it all */
        worker->next_counts_ms = now + COUNTS_MS + COUNTS_SHARE * taken_ms;
    }
    if (status == CV_OK && now >= worker->next_sweep_ms)
        status = sweep(worker, &err);
    if (status != CV_OK)
        worker_recover(worker, &err);
}
