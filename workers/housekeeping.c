#include "workers/housekeeping.h"

#include <inttypes.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/memory.h"
#include "sql_worker.h"

#define TICK_MS          1000
#define COUNTS_MS        2000
#define COUNTS_SHARE     20 /* a count that takes long is made that much less often */
#define SWEEP_MS         60000
#define SWEEP_ROWS       1000  /* the LIMIT of the sweeps */
#define SETTLED_MS       10000 /* a connection that lasts */
#define QUERY_TIMEOUT_MS 30000
#define BEHIND_RECORDS   2000
#define SHRINK_AFTER_MS  15000 /* caught up for so long: the cache shrinks and memory is given back */

static const struct db_statement counts_statement = {"worker_counts", sql_worker_counts};
static const struct db_statement tombstone_statement = {"tombstone_sweep", sql_tombstone_sweep};
static const struct db_statement directory_sweep_statement = {"directory_sweep", sql_directory_sweep};

/* ---- gauges ---- */

static void log_parked(const struct partitions *partitions, struct partition *partition)
{
    int64_t count = log_limit_due(&partition->parked);
    if (count > 0)
        log_traced(LOG_LEVEL_WARN, &partition->parked_trace,
                   "partition %.*s/%d: %" PRId64 " events parked, the last at offset %" PRId64
                   " (%s): caseview parked list%s --topic %.*s --partition %d",
                   (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, count,
                   partition->parked_offset, partition->parked_reason, partitions->option,
                   (int)partition->topic_name.len, partition->topic_name.ptr, partition->part);
}

/*
 * Age of the last record folded while there are more, but not more than the time since the partition had no lag: what
 * came since cannot have waited for longer, however old the last record is. That time alone where records have none.
 */
static double lag_seconds(struct partition *partition, int64_t lag)
{
    int64_t now_ms = clock_mono_ms();
    if (lag == 0)
        partition->caught_up_ms = now_ms;
    if (lag == 0)
        return 0;
    int64_t behind_ms = partition->caught_up_ms > 0 ? now_ms - partition->caught_up_ms : INT64_MAX;
    int64_t age_ms = partition->last_record_ms >= 0 ? clock_wall_us() / 1000 - partition->last_record_ms : behind_ms;
    if (age_ms > behind_ms)
        age_ms = behind_ms;
    return age_ms > 0 && age_ms < INT64_MAX ? (double)age_ms / 1000.0 : 0;
}

/*
 * A worker is ready when it has joined the group and tried to claim what it was assigned. A partition that cannot go on
 * (halted, paused, held, or postponed after a try) is reported by metrics and status: no other worker would do better,
 * so it must not stop a rolling update (docs/decisions/0008).
 */
static bool is_untried(struct partition *partition)
{
    if (partition->state != PARTITION_UNCLAIMED && partition->state != PARTITION_PROVING)
        partition->taken_up = true; /* a recovery later on does not change that */
    return !partition->taken_up && partition->retry.attempts == 0;
}

static void show_partitions(struct housekeeping *h)
{
    int64_t in_state[PARTITION_STATE_COUNT] = {0}, paused = 0;
    int untried = 0;
    struct partitions *partitions = h->claims->partitions;
    struct consumer *consumer = partitions->consumer;
    const struct worker_metrics *m = h->claims->m;
    for (size_t i = 0; i < partitions->count; i++) {
        struct partition *partition = partitions->all[i];
        if (partition->state == PARTITION_HALTED && partition->cursor.state == CURSOR_PAUSED)
            paused++;
        else
            in_state[partition->state]++;
        untried += is_untried(partition);
        int64_t end = consumer_end_offset(consumer, partition->topic, partition->part);
        int64_t next = partition->cursor.next_offset;
        int64_t lag = end > next && !(partition->at_end && next == partition->position) ? end - next : 0;
        worker_metrics_show_state(h->claims->m, partition);
        metric_set(partition->lag_events, (double)lag);
        metric_set(partition->lag_seconds, lag_seconds(partition, lag));
        log_parked(partitions, partition);
        if (partition->state == PARTITION_LIVE && next > partition->committed_to_kafka) {
            consumer_commit(consumer, partition->topic, partition->part, next);
            partition->committed_to_kafka = next;
        }
    }
    for (int i = 0; i < PARTITION_STATE_COUNT; i++)
        metric_set(m->partitions[i], (double)in_state[i]);
    metric_set(m->paused, (double)paused);
    /* More workers than partitions are a reserve, and ready. */
    h->unready = consumer_has_joined(consumer) ? untried : -1;
    metric_set(m->cached_cases, (double)states_count(folder_caches(h->folder)->cases));
    metric_set(m->cache_bytes, (double)folder_bytes(h->folder));
    metric_set(m->directory_number, (double)feed_number(h->names->feed));
}

static void show_kafka(struct housekeeping *h)
{
    struct consumer_figures figures;
    const struct worker_metrics *m = h->claims->m;
    consumer_figures(h->claims->partitions->consumer, &figures);
    metric_set(m->connections, figures.connections);
    metric_add(m->rebalances, figures.assignments - h->assignments);
    h->assignments = figures.assignments;
    for (int i = 0; i < TOPIC_COUNT; i++)
        metric_set(m->topic_partitions[i], figures.partitions[i]);
}

/* ---- counts and sweeps ---- */

static enum cv_status show_counts(struct housekeeping *h, struct err *err)
{
    struct claims *claims = h->claims;
    const struct worker_metrics *m = claims->m;
    int32_t *parts = arena_alloc(claims->arena, (claims->partitions->count + 1) * sizeof *parts);
    assert(parts != NULL); /* far more room than partitions */
    struct db_args args;
    db_args_init(&args, claims->arena);
    db_arg_int4_array(&args, parts, sizeof *parts, partitions_of_topic(claims->partitions, TOPIC_CASES, parts));
    db_arg_int4_array(&args, parts, sizeof *parts, partitions_of_topic(claims->partitions, TOPIC_AGENTS, parts));
    db_arg_int4(&args, h->gap_alarm_s);
    struct str *topics = arena_alloc(claims->arena, (claims->partitions->count + 1) * sizeof *topics);
    assert(topics != NULL);
    for (size_t i = 0; i < claims->partitions->count; i++) {
        topics[i] = claims->partitions->all[i]->topic_name;
        parts[i] = claims->partitions->all[i]->part;
    }
    db_arg_text_array(&args, topics, sizeof *topics, claims->partitions->count);
    db_arg_int4_array(&args, parts, sizeof *parts, claims->partitions->count);
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(claims->writer), &counts_statement, &args, QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    /* What a rebuild has not carried over yet is missing for a while. */
    int64_t alarms = generation_watch_prepared(h->watch) ? db_int8(result, 0, 2) : 0;
    metric_set(m->degraded, (double)db_int8(result, 0, 0));
    metric_set(m->incomplete, (double)db_int8(result, 0, 1));
    metric_set(m->gap_alarms, (double)alarms);
    metric_set(m->parked_events, (double)db_int8(result, 0, 4));
    if (alarms > h->alarms)
        log_limit_add(&h->gaps, alarms - h->alarms);
    h->alarms = alarms;
    if (log_limit_due(&h->gaps) > 0)
        log_warn("%" PRId64 " cases and agents have had an event missing for longer than %d s, among them: caseview "
                 "explain%s %.*s",
                 alarms, h->gap_alarm_s, claims->partitions->option, (int)db_str(result, 0, 3).len,
                 db_str(result, 0, 3).ptr);
    db_result_free(result);
    return CV_OK;
}

static enum cv_status sweep_some(struct claims *claims, const struct db_statement *statement,
                                 const struct db_args *args, bool *more, struct err *err)
{
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(claims->writer), statement, args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *more |= db_int8(result, 0, 0) >= SWEEP_ROWS;
    db_result_free(result);
    return CV_OK;
}

/*
 * Tombstones that are old enough, and forgotten entities that every cursor has passed; some each second while there are
 * more.
 */
static enum cv_status sweep(struct housekeeping *h, struct err *err)
{
    struct claims *claims = h->claims;
    const struct partitions *partitions = claims->partitions;
    struct db_args args;
    bool more = false, directory = false;
    for (size_t i = 0; i < partitions->count; i++)
        directory |= partitions->all[i]->topic == TOPIC_DIRECTORY;
    db_args_init(&args, claims->arena);
    db_arg_int4(&args, h->tombstone_days);
    enum cv_status status = sweep_some(claims, &tombstone_statement, &args, &more, err);
    if (status == CV_OK && directory) {
        struct str topics[] = {str_of(partitions->topic_names[TOPIC_CASES]),
                               str_of(partitions->topic_names[TOPIC_AGENTS])};
        db_args_init(&args, claims->arena);
        db_arg_int4(&args, claims->gen);
        db_arg_text_array(&args, topics, sizeof *topics, ARRAY_LEN(topics));
        status = sweep_some(claims, &directory_sweep_statement, &args, &more, err);
    }
    h->next_sweep_ms = clock_mono_ms() + (more ? TICK_MS : SWEEP_MS);
    return status;
}

/* ---- memory ---- */

int64_t housekeeping_behind(const struct partitions *partitions)
{
    int64_t behind = 0;
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = partitions->all[i];
        if (partition->state != PARTITION_LIVE || partition->at_end)
            continue;
        int64_t end = consumer_end_offset(partitions->consumer, partition->topic, partition->part);
        if (end > partition->position)
            behind += end - partition->position;
    }
    return behind;
}

