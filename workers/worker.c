#include "workers/worker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "caseview/admin.h"
#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "workers/worker_internal.h"

#define PROMPT_AGE_US  2000    /* caught up: what is at hand is written at once, or at most this late */
#define BEHIND_AGE_US  1000000 /* behind: a batch may grow for so long */
#define BEHIND_RECORDS 2000
#define DRAIN_MS       20000
#define CONNECT_S      60
#define EXPECT_NEW_MS  60000 /* after a wrong guess that a case is new */
#define REFOLDS_MAX    20

/* ---- batches ---- */

/* Nothing collected, nothing being written, nothing cached: all that is known again lies in the database. */
void worker_drop_batches(struct worker *worker)
{
    batch_reset(worker->collecting);
    batch_reset(worker->writing);
    cases_clear(worker->cases);
    agents_clear(worker->agents);
    names_clear(worker->names);
    worker->committed = worker->folds;
    worker->dir_no_unsaved = 0;
    worker->refolds = 0;
}

static bool is_full(const struct worker *worker)
{
    const struct batch *batch = worker->collecting;
    return batch->bytes >= worker->batch_bytes || batch->event_count + batch->parked_count >= worker->most_events;
}

static bool is_behind(const struct worker *worker)
{
    int64_t behind = 0;
    for (size_t i = 0; i < worker->partition_count; i++) {
        const struct partition *partition = &worker->partitions[i];
        if (partition->state != PARTITION_LIVE || partition->at_eof)
            continue;
        int64_t end = consumer_end_offset(worker->consumer, partition->topic, partition->part);
        if (end > partition->position)
            behind += end - partition->position;
    }
    return behind > BEHIND_RECORDS;
}

/* Small and prompt when caught up, growing when behind. */
static bool is_due(struct worker *worker)
{
    const struct batch *batch = worker->collecting;
    if (batch_is_empty(batch))
        return false;
    if (is_full(worker))
        return true;
    int64_t age_us = clock_mono_us() - batch->opened_at_us;
    bool all_read = !worker->more;
    for (size_t i = 0; i < batch->cursor_count && all_read; i++) {
        const struct partition *partition = worker_partition(worker, batch->cursors[i].topic, batch->cursors[i].part);
        all_read = partition != NULL && (partition->at_eof || partition->state != PARTITION_LIVE);
    }
    if (all_read)
        return true;
    return age_us >= (is_behind(worker) ? BEHIND_AGE_US : PROMPT_AGE_US);
}

static enum cv_status fold(struct worker *worker, struct batch *batch, struct err *err)
{
    int64_t started_us = clock_mono_us();
    batch_begin_fold(batch);
    names_trim(worker->names);
    worker->fold.loader = writer_loader(worker->writer);
    worker->fold.expect_new = clock_mono_ms() >= worker->expect_new_from_ms;
    enum cv_status status = cases_fold(worker->cases, batch, &worker->fold, err);
    if (status == CV_OK)
        status = agents_fold(worker->agents, batch, &worker->fold, err);
    if (status == CV_OK)
        status = entities_fold(batch, &worker->fold, err);
    if (status != CV_OK)
        return status;
    batch->folded = true;
    FAIL_POINT("folded");
    metric_observe_us(worker->m.fold_seconds, clock_mono_us() - started_us);
    return CV_OK;
}

/* What folds into more than there is memory for is read again, less of it at once; single events must fit. */
static enum cv_status after_failed_fold(struct worker *worker, const struct batch *batch, enum cv_status status,
                                        struct err *err)
{
    size_t most = batch->event_count > batch->rerender_count ? batch->event_count : batch->rerender_count;
    if (status == CV_FATAL && arena_full(batch->output) && most > 1) {
        worker->most_events = most / 4 + 1;
        status = CV_RETRY;
    }
    if (status != CV_RETRY)
        return status;
    worker_recover(worker, err);
    return CV_OK;
}

/*
 * Its rows are ours to render. They belong to a batch with the partition's claim: whoever lost it must not put an older
 * name back. Where the partition is read does not matter, only that the cursor is known.
 */
static bool shows_names(const struct partition *partition)
{
    switch (partition->state) {
    case PARTITION_PROVING:
    case PARTITION_LIVE:
    case PARTITION_HELD:
    case PARTITION_HALTED:
        return partition->topic != TOPIC_DIRECTORY;
    case PARTITION_UNCLAIMED:
    case PARTITION_HALTING: /* its cursor is about to change */
    case PARTITION_STATE_COUNT:
        break;
    }
    return false;
}

