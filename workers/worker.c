#include "workers/worker.h"

#include <poll.h>
#include <stdio.h>

#include "caseview/admin.h"
#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/fetch.h"
#include "caseview/log.h"
#include "caseview/memory.h"
#include "caseview/notify.h"
#include "caseview/process.h"
#include "caseview/stop.h"
#include "workers/batch_outcome.h"
#include "workers/generation_watch.h"
#include "workers/housekeeping.h"
#include "workers/intake.h"
#include "workers/open_batch.h"
#include "workers/operator_control.h"
#include "workers/ops/broker_options.h"
#include "workers/report_partitions.h"

#define PROMPT_AGE_US  2000     /* caught up: what is at hand is written at once, or at most this late */
#define BEHIND_AGE_US  2000000  /* behind: a batch may grow for so long */
#define FILL_AGE_US    30000000 /* likewise, while no reader can see the generation's rows */
#define BEHIND_RECORDS 2000
#define DRAIN_MS       20000
#define CONNECT_S      60

/*
 * How the option `memory` is shared. What is not named here is fixed and small: a chunk, the statement being sent,
 * libpq's and librdkafka's buffers and threads (docs/operations.md, Sizing).
 */
#define MIN(a, b)           ((a) < (b) ? (a) : (b))
#define CACHE_SHARE(memory) ((memory) / 2)                       /* states and names */
#define BATCH_SHARE(memory) MIN((memory) / 6, (size_t)256 << 20) /* of these, what one batch may change */
#define KAFKA_SHARE(memory) ((memory) / 32) /* records fetched ahead; librdkafka needs about four times that */
#define IDLE_CACHE(memory)  MIN((memory) / 8, (size_t)24 << 20) /* the cache, some time after catching up */

struct worker {
    const struct config *config;
    int32_t gen;
    char default_group_id[32];
    const char *group_id;
    char owner[384]; /* host:pid, before it group@ unless that is the default; for people */
    size_t memory;

    struct consumer *consumer;
    struct schemas *schemas;
    struct writer *writer;
    struct folder *folder;
    struct pipeline *pipeline;

    struct partitions partitions;
    struct claims claims;
    struct intake intake;
    struct operator_control control;
    struct directory_names names;
    struct generation_watch watch;
    struct batch_outcome outcome;
    struct housekeeping housekeeping;
    struct metrics *metrics;
    struct worker_metrics m;
    unsigned reloads; /* SIGHUPs seen */
    struct notify notify;

    bool expected;          /* the recovery that comes is no failure: it needs neither a log line nor a delay */
    _Atomic bool connected; /* to the database; read by the admin port's thread */
    _Atomic int64_t loop_started_ms; /* when the loop began its last turn (clock_mono_ms()); likewise */
    int poll_within_ms;              /* the consumer's, which is closed before the admin port; likewise */
};

/* ---- recovery ---- */

/*
 * The one way back after everything that is not sent again unchanged: what is not in the database is dropped, the
 * partitions are claimed, their cursors read, and the consumer positioned there. A start takes the same way.
 */
static void recover(struct worker *worker, const struct err *err)
{
    struct claims *claims = &worker->claims;
    metric_add(worker->m.recoveries, 1);
    FAIL_POINT("recover");
    pipeline_drop(worker->pipeline);
    partitions_release_all(&worker->partitions);
    directory_names_drop(&worker->names);
    if (worker->expected) {
        log_debug("starting again from the cursors: %s", err->text);
        worker->expected = false;
        return;
    }
    retry_failed(&claims->reconnect);
    if (retry_worth_logging(&claims->reconnect))
        log_warn("database: %s; %s", err->text,
                 err_is_no_schema(err) ? "waiting for its schema: run `caseview migrate`"
                                       : "starting again from the cursors");
    writer_disconnect(worker->writer);
    worker->connected = claims->connected = false;
}

static enum cv_status settle(struct worker *worker, struct err *err)
{
    enum cv_status status = batch_outcome_settle(&worker->outcome, err);
    worker->expected = status == CV_RETRY && worker->outcome.expected;
    return status;
}

/* ---- the next batch ---- */

/* An idle partition's cursor says that it was read to its end; once a second at most. */
static void add_complete_cursors(struct worker *worker)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < worker->partitions.count; i++) {
        struct partition *partition = worker->partitions.all[i];
        if (partition->state != PARTITION_LIVE || !partition->complete_pending || !partition->at_end ||
            now < partition->completed_ms + 1000)
            continue;
        open_batch_cursor(worker->pipeline, partition)->complete = true;
        partition->complete_pending = false;
        partition->completed_ms = now;
    }
}