/* A large cache pays while a backlog is folded. Caught up, what is not needed goes back to the system. */
static void give_memory_back(struct housekeeping *h, int64_t now)
{
    if (housekeeping_behind(h->claims->partitions) > BEHIND_RECORDS) {
        if (h->shrunk)
            folder_set_cache_bytes(h->folder, h->cache_bytes);
        h->shrunk = false;
        h->caught_up_ms = 0;
        return;
    }
    if (h->caught_up_ms == 0)
        h->caught_up_ms = now;
    if (h->shrunk || now < h->caught_up_ms + SHRINK_AFTER_MS)
        return;
    folder_set_cache_bytes(h->folder, h->idle_cache_bytes);
    folder_trim(h->folder);
    h->shrunk = folder_bytes(h->folder) <= h->idle_cache_bytes;
    memory_give_back();
}

enum cv_status housekeeping_tick(struct housekeeping *h, struct err *err)
{
    struct claims *claims = h->claims;
    int64_t now = clock_mono_ms();
    if (now < h->next_tick_ms)
        return CV_OK;
    h->next_tick_ms = now + TICK_MS;
    show_partitions(h);
    show_kafka(h);
    metric_set(claims->m->names_lag, (double)directory_names_lag_ms(h->names) / 1000);
    generation_watch_show(h->watch, housekeeping_behind(claims->partitions));
    give_memory_back(h, now);
    if (!writer_is_connected(claims->writer) || claims->partitions->changed)
        return CV_OK;
    enum cv_status status = CV_OK;
    arena_reset(claims->arena);
    if (now >= claims->connected_at_ms + SETTLED_MS)
        retry_reset(&claims->reconnect);
    if (now >= h->next_counts_ms) {
        status = show_counts(h, err);
        int64_t taken_ms = clock_mono_ms() - now;
        h->next_counts_ms = now + COUNTS_MS + COUNTS_SHARE * taken_ms;
    }
    /* While a generation is being filled nothing is old, and the sweep's index does not exist yet. */
    if (status == CV_OK && now >= h->next_sweep_ms && generation_watch_prepared(h->watch))
        status = sweep(h, err);
    return status;
}