/* What an idle partition's cursor still has to say: read to its end, names up to a number. Once a second at most. */
static void add_idle_cursors(struct worker *worker)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < worker->partition_count; i++) {
        struct partition *partition = &worker->partitions[i];
        if (partition->state != PARTITION_LIVE || !partition->complete_pending || !partition->at_eof ||
            now < partition->completed_ms + 1000)
            continue;
        worker_batch_cursor(worker, partition)->complete = true;
        partition->complete_pending = false;
        partition->completed_ms = now;
    }
    bool alone = batch_is_empty(worker->collecting);
    if (worker->dir_no_unsaved == 0 || (alone && now < worker->dir_no_saved_ms + 1000))
        return;
    worker->dir_no_saved_ms = now;
    for (size_t i = 0; i < worker->partition_count; i++)
        if (shows_names(&worker->partitions[i]))
            worker_batch_cursor(worker, &worker->partitions[i])->dir_no = worker->dir_no_unsaved;
    worker->dir_no_unsaved = 0;
}

static void send_batch(struct worker *worker)
{
    struct err err = ERR_INIT;
    worker->sent_at_us = clock_mono_us();
    FAIL_POINT("send.before");
    if (writer_send(worker->writer, worker->writing, &err) != CV_OK)
        worker_recover(worker, &err);
}

/*
 * Cases and agents are folded upon the cache, which is ahead of the database; directory entities upon their rows, which
 * must not be on their way there.
 */
static bool can_fold_ahead(const struct worker *worker)
{
    const struct batch *writing = worker->writing;
    return worker->collecting->directory_count == 0 || writing->entity_count + writing->version_count == 0;
}

/* Folds the batch being collected when it is due, and sends it when the one before is committed. */
static enum cv_status advance(struct worker *worker, struct err *err)
{
    bool idle = !writer_is_busy(worker->writer);
    if (!writer_is_connected(worker->writer))
        return CV_OK;
    if (idle)
        add_idle_cursors(worker);
    struct batch *batch = worker->collecting;
    if (!batch->folded && (idle ? is_due(worker) : is_full(worker) && can_fold_ahead(worker))) {
        enum cv_status status = fold(worker, batch, err);
        if (status != CV_OK)
            return after_failed_fold(worker, batch, status, err);
        worker->folds++;
    }
    if (batch->folded && idle) {
        worker->collecting = worker->writing;
        worker->writing = batch;
        send_batch(worker);
    }
    return CV_OK;
}

/* Upon what is in the database now, and sent. */
static enum cv_status fold_again(struct worker *worker, struct err *err)
{
    cases_clear(worker->cases);
    agents_clear(worker->agents);
    if (worker->collecting->folded) {
        batch_begin_fold(worker->collecting);
        worker->folds--;
    }
    enum cv_status status = fold(worker, worker->writing, err);
    if (status != CV_OK)
        return after_failed_fold(worker, worker->writing, status, err);
    send_batch(worker);
    return CV_OK;
}

static enum cv_status refold(struct worker *worker, struct err *err)
{
    metric_add(worker->m.refolds, 1);
    log_limit_add(&worker->refolded, 1);
    int64_t times = log_limit_due(&worker->refolded);
    if (times > 0)
        log_info("%" PRId64 " batches were folded again since a row of theirs had been written by somebody else (%s): "
                 "some are normal while partitions move or events are folded again; if it goes on, `caseview status` "
                 "shows the owners",
                 times, err->text);
    worker->expect_new_from_ms = clock_mono_ms() + EXPECT_NEW_MS;
    if (++worker->refolds > REFOLDS_MAX) {
        worker_recover(worker, err);
        return CV_OK;
    }
    return fold_again(worker, err);
}

/* An operator paused a partition of it, or else somebody has claimed one. */
static enum cv_status after_refused_fence(struct worker *worker, struct err *err)
{
    if (worker_stop_paused(worker) > 0) {
        if (!batch_is_empty(worker->writing))
            return fold_again(worker, err);
        worker->folds--;
        return CV_OK;
    }
    metric_add(worker->m.fenced, 1);
    if (worker->rival[0])
        err_set(err,
                "a claim was refused: %s, a worker of another consumer group (group-id): two groups that work on "
                "generation %d take each other's claims for ever; stop one, or give it another generation",
                worker->rival, worker->gen);
    else
        err_set(err, "a claim was refused: another worker owns a partition of ours by now; `caseview status` shows "
                     "the owners");
    worker_recover(worker, err);
    return CV_OK;
}

