#include "workers/worker_metrics.h"

#include <stdio.h>

static struct metric *labelled(struct metrics *metrics, const char *name, const char *label, const char *value,
                               const char *help)
{
    char labels[128];
    snprintf(labels, sizeof labels, "%s=\"%s\"", label, value);
    size_t len = strlen(name);
    bool counter = len > 6 && strcmp(name + len - 6, "_total") == 0;
    return counter ? metrics_counter(metrics, name, labels, help) : metrics_gauge(metrics, name, labels, help);
}

static void init_generation(struct worker_metrics *m, struct metrics *metrics)
{
    m->generation = metrics_gauge(metrics, "caseview_generation", NULL, "Number of the generation that is filled");
    m->generation_live = metrics_gauge(metrics, "caseview_generation_live", NULL,
                                       "1 while readers see this generation, 0 otherwise");
    m->generation_deferred = metrics_gauge(metrics, "caseview_generation_deferred", NULL,
                                           "1 while no rows for readers are rendered: a rebuild that is not prepared");
    m->fold_rate = metrics_gauge(metrics, "caseview_records_per_second", NULL,
                                 "Records taken from Kafka a second, over about the last ten seconds");
    m->seconds_left = metrics_gauge(metrics, "caseview_seconds_left", NULL,
                                    "Time until this worker has read its partitions to their ends at that rate, 0: it "
                                    "has, -1: unknown");
}

static void init_kafka(struct worker_metrics *m, struct metrics *metrics, const char *const names[TOPIC_COUNT])
{
    for (int i = 0; i < TOPIC_COUNT; i++) {
        char labels[320];
        snprintf(labels, sizeof labels, "topic=\"%s\",generation=\"%d\"", names[i], m->gen);
        m->topic_partitions[i] = metrics_gauge(metrics, "caseview_topic_partitions", labels,
                                               "Partitions of the topic, 0: not known, for this worker has had none");
    }
    m->connections = metrics_gauge(metrics, "caseview_broker_connections", NULL, "Connections to brokers that are up");
    m->rebalances = metrics_counter(metrics, "caseview_rebalances_total", NULL,
                                    "Times when the consumer group has assigned partitions to this worker");
}

static void init_writes(struct worker_metrics *m, struct metrics *metrics)
{
    m->batches = metrics_counter(metrics, "caseview_batches_total", NULL, "Transactions committed");
    m->case_rows = labelled(metrics, "caseview_rows_total", "table", "case_state", "Rows written");
    m->active_rows = labelled(metrics, "caseview_rows_total", "table", "active_case", "Rows written");
    m->agent_rows = labelled(metrics, "caseview_rows_total", "table", "agent", "Rows written");
    m->directory_rows = labelled(metrics, "caseview_rows_total", "table", "directory", "Rows written");
    m->parked_rows = labelled(metrics, "caseview_rows_total", "table", "parked", "Rows written");
    m->rerendered = metrics_counter(metrics, "caseview_rerendered_total", NULL,
                                    "Rows rendered again because the directory changed");
    m->commit_seconds = metrics_histogram(metrics, "caseview_commit_seconds", NULL,
                                          "From sending a batch to its acknowledged commit");
    m->visible_seconds = metrics_histogram(metrics, "caseview_visible_seconds", NULL,
                                           "From a record's timestamp to its commit: the oldest of each batch");
    m->fold_seconds = metrics_histogram(metrics, "caseview_fold_seconds", NULL,
                                        "Decoding and folding a chunk of records, reads of missing rows included");
    m->fenced = metrics_counter(metrics, "caseview_fenced_total", NULL,
                                "Batches refused because a partition had another claim or was paused");
    m->refolds = metrics_counter(metrics, "caseview_refolds_total", NULL,
                                 "Batches refused because a row had been written by another writer");
    m->retries = metrics_counter(
        metrics, "caseview_retries_total", NULL,
        "Batches sent again unchanged after a serialization failure, deadlock or lock timeout");
    m->recoveries = metrics_counter(metrics, "caseview_recoveries_total", NULL,
                                    "Recoveries: starts from the cursors after a failure");
}

