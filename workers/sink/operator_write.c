#include "workers/sink/operator_write.h"

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "sql_worker.h"

#define CACHE_BYTES      (16u << 20)
#define ARENA_BLOCK      (256u << 10)
#define ARENA_MAX        (1u << 30)
#define ANSWER_MS        60000
#define GIVE_UP_MS       60000
#define LOCK_TIMEOUT_MS  100 /* at first; a worker that is far behind holds its cursor longer */
#define LOCK_TIMEOUT_MAX 5000

static const struct db_statement positions_statement = {"operator_positions", sql_operator_positions};

struct operator_event {
    struct operator_event *next;
    struct record record;
    struct event event;
};

struct still_parked {
    struct still_parked *next;
    struct record record;
    struct str topic_name;
    bool has_organization;
    struct uuid organization_id;
    enum park_reason reason;
    struct str text;
};

struct named_partition {
    struct named_partition *next;
    enum topic topic;
    int32_t part;
    struct str topic_name;
};

struct operator_write {
    int32_t gen;
    struct writer *writer;
    struct folder *folder;
    struct batch *batch;
    struct arena *arena;   /* of what the caller gave */
    struct arena *scratch; /* of one query */
    struct named_partition *partitions;
    struct operator_event *events, **last_event;
    struct still_parked *still_parked;
    struct batch_unpark *unparks;
    size_t unpark_count, unpark_room;
    bool repairs, replace;
    struct folder_key key;
    int32_t rev;
    struct operator_steps steps;
};

enum cv_status operator_write_open(const char *conninfo, int32_t gen, int connect_timeout_ms,
                                   struct operator_write **out_write, struct err *err)
{
    struct operator_write *write = cv_zalloc(sizeof *write);
    write->gen = gen;
    write->writer = writer_new(conninfo, gen, connect_timeout_ms);
    write->folder = folder_new(CACHE_BYTES);
    write->batch = batch_new();
    write->arena = arena_new(ARENA_BLOCK, ARENA_MAX);
    write->scratch = arena_new(ARENA_BLOCK, ARENA_MAX);
    operator_write_begin(write);
    enum cv_status status = writer_connect(write->writer, err);
    if (status == CV_OK)
        *out_write = write;
    else
        operator_write_close(write);
    return status;
}

void operator_write_close(struct operator_write *write)
{
    if (write == NULL)
        return;
    batch_reset(write->batch, folder_caches(write->folder));
    batch_free(write->batch);
    writer_free(write->writer);
    folder_free(write->folder);
    arena_free(write->arena);
    arena_free(write->scratch);
    free(write->unparks);
    free(write);
}

struct db *operator_write_db(struct operator_write *write)
{
    return writer_db(write->writer);
}

/* ---- what the caller gives ---- */

void operator_write_begin(struct operator_write *write)
{
    arena_reset(write->arena);
    write->partitions = NULL;
    write->events = NULL;
    write->last_event = &write->events;
    write->still_parked = NULL;
    write->unpark_count = 0;
    write->repairs = write->replace = false;
}

struct arena *operator_write_arena(struct operator_write *write)
{
    return write->arena;
}

static void *alloc(struct operator_write *write, size_t size)
{
    void *memory = arena_alloc(write->arena, size);
    assert(memory != NULL); /* a slice of parked events, or the events of one key, are far below ARENA_MAX */
    return memory;
}

void operator_write_partition(struct operator_write *write, enum topic topic, int32_t part, struct str topic_name)
{
    for (const struct named_partition *p = write->partitions; p != NULL; p = p->next)
        if (p->topic == topic && p->part == part)
            return;
    struct named_partition *named = alloc(write, sizeof *named);
    *named = (struct named_partition){write->partitions, topic, part, topic_name};
    write->partitions = named;
}

void operator_write_event(struct operator_write *write, const struct record *record, const struct event *event)
{
    struct operator_event *kept = alloc(write, sizeof *kept);
    *kept = (struct operator_event){NULL, *record, *event};
    *write->last_event = kept;
    write->last_event = &kept->next;
}

void operator_write_unpark(struct operator_write *write, const struct batch_unpark *unpark)
{
    write->unparks = cv_grow(write->unparks, write->unpark_count, &write->unpark_room, sizeof *write->unparks);
    write->unparks[write->unpark_count++] = *unpark;
}