void worker_committed(struct worker *worker)
{
    cases_committed(worker->cases, worker->writing);
    agents_committed(worker->agents, worker->writing);
    worker->committed++;
    worker_count_commit(worker, worker->writing);
    if (worker->writing->event_count + worker->writing->parked_count > 0)
        retry_reset(&worker->reconnect); /* what only moves cursors says nothing of rows that are refused */
    batch_reset(worker->writing);
    worker->refolds = 0;
    worker->most_events += worker->most_events / 8 + 1; /* back to what was configured, in steps */
    if (worker->most_events > worker->batch_events)
        worker->most_events = worker->batch_events;
}

static void log_sent_again(struct worker *worker, const struct err *err)
{
    log_limit_add(&worker->sent_again, 1);
    int64_t times = log_limit_due(&worker->sent_again);
    if (times > 0)
        log_info("%" PRId64 " batches were sent again (%s); if it goes on, look who locks: SELECT pid, usename, state, "
                 "query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start",
                 times, err->text);
}

static enum cv_status collect_outcome(struct worker *worker, struct err *err)
{
    switch (writer_poll(worker->writer, err)) {
    case WRITER_IDLE:
    case WRITER_BUSY:
        return CV_OK;
    case WRITER_COMMITTED:
        worker_committed(worker);
        FAIL_POINT("commit.after");
        return CV_OK;
    case WRITER_AGAIN:
        metric_add(worker->m.retries, 1);
        log_sent_again(worker, err);
        send_batch(worker);
        return CV_OK;
    case WRITER_REFOLD:
        return refold(worker, err);
    case WRITER_RECOVER:
        if (strcmp(err->sqlstate, "22012") == 0)
            return after_refused_fence(worker, err);
        worker_recover(worker, err);
        return CV_OK;
    }
    return CV_OK;
}

/*
 * With claims that the feed knows, and while none of its partitions is about to halt: it would give rows of that one,
 * too, and none may be written without its claim.
 */
static bool may_follow_directory(const struct worker *worker)
{
    for (size_t i = 0; i < worker->partition_count; i++)
        if (worker->partitions[i].state == PARTITION_HALTING && worker->partitions[i].topic != TOPIC_DIRECTORY)
            return false;
    return writer_is_connected(worker->writer) && !worker->feed_stale;
}

static void follow_directory(struct worker *worker)
{
    if (!may_follow_directory(worker))
        return;
    struct err err = ERR_INIT;
    int64_t dir_no;
    struct batch *batch = worker->collecting->folded ? NULL : worker->collecting;
    size_t before = worker->collecting->rerender_count;
    arena_reset(worker->scratch);
    worker->fold.loader = writer_loader(worker->writer);
    worker->fold.rerenders_max = worker->most_events;
    if (feed_step(worker->feed, &worker->fold, worker->scratch, worker->folds, worker->committed, batch, &dir_no,
                  &err) != CV_OK) {
        worker_recover(worker, &err);
        return;
    }
    if (dir_no > 0)
        worker->dir_no_unsaved = dir_no;
    size_t added = worker->collecting->rerender_count - before;
    metric_add(worker->m.rerendered, (int64_t)added);
    if (added == 0)
        return;
    /* The rows need a cursor beside them, or the batch would never be due. */
    for (size_t i = 0; i < worker->partition_count; i++)
        if (shows_names(&worker->partitions[i]))
            worker_batch_cursor(worker, &worker->partitions[i]);
}

/* ---- the loop ---- */

static int wait_ms(const struct worker *worker)
{
    if (worker->more)
        return 0;
    int wait = 100;
    int feed = feed_wait_ms(worker->feed);
    if (feed >= 0 && feed < wait && may_follow_directory(worker))
        wait = feed;
    if (!batch_is_empty(worker->collecting) && !writer_is_busy(worker->writer) && wait > 1)
        wait = 1;
    return wait;
}