static bool all_read(const struct worker *worker)
{
    if (worker->intake.more)
        return false;
    for (size_t i = 0; i < worker->partitions.count; i++) {
        const struct partition *partition = worker->partitions.all[i];
        if (open_batch_has(worker->pipeline, partition) && partition->state == PARTITION_LIVE && !partition->at_end)
            return false;
    }
    return true;
}

/* A row that the database refuses is being searched: batches are small. */
static bool is_searching(const struct worker *worker)
{
    return pipeline_limit(worker->pipeline)->isolate_left > 0;
}

/* Small and prompt when caught up, growing when behind, less often while fences are slow. */
static bool is_due(const struct worker *worker)
{
    const struct batch *batch = pipeline_open(worker->pipeline);
    if (batch_is_empty(batch))
        return false;
    if (pipeline_is_full(worker->pipeline))
        return true;
    if (clock_mono_us() < pipeline_sent_at_us(worker->pipeline) + pipeline_gap_us(worker->pipeline))
        return false;
    if (all_read(worker))
        return true;
    int64_t most_us = PROMPT_AGE_US;
    if (!is_searching(worker) && housekeeping_behind(&worker->partitions) > BEHIND_RECORDS)
        most_us = directory_names_deferred(&worker->names) ? FILL_AGE_US : BEHIND_AGE_US;
    return clock_mono_us() - batch->opened_at_us >= most_us;
}

static void close_and_send(struct worker *worker)
{
    directory_names_mark(&worker->names, pipeline_open(worker->pipeline));
    pipeline_submit(worker->pipeline);
}

static void submit(struct worker *worker)
{
    if (pipeline_is_busy(worker->pipeline) || !writer_is_connected(worker->writer))
        return;
    add_complete_cursors(worker);
    directory_names_add_cursors(&worker->names);
    if (is_due(worker))
        close_and_send(worker);
}

/* ---- partitions ---- */

static void retry_held(struct worker *worker)
{
    int64_t now = clock_mono_ms();
    bool arrived = schemas_changed(worker->schemas);
    for (size_t i = 0; i < worker->partitions.count; i++) {
        struct partition *partition = worker->partitions.all[i];
        struct err err = ERR_INIT;
        if (partition->state != PARTITION_HELD || (now < partition->try_at_ms && !arrived))
            continue;
        if (partitions_position(&worker->partitions, partition, &err) == CV_OK)
            partition_set_state(partition, PARTITION_LIVE);
        else
            partition->try_at_ms = now + retry_failed(&partition->retry);
    }
}

/* Writes what is in flight and what is open within the time. False: it was not possible. */
static bool flush(struct worker *worker, int64_t deadline_ms)
{
    struct err err = ERR_INIT;
    if (!writer_is_connected(worker->writer))
        return false;
    for (;;) {
        notify_alive(&worker->notify);
        if (!pipeline_is_busy(worker->pipeline)) {
            if (batch_is_empty(pipeline_open(worker->pipeline)))
                return true;
            close_and_send(worker);
        }
        if (settle(worker, &err) != CV_OK)
            return false;
        if (!pipeline_is_busy(worker->pipeline))
            continue;
        if (clock_mono_ms() >= deadline_ms)
            return false;
        db_pipeline_wait(writer_db(worker->writer), 20);
    }
}

/*
 * The group revokes partitions: what was folded of them is written, if there is time; else everything that is not in
 * the database is dropped, and the partitions that stay start from their cursors again.
 */
static void before_revoke(void *context, const struct consumer_partition_id *revoked, size_t count, bool lost,
                          int budget_ms)
{
    struct worker *worker = context;
    struct err err = ERR_INIT;
    report_partitions(worker->partitions.topic_names, lost ? "lost" : "revoked", revoked, count);
    FAIL_POINT("revoke");
    bool idle = batch_is_empty(pipeline_open(worker->pipeline)) && !pipeline_is_busy(worker->pipeline);
    bool written = !lost && flush(worker, clock_mono_ms() + budget_ms);
    if (!written && !idle) {
        err_set(&err, "partitions were revoked before their last records were written");
        worker->expected = true;
        recover(worker, &err);
    }
    pipeline_drop(worker->pipeline); /* states of partitions that may come back changed */
    for (size_t i = 0; i < count; i++) {
        struct partition *partition = partitions_find(&worker->partitions, revoked[i].topic, revoked[i].partition);
        if (partition == NULL)
            continue;
        partitions_release(&worker->partitions, partition);
        partition->try_at_ms = INT64_MAX; /* it is not ours to claim until it is assigned again */
    }
}