void operator_write_still_parked(struct operator_write *write, const struct record *record, struct str topic_name,
                                 const struct uuid *organization_id, enum park_reason reason, const char *text)
{
    struct still_parked *kept = alloc(write, sizeof *kept);
    *kept = (struct still_parked){
        .next = write->still_parked,
        .record = *record,
        .topic_name = topic_name,
        .has_organization = organization_id != NULL,
        .reason = reason,
        .text = arena_str(write->arena, str_of(text)),
    };
    if (organization_id != NULL)
        kept->organization_id = *organization_id;
    write->still_parked = kept;
}

void operator_write_repair(struct operator_write *write, const struct folder_key *key, int32_t rev, bool replace)
{
    write->repairs = true;
    write->key = *key;
    write->rev = rev;
    write->replace = replace;
}

/* ---- folding ---- */

/* The number of the directory, and what the rows of the partitions depend on: read before any name or row is. */
static enum cv_status read_positions(struct operator_write *write, struct err *err)
{
    struct batch *batch = write->batch;
    for (const struct named_partition *p = write->partitions; p != NULL; p = p->next)
        (void)batch_add_cursor(batch,
                               &(struct batch_cursor){.topic = p->topic, .part = p->part, .topic_name = p->topic_name});
    struct batch_cursor *c = batch->cursors;
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    arena_reset(write->scratch);
    db_args_init(&args, write->scratch);
    db_arg_int4(&args, write->gen);
    db_arg_text_array(&args, &c->topic_name, sizeof *c, batch->cursor_count);
    db_arg_int4_array(&args, &c->part, sizeof *c, batch->cursor_count);
    enum cv_status status = db_exec(writer_loader(write->writer), &positions_statement, &args, ANSWER_MS, &result, err);
    if (status != CV_OK)
        return status;
    if ((size_t)db_rows(result) != batch->cursor_count) {
        err_set(err, "a partition has no cursor in generation %d: no worker has read it yet", write->gen);
        status = CV_FATAL;
    }
    for (int row = 0; row < db_rows(result) && status == CV_OK; row++) {
        struct batch_cursor *cursor = &c[db_int8(result, row, 0) - 1];
        cursor->claim = db_uuid(result, row, 1);
        cursor->old_offset = db_int8(result, row, 2);
        write->steps.clock = db_int8(result, row, 3);
    }
    return status;
}

static struct str topic_name_of(const struct operator_write *write, const struct record *record)
{
    for (const struct named_partition *p = write->partitions; p != NULL; p = p->next)
        if (p->topic == record->topic && p->part == record->partition)
            return p->topic_name;
    return STR_NULL;
}

/* What is refused now stays parked; of a repaired key such an event is left out, as the worker would have done. */
static void park_refused(struct operator_write *write)
{
    size_t count;
    const struct folder_refusal *refusals = folder_refusals(write->folder, &count);
    for (const struct still_parked *p = write->still_parked; p != NULL; p = p->next)
        batch_park(write->batch, &p->record, p->topic_name, STR_NULL, p->has_organization ? &p->organization_id : NULL,
                   p->reason, p->text.ptr);
    for (size_t i = 0; i < count; i++) {
        struct record bare = *refusals[i].record;
        bare.key = bare.value = STR_NULL; /* the row has them */
        batch_park(write->batch, &bare, topic_name_of(write, &bare), STR_NULL, &refusals[i].organization_id,
                   refusals[i].reason, refusals[i].text);
    }
}

static enum cv_status begin_repair(struct operator_write *write, bool *out_stale, struct err *err)
{
    int32_t rev;
    struct db *db = writer_loader(write->writer);
    enum cv_status status = folder_revision(write->folder, db, &write->key, &rev, err);
    if (status != CV_OK)
        return status;
    *out_stale = rev != write->rev;
    if (*out_stale)
        return CV_OK;
    if (write->replace) {
        if (write->events != NULL)
            folder_replace(write->folder, write->batch, &write->key);
        return CV_OK;
    }
    return folder_rerender(write->folder, db, write->batch, &write->key, 1, err);
}