static void wait_for_work(struct worker *worker)
{
    bool busy = writer_is_busy(worker->writer);
    struct db *db = writer_db(worker->writer);
    bool room = !is_full(worker) && !worker->collecting->folded;
    struct pollfd fds[] = {
        {stop_fd(), POLLIN, 0},
        {room ? consumer_fd(worker->consumer) : -1, POLLIN, 0},
        {busy ? db_socket(db) : -1, (short)(POLLIN | (busy && db_wants_write(db) ? POLLOUT : 0)), 0},
    };
    int timeout = room ? wait_ms(worker) : 100;
    if (poll(fds, ARRAY_LEN(fds), timeout) > 0 && fds[1].revents != 0)
        consumer_fd_drain(worker->consumer);
}

static enum cv_status turn(struct worker *worker, bool take, struct err *err)
{
    worker->turned_ms = clock_mono_ms();
    enum cv_status status = CV_OK;
    if (take && !is_full(worker) && !worker->collecting->folded)
        status = worker_take_events(worker, err);
    if (status == CV_OK)
        status = collect_outcome(worker, err);
    if (status == CV_OK) {
        /* Between two batches: under load advance() leaves no such moment. */
        worker_halt_partitions(worker);
        worker_look_at_cursors(worker);
        status = worker_claim_partitions(worker, err);
    }
    if (status == CV_OK) {
        follow_directory(worker);
        status = advance(worker, err);
    }
    if (status == CV_OK) {
        worker_retry_held(worker);
        worker_tick(worker);
    }
    return status;
}

static enum cv_status drain(struct worker *worker, struct err *err)
{
    int64_t deadline = clock_mono_ms() + DRAIN_MS;
    enum cv_status status = CV_OK;
    log_info("stopping: finishing what is at hand");
    while (status == CV_OK && clock_mono_ms() < deadline && writer_is_connected(worker->writer) &&
           (writer_is_busy(worker->writer) || !batch_is_empty(worker->collecting))) {
        worker->more = false;
        status = turn(worker, false, err);
        struct db *db = writer_db(worker->writer);
        if (!writer_is_busy(worker->writer) || db == NULL)
            continue;
        db_pipeline_wait(db, 20);
    }
    return status;
}

static enum cv_status run(struct worker *worker, struct err *err)
{
    enum cv_status status = CV_OK;
    while (status == CV_OK && !stop_requested()) {
        wait_for_work(worker);
        status = turn(worker, true, err);
    }
    return status == CV_OK ? drain(worker, err) : status;
}

/* ---- start and end ---- */

static enum cv_status open_consumer(struct worker *worker, struct err *err)
{
    struct consumer_property *properties = NULL;
    size_t count = 0;
    const char *name, *value;
    while (config_pair(worker->config, "kafka", count, &name, &value)) {
        properties = cv_realloc(properties, (count + 1) * sizeof *properties);
        properties[count++] = (struct consumer_property){name, value};
    }
    struct consumer_options options = {
        .properties = properties,
        .property_count = count,
        .topics = {worker->topics[0], worker->topics[1], worker->topics[2]},
        .group_id = worker->group_id,
        .group_instance_id = config_text(worker->config, "group-instance-id"),
        .client_id = "caseview",
    };
    enum cv_status status = consumer_open(&options, worker_before_revoke, worker, &worker->consumer, err);
    free(properties);
    return status;
}

static void name_groups(struct worker *worker)
{
    char host[64] = "?";
    gethostname(host, sizeof host - 1);
    snprintf(worker->default_group_id, sizeof worker->default_group_id, "caseview-g%d", worker->gen);
    const char *configured = config_text(worker->config, "group-id");
    worker->group_id = configured ? configured : worker->default_group_id;
    bool is_default = strcmp(worker->group_id, worker->default_group_id) == 0;
    snprintf(worker->owner, sizeof worker->owner, "%s%s%s:%d", is_default ? "" : worker->group_id,
             is_default ? "" : "@", host, (int)getpid());
}