/* SIGHUP: what may have changed without a restart. Records that were parked before are an operator's to retry. */
static void reload_files(struct worker *worker)
{
    struct err err = ERR_INIT;
    size_t added;
    if (!stop_reload_requested(&worker->reloads))
        return;
    log_info("SIGHUP: reading schema-dir and ca-file again");
    fetch_reload_ca_file();
    enum cv_status status = schemas_reload(worker->schemas, &added, &err);
    if (added > 0)
        log_info("schema-dir: %zu new schemas", added);
    if (status != CV_OK)
        log_error("schema-dir: %s; the schemas read before remain in use", err.text);
}

/* ---- the loop ---- */

static void ready(void *context, char *out_reason, size_t size)
{
    struct worker *worker = context;
    int unready = worker->housekeeping.unready;
    if (!worker->connected)
        snprintf(out_reason, size, "waiting for the database");
    else if (unready < 0)
        snprintf(out_reason, size, "waiting for the consumer group to assign partitions");
    else if (unready > 0)
        snprintf(out_reason, size, "%d partitions are still to be claimed", unready);
    else
        out_reason[0] = '\0';
}

/* systemd, where it has started this worker: its watchdog watches the loop, its status line shows what /ready shows. */
static void tell_service_manager(struct worker *worker)
{
    char text[NOTIFY_STATUS_MAX];
    ready(worker, text, sizeof text);
    if (text[0] == '\0')
        snprintf(text, sizeof text, "ready, %zu partitions", worker->partitions.count);
    notify_status(&worker->notify, text);
    notify_alive(&worker->notify);
}

/* While a refused row is searched, rows that the directory changed are tried first: alone, in small batches. */
static bool has_room(const struct worker *worker)
{
    return !pipeline_is_full(worker->pipeline) && !(is_searching(worker) && directory_names_has_rows(&worker->names));
}

static int wait_ms(struct worker *worker)
{
    if (worker->intake.more)
        return generation_watch_wait_ms(&worker->watch);
    int wait = 100;
    int names = directory_names_wait_ms(&worker->names);
    if (names >= 0 && names < wait)
        wait = names;
    if (!batch_is_empty(pipeline_open(worker->pipeline)) && !pipeline_is_busy(worker->pipeline) && wait > 1)
        wait = 1;
    return wait;
}

static void wait_for_work(struct worker *worker)
{
    bool busy = pipeline_is_busy(worker->pipeline), room = has_room(worker);
    struct db *db = writer_db(worker->writer);
    struct pollfd fds[] = {
        {stop_fd(), POLLIN, 0},
        {room ? consumer_fd(worker->consumer) : -1, POLLIN, 0},
        {busy ? db_socket(db) : -1, (short)(POLLIN | (busy && db_wants_write(db) ? POLLOUT : 0)), 0},
    };
    int timeout = room ? wait_ms(worker) : busy ? 100 : 1;
    if (poll(fds, ARRAY_LEN(fds), timeout) > 0 && fds[1].revents != 0)
        consumer_fd_drain(worker->consumer);
}

/* A pause is an operator's wish: no failure, no delay. */
static enum cv_status poll_cursors(struct worker *worker, struct err *err)
{
    enum cv_status status = operator_control_poll(&worker->control, err);
    worker->expected = status == CV_RETRY && worker->control.stopped;
    return status;
}

/*
 * The duties of one turn, in their order. None of them recovers: CV_RETRY of any of them makes the caller do it. Those
 * that need a moment between two batches come before the next one is submitted.
 */
static enum cv_status turn(struct worker *worker, struct err *err)
{
    enum cv_status status = CV_OK;
    worker->loop_started_ms = clock_mono_ms();
    if (has_room(worker))
        status = intake_take(&worker->intake, err);
    if (status == CV_OK)
        status = settle(worker, err);
    if (status == CV_OK)
        status = claims_write_halts(&worker->claims, err);
    if (status == CV_OK)
        status = poll_cursors(worker, err);
    if (status == CV_OK)
        status = claims_connect(&worker->claims, err);
    worker->connected = worker->claims.connected;
    if (status == CV_OK)
        status = generation_watch_look(&worker->watch, err);
    if (status == CV_OK && generation_watch_fits(&worker->watch))
        status = claims_advance(&worker->claims, err);
    if (status == CV_OK)
        status = directory_names_follow(&worker->names, err);
    if (status == CV_OK)
        submit(worker);
    if (status == CV_OK)
        retry_held(worker);
    if (status == CV_OK)
        status = housekeeping_tick(&worker->housekeeping, err);
    return status;
}