static enum cv_status fold(struct operator_write *write, bool *out_stale, struct err *err)
{
    struct db *db = writer_loader(write->writer);
    batch_reset(write->batch, folder_caches(write->folder));
    folder_clear(write->folder);
    *out_stale = false;
    enum cv_status status = read_positions(write, err);
    if (status == CV_OK && write->repairs)
        status = begin_repair(write, out_stale, err);
    folder_begin(write->folder);
    for (const struct operator_event *e = write->events; e != NULL && status == CV_OK && !*out_stale; e = e->next)
        folder_add(write->folder, write->batch, &e->record, &e->event);
    if (status == CV_OK)
        status = folder_load(write->folder, db, write->batch, err);
    if (status != CV_OK)
        return status;
    park_refused(write);
    batch_close(write->batch);
    FAIL_POINT("outside.folded");
    return CV_OK;
}

/* ---- writing ---- */

static enum writer_outcome send(struct operator_write *write, int lock_timeout_ms, struct err *err)
{
    write->steps.lock_timeout_ms = lock_timeout_ms;
    write->steps.unparks = write->unparks;
    write->steps.unpark_count = write->unpark_count;
    write->steps.unparking = !write->repairs;
    writer_send(write->writer, write->batch, folder_names(write->folder), &write->steps);
    FAIL_POINT("outside.sent");
    int64_t deadline = clock_mono_ms() + ANSWER_MS;
    enum writer_outcome outcome = writer_poll(write->writer, err);
    while (outcome == WRITER_BUSY && clock_mono_ms() < deadline) {
        db_pipeline_wait(writer_db(write->writer), 100);
        outcome = writer_poll(write->writer, err);
    }
    if (outcome == WRITER_BUSY) {
        err_set(err, "no answer from the database for %d s", ANSWER_MS / 1000);
        outcome = WRITER_LOST;
    }
    FAIL_POINT("outside.answered");
    return outcome;
}

/* One try. *out_again: another writer was in the way. */
static enum cv_status try_once(struct operator_write *write, int lock_timeout_ms, enum operator_outcome *out_outcome,
                               bool *out_again, struct err *err)
{
    bool stale;
    *out_again = false;
    enum cv_status status = fold(write, &stale, err);
    if (status != CV_OK)
        return status;
    *out_outcome = OPERATOR_STALE;
    if (stale)
        return CV_OK;
    switch (send(write, lock_timeout_ms, err)) {
    case WRITER_COMMITTED:
        *out_outcome = OPERATOR_WRITTEN;
        return CV_OK;
    case WRITER_REFUSED:
        *out_outcome = OPERATOR_REFUSED;
        return CV_OK;
    case WRITER_CONFLICT:
        *out_again = !writer_lost_parked(write->writer);
        return CV_OK;
    case WRITER_AGAIN:
        *out_again = true;
        return CV_OK;
    case WRITER_IDLE:
    case WRITER_BUSY:
    case WRITER_FENCED:
    case WRITER_LOST:
        break;
    }
    return CV_RETRY;
}

enum cv_status operator_write_commit(struct operator_write *write, enum operator_outcome *out_outcome, struct err *err)
{
    struct retry retry;
    int lock_timeout_ms = LOCK_TIMEOUT_MS;
    int64_t deadline = clock_mono_ms() + GIVE_UP_MS;
    retry_init(&retry, 10, 1000);
    for (;;) {
        bool again;
        enum cv_status status = try_once(write, lock_timeout_ms, out_outcome, &again, err);
        if (status != CV_OK || !again)
            return status;
        if (clock_mono_ms() >= deadline) {
            err_prefix(err, "refused for %d s, other sessions keep writing the same rows", GIVE_UP_MS / 1000);
            return CV_RETRY;
        }
        log_debug("re-folding: %s", err->text);
        if (stop_wait(retry_failed(&retry))) {
            err_set(err, "stopped");
            return CV_RETRY;
        }
        lock_timeout_ms = lock_timeout_ms * 2 < LOCK_TIMEOUT_MAX ? lock_timeout_ms * 2 : LOCK_TIMEOUT_MAX;
    }
}

size_t operator_write_left(const struct operator_write *write)
{
    return write->batch->parked_count;
}