static void init(struct worker *worker, const struct config *config)
{
    *worker = (struct worker){
        .config = config, .gen = (int32_t)config_int(config, "generation"), .unready = -1, .exit_code = CV_EXIT_BUG};
    name_groups(worker);
    worker->topics[TOPIC_CASES] = config_text(config, "case-topic");
    worker->topics[TOPIC_AGENTS] = config_text(config, "agent-topic");
    worker->topics[TOPIC_DIRECTORY] = config_text(config, "directory-topic");
    worker->batch_bytes = 64u << 20;
    worker->most_events = worker->batch_events = 200000;
    worker->tombstone_days = (int)config_int(config, "tombstone-days");
    worker->gap_alarm_s = (int)config_int(config, "gap-alarm-s");
    /* Of the memory for what is cached, cases take the most. */
    size_t cache_bytes = 64u << 20;
    worker->cases = cases_new(cache_bytes / 8 * 6);
    worker->agents = agents_new(cache_bytes / 8);
    worker->names = names_new(cache_bytes / 8);
    worker->feed = feed_new(worker->gen);
    worker->fold.names = worker->names;
    buf_init(&worker->fold.scratch, 64u << 20);
    worker->scratch = arena_new(1u << 16, 64u << 20);
    worker->events = cv_alloc(CONSUMER_POLL_MAX * sizeof *worker->events);
    worker->collecting = batch_new(worker->batch_bytes);
    worker->writing = batch_new(worker->batch_bytes);
    /* One attempt of many: in between Kafka must be polled. */
    int64_t timeout_s = config_int(config, "connect-timeout-s");
    worker->writer = writer_new(config_text(config, "database"), worker->gen,
                                (int)(timeout_s < CONNECT_S ? timeout_s : CONNECT_S) * 1000);
    retry_init(&worker->reconnect, 100, 5000);
    worker->metrics = metrics_new();
    worker_metrics_init(worker);
}

static void done(struct worker *worker)
{
    consumer_close(worker->consumer);
    schemas_close(worker->schemas);
    writer_free(worker->writer);
    batch_free(worker->collecting);
    batch_free(worker->writing);
    cases_free(worker->cases);
    agents_free(worker->agents);
    names_free(worker->names);
    feed_free(worker->feed);
    buf_done(&worker->fold.scratch);
    arena_free(worker->scratch);
    free(worker->events);
    free(worker->partitions);
    metrics_free(worker->metrics);
}

static void ready(void *context, char *out_reason, size_t size)
{
    struct worker *worker = context;
    int unready = worker->unready;
    if (!worker->connected)
        snprintf(out_reason, size, "waiting for the database");
    else if (unready < 0)
        snprintf(out_reason, size, "waiting for the consumer group to assign partitions");
    else if (unready > 0)
        snprintf(out_reason, size, "%d partitions are still to be claimed", unready);
    else
        out_reason[0] = '\0';
}

/* Above the group's patience others have its partitions: a new process helps, this one may stand still for ever. */
static void live(void *context, char *out_reason, size_t size)
{
    struct worker *worker = context;
    int64_t still_ms = clock_mono_ms() - worker->turned_ms;
    if (still_ms > consumer_poll_within_ms(worker->consumer))
        snprintf(out_reason, size, "the loop has stood still for %" PRId64 " s, longer than max.poll.interval.ms",
                 still_ms / 1000);
}

static enum cv_status start_admin(struct worker *worker, struct admin **out_admin, struct err *err)
{
    struct admin_options options = {
        .listen = config_text(worker->config, "admin-listen"),
        .metrics = worker->metrics,
        .live = live,
        .ready = ready,
        .context = worker,
    };
    worker->turned_ms = clock_mono_ms();
    return admin_start(&options, out_admin, err);
}

int worker_main(const struct config *config)
{
    struct worker worker;
    struct err err = ERR_INIT;
    struct admin *admin = NULL;
    init(&worker, config);
    enum cv_status status = schemas_open_options(config, &worker.schemas, &err);
    if (status == CV_OK)
        status = open_consumer(&worker, &err);
    if (status == CV_OK)
        status = start_admin(&worker, &admin, &err);
    int exit_code = status == CV_OK ? CV_EXIT_OK : CV_EXIT_USAGE;
    if (status == CV_OK) {
        log_info("worker %s: generation %d, topics %s, %s, %s", worker.owner, worker.gen, worker.topics[0],
                 worker.topics[1], worker.topics[2]);
        status = run(&worker, &err);
        exit_code = status == CV_OK ? CV_EXIT_OK : worker.exit_code;
    }
    if (status != CV_OK)
        log_error("%s", err.text);
    admin_stop(admin);
    done(&worker);
    if (status == CV_OK)
        log_info("stopped");
    return exit_code;
}