/* One turn, and the recovery if a duty asks for it. CV_OK or CV_FATAL. */
static enum cv_status step(struct worker *worker, struct err *err)
{
    *err = (struct err)ERR_INIT;
    enum cv_status status = turn(worker, err);
    if (status == CV_RETRY) {
        recover(worker, err);
        return CV_OK;
    }
    return status;
}

static enum cv_status run(struct worker *worker, struct err *err)
{
    enum cv_status status = CV_OK;
    notify_ready(&worker->notify); /* the database may be away for long: that is a status, not a start that lasts */
    while (status == CV_OK && !stop_requested()) {
        tell_service_manager(worker);
        wait_for_work(worker);
        reload_files(worker);
        status = step(worker, err);
    }
    if (status != CV_OK)
        return status;
    log_info("stopping: finishing the records in hand");
    notify_status(&worker->notify, "stopping: finishing the records in hand");
    notify_stopping(&worker->notify);
    (void)flush(worker, clock_mono_ms() + DRAIN_MS); /* what is not written is read again by the next owner */
    return CV_OK;
}

/* ---- start and end ---- */

static enum cv_status open_consumer(struct worker *worker, struct err *err)
{
    size_t count;
    const char *const *topics = worker->partitions.topic_names;
    enum cv_status status = consumer_topics_check(topics, err);
    if (status != CV_OK)
        return status;
    const struct config_property *properties = config_pairs(worker->config, "kafka", &count);
    struct consumer_options options = {
        .properties = properties,
        .property_count = count,
        .topics = {topics[0], topics[1], topics[2]},
        .group_id = worker->group_id,
        .group_instance_id = config_text(worker->config, "group-instance-id"),
        .leave_group = config_flag(worker->config, "leave-group"),
        .client_id = "caseview",
        .queue_bytes = KAFKA_SHARE(worker->memory),
    };
    status = consumer_open(&options, before_revoke, worker, &worker->consumer, err);
    if (status != CV_OK)
        return status;
    worker->partitions.consumer = worker->consumer;
    worker->poll_within_ms = consumer_poll_within_ms(worker->consumer);
    return CV_OK;
}

static void name_groups(struct worker *worker)
{
    char process[128];
    process_name(process, sizeof process);
    snprintf(worker->default_group_id, sizeof worker->default_group_id, "caseview-g%d", worker->gen);
    const char *configured = config_text(worker->config, "group-id");
    worker->group_id = configured != NULL ? configured : worker->default_group_id;
    bool is_default = strcmp(worker->group_id, worker->default_group_id) == 0;
    snprintf(worker->owner, sizeof worker->owner, "%s%s%s", is_default ? "" : worker->group_id, is_default ? "" : "@",
             process);
}

/* Gives each duty what it works with. */
static void join_duties(struct worker *worker)
{
    const struct config *config = worker->config;
    claims_init(&worker->claims, worker->gen, worker->owner, &worker->partitions, worker->pipeline);
    worker->claims.writer = worker->writer;
    worker->claims.m = &worker->m;
    worker->control.claims = &worker->claims;
    directory_names_init(&worker->names, worker->gen);
    worker->names.partitions = &worker->partitions;
    worker->names.pipeline = worker->pipeline;
    worker->names.folder = worker->folder;
    worker->names.writer = worker->writer;
    worker->names.watch = &worker->watch;
    generation_watch_init(&worker->watch, worker->gen, config);
    worker->watch.writer = worker->writer;
    worker->watch.m = &worker->m;
    worker->partitions.option = worker->watch.option;
    batch_outcome_init(&worker->outcome, worker->gen);
    worker->outcome.claims = &worker->claims;
    worker->outcome.control = &worker->control;
    worker->outcome.names = &worker->names;
    intake_init(&worker->intake);
    worker->intake.partitions = &worker->partitions;
    worker->intake.pipeline = worker->pipeline;
    worker->intake.folder = worker->folder;
    worker->intake.writer = worker->writer;
    worker->intake.watch = &worker->watch;
    worker->intake.m = &worker->m;
    worker->housekeeping = (struct housekeeping){
        .claims = &worker->claims,
        .folder = worker->folder,
        .names = &worker->names,
        .watch = &worker->watch,
        .tombstone_days = (int)config_int(config, "tombstone-days"),
        .gap_alarm_s = (int)config_int(config, "gap-alarm-s"),
        .cache_bytes = CACHE_SHARE(worker->memory),
        .idle_cache_bytes = IDLE_CACHE(worker->memory),
        .unready = -1,
    };
}