void worker_metrics_init(struct worker_metrics *m, struct metrics *metrics, const char *const topic_names[TOPIC_COUNT],
                         int32_t gen, size_t memory)
{
    static const char *const kinds[TOPIC_COUNT] = {"case", "agent", "directory"};
    m->metrics = metrics;
    m->gen = gen;
    for (int i = 0; i < TOPIC_COUNT; i++)
        m->records[i] = labelled(metrics, "caseview_records_total", "kind", kinds[i], "Records taken from Kafka");
    for (int i = 1; i < PARK_REASON_COUNT; i++)
        m->parked[i] = labelled(metrics, "caseview_parked_total", "reason", park_reason_name((enum park_reason)i),
                                "Records that cannot be used, stored in the table parked");
    for (int i = 0; i < PARTITION_STATE_COUNT; i++)
        m->partitions[i] = labelled(metrics, "caseview_partitions", "state",
                                    partition_state_name((enum partition_state)i),
                                    "Partitions assigned to this worker");
    m->paused = labelled(metrics, "caseview_partitions", "state", "paused", "Partitions assigned to this worker");
    m->applied = metrics_counter(metrics, "caseview_events_total", NULL, "Events folded");
    m->duplicates = metrics_counter(metrics, "caseview_duplicates_total", NULL,
                                    "Events whose number had been seen before, or stale versions");
    m->unknown_types = metrics_counter(metrics, "caseview_unknown_types_total", NULL,
                                       "Events of a type that this version does not know");
    m->undated = metrics_counter(metrics, "caseview_undated_total", NULL,
                                 "Records whose timestamp is before 2011 or after 9999; left out of the latencies");
    m->over = metrics_counter(metrics, "caseview_over_total", NULL, "Events of cases that were over");
    m->degraded = metrics_gauge(metrics, "caseview_degraded", NULL,
                                "Cases and agents of this worker's partitions with a missing event");
    m->incomplete = metrics_gauge(metrics, "caseview_incomplete", NULL,
                                  "Cases of this worker's partitions without a snapshot yet");
    m->gap_alarms = metrics_gauge(metrics, "caseview_gap_alarms", NULL,
                                  "Degraded cases and agents for longer than gap-alarm-s");
    m->parked_events = metrics_gauge(metrics, "caseview_parked_events", NULL,
                                     "Parked events of this worker's partitions, neither retried nor skipped yet");
    init_writes(m, metrics);
    m->claims = metrics_counter(metrics, "caseview_claims_total", NULL, "Partitions claimed");
    m->claims_refused = metrics_counter(metrics, "caseview_claims_refused_total", NULL,
                                        "Claims given up because another session held the cursor's lock");
    m->unproven = metrics_counter(metrics, "caseview_unproven_total", NULL,
                                  "Claims whose last record was no longer in the log to compare");
    m->consumer_errors = metrics_counter(metrics, "caseview_consumer_errors_total", NULL,
                                         "Errors reported by the Kafka client");
    m->cached_cases = metrics_gauge(metrics, "caseview_cached_cases", NULL, "Case states in memory");
    m->cache_bytes = metrics_gauge(metrics, "caseview_cache_bytes", NULL, "Memory of the case states");
    m->directory_number = metrics_gauge(metrics, "caseview_directory_number", NULL,
                                        "Directory changes up to this number are shown");
    m->names_lag = metrics_gauge(metrics, "caseview_names_lag_seconds", NULL,
                                 "For how long this worker's rows have not shown all changes of the directory");
    m->loop_age = metrics_gauge(metrics, "caseview_loop_age_seconds", NULL,
                                "Since the worker's loop began its present turn");
    metric_set(metrics_gauge(metrics, "caseview_memory_option_bytes", NULL, "The option memory"), (double)memory);
    init_kafka(m, metrics, topic_names);
    init_generation(m, metrics);
}

static int put_labels(const struct worker_metrics *m, const struct partition *partition, char *out, size_t size)
{
    return snprintf(out, size, "topic=\"%.*s\",partition=\"%d\",generation=\"%d\"", (int)partition->topic_name.len,
                    partition->topic_name.ptr, partition->part, m->gen);
}

void worker_metrics_show_partition(const struct worker_metrics *m, struct partition *partition)
{
    char labels[320];
    put_labels(m, partition, labels, sizeof labels);
    partition->lag_events = metrics_gauge(m->metrics, "caseview_lag_events", labels,
                                          "Records in the log behind the cursor");
    partition->lag_seconds = metrics_gauge(m->metrics, "caseview_lag_seconds", labels,
                                           "Age of the last record folded while there are more, at most the time since "
                                           "there were none; else 0");
    worker_metrics_show_state(m, partition);
}

/* A text of an operator's is no label: only reasons that are known are. */
static const char *reason_of(const struct partition *partition)
{
    enum halt_reason reason;
    bool known = partition->state == PARTITION_HALTED && partition->cursor.state == CURSOR_HALTED &&
                 halt_reason_parse(str_of(partition->cursor.reason), &reason);
    return known ? halt_reason_name(reason) : "";
}

void worker_metrics_show_state(const struct worker_metrics *m, struct partition *partition)
{
    char labels[400];
    bool paused = partition->state == PARTITION_HALTED && partition->cursor.state == CURSOR_PAUSED;
    const char *state = paused ? "paused" : partition_state_name(partition->state), *reason = reason_of(partition);
    if (partition->state_shown != NULL && strcmp(state, partition->shown_state) == 0 &&
        strcmp(reason, partition->shown_reason) == 0)
        return;
    int len = put_labels(m, partition, labels, sizeof labels);
    len += snprintf(labels + len, sizeof labels - (size_t)len, ",state=\"%s\"", state);
    if (reason[0] != '\0')
        snprintf(labels + len, sizeof labels - (size_t)len, ",reason=\"%s\"", reason);
    if (partition->state_shown != NULL)
        metrics_hide(partition->state_shown);
    partition->state_shown = metrics_gauge(m->metrics, "caseview_partition_state", labels,
                                           "1: the partition is in this state; only its present state is shown");
    metric_set(partition->state_shown, 1);
    partition->shown_state = state;
    partition->shown_reason = reason;
}

void worker_metrics_hide_partition(struct partition *partition)
{
    metrics_hide(partition->lag_events);
    metrics_hide(partition->lag_seconds);
    metrics_hide(partition->state_shown);
}