static void init(struct worker *worker, const struct config *config)
{
    const char *topics[TOPIC_COUNT];
    topic_names(config, topics);
    /* One attempt of many: in between Kafka must be polled. */
    int64_t timeout_s = config_int(config, "connect-timeout-s");
    *worker = (struct worker){.config = config, .gen = (int32_t)config_int(config, "generation")};
    notify_init(&worker->notify);
    worker->memory = (size_t)config_int(config, "memory");
    name_groups(worker);
    partitions_init(&worker->partitions, topics);
    worker->metrics = metrics_new();
    worker_metrics_init(&worker->m, worker->metrics, topics, worker->gen, worker->memory);
    worker->writer = writer_new(config_text(config, "database"), worker->gen,
                                (int)(timeout_s < CONNECT_S ? timeout_s : CONNECT_S) * 1000);
    worker->folder = folder_new(CACHE_SHARE(worker->memory));
    worker->pipeline = pipeline_new(worker->folder, worker->writer, BATCH_SHARE(worker->memory));
    join_duties(worker);
}

static void done(struct worker *worker)
{
    schemas_close(worker->schemas);
    pipeline_free(worker->pipeline);
    writer_free(worker->writer);
    folder_free(worker->folder);
    directory_names_done(&worker->names);
    generation_watch_done(&worker->watch);
    intake_done(&worker->intake);
    claims_done(&worker->claims);
    partitions_done(&worker->partitions);
    metrics_free(worker->metrics);
    notify_done(&worker->notify);
}

/* Beyond max.poll.interval.ms the group has given the partitions to others: a new process helps. */
static void live(void *context, char *out_reason, size_t size)
{
    struct worker *worker = context;
    int64_t stuck_ms = clock_mono_ms() - worker->loop_started_ms;
    if (stuck_ms > worker->poll_within_ms)
        snprintf(out_reason, size, "the loop has been stuck for %" PRId64 " s, longer than max.poll.interval.ms",
                 stuck_ms / 1000);
}

static void refresh(void *context)
{
    struct worker *worker = context;
    metric_set(worker->m.loop_age, (double)(clock_mono_ms() - worker->loop_started_ms) / 1000);
}

static enum cv_status start_admin(struct worker *worker, struct admin **out_admin, struct err *err)
{
    struct admin_options options = {
        .listen = config_text(worker->config, "admin-listen"),
        .program = "worker",
        .metrics = worker->metrics,
        .refresh = refresh,
        .live = live,
        .ready = ready,
        .context = worker,
    };
    worker->loop_started_ms = clock_mono_ms();
    return admin_start(&options, out_admin, err);
}

int worker_main(const struct config *config)
{
    struct worker worker;
    struct err err = ERR_INIT;
    struct admin *admin = NULL;
    memory_tune_for_streams();
    init(&worker, config);
    enum cv_status status = schemas_open_options(config, &worker.schemas, &err);
    worker.intake.schemas = worker.schemas;
    if (status == CV_OK)
        status = open_consumer(&worker, &err);
    if (status == CV_OK)
        status = start_admin(&worker, &admin, &err);
    int exit_code = status == CV_OK ? CV_EXIT_OK : CV_EXIT_USAGE;
    if (status == CV_OK) {
        const char *const *topics = worker.partitions.topic_names;
        log_info("worker %s: generation %d, topics %s, %s, %s, memory %zu MiB", worker.owner, worker.gen, topics[0],
                 topics[1], topics[2], worker.memory >> 20);
        status = run(&worker, &err);
        /* The connection string cannot work, or another worker has this group-instance-id. */
        exit_code = status == CV_OK ? CV_EXIT_OK : CV_EXIT_USAGE;
    }
    if (status != CV_OK)
        log_error("%s", err.text);
    consumer_close(worker.consumer); /* first of all: the other workers wait for its partitions */
    admin_stop(admin);
    done(&worker);
    if (status == CV_OK)
        log_info("stopped");
    return exit_code;
}
