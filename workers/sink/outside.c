#include "workers/sink/outside.h"

#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/sink/agents.h"
#include "workers/sink/cases.h"
#include "workers/sink/entities.h"
#include "workers/sink/writer.h"

#define BATCH_BYTES      (64u << 20)
#define CACHE_BYTES      (16u << 20)
#define SCRATCH_MAX      (64u << 20)
#define ANSWER_MS        60000
#define GIVE_UP_MS       60000
#define LOCK_TIMEOUT_MS  100 /* at first; a worker that is far behind holds its cursor longer */
#define LOCK_TIMEOUT_MAX 5000

static const struct db_statement look_statement = {"outside_look", sql_outside_look};

struct outside {
    int32_t gen;
    struct writer *writer;
    struct batch *batch;
    struct cases *cases;
    struct agents *agents;
    struct names *names;
    struct fold_context fold;
    struct arena *scratch;
    int64_t clock; /* of the directory, before any name was read */
};

enum cv_status outside_open(const char *conninfo, int32_t gen, int connect_timeout_ms, struct outside **out_outside,
                            struct err *err)
{
    struct outside *outside = cv_zalloc(sizeof *outside);
    outside->gen = gen;
    outside->writer = writer_new(conninfo, gen, connect_timeout_ms);
    outside->batch = batch_new(BATCH_BYTES);
    outside->cases = cases_new(CACHE_BYTES);
    outside->agents = agents_new(CACHE_BYTES);
    outside->names = names_new(CACHE_BYTES);
    outside->fold.names = outside->names;
    buf_init(&outside->fold.scratch, SCRATCH_MAX);
    outside->scratch = arena_new(1u << 16, SCRATCH_MAX);
    enum cv_status status = writer_connect(outside->writer, err);
    if (status == CV_OK)
        *out_outside = outside;
    else
        outside_close(outside);
    return status;
}

void outside_close(struct outside *outside)
{
    if (outside == NULL)
        return;
    writer_free(outside->writer);
    batch_free(outside->batch);
    cases_free(outside->cases);
    agents_free(outside->agents);
    names_free(outside->names);
    buf_done(&outside->fold.scratch);
    arena_free(outside->scratch);
    free(outside);
}

struct batch *outside_batch(struct outside *outside)
{
    return outside->batch;
}

struct db *outside_db(struct outside *outside)
{
    return writer_db(outside->writer);
}

/* The number of the directory, and of the cursors what their rows depend on. */
static enum cv_status look(struct outside *outside, struct err *err)
{
    struct batch *batch = outside->batch;
    struct batch_cursor *c = batch->cursors;
    struct db_args args;
    arena_reset(outside->scratch);
    db_args_init(&args, outside->scratch);
    db_arg_int4(&args, outside->gen);
    db_arg_text_array(&args, &c->topic_name, sizeof *c, batch->cursor_count);
    db_arg_int4_array(&args, &c->part, sizeof *c, batch->cursor_count);
    struct db_result *result;
    enum cv_status status = db_exec(writer_loader(outside->writer), &look_statement, &args, ANSWER_MS, &result, err);
    if (status != CV_OK)
        return status;
    if ((size_t)db_rows(result) == batch->cursor_count) {
        for (int row = 0; row < db_rows(result); row++) {
            struct batch_cursor *cursor = &c[db_int8(result, row, 0) - 1];
            outside->clock = db_int8(result, row, 3);
            if (batch->replace)
                continue; /* the caller says what it has seen */
            cursor->claim = db_uuid(result, row, 1);
            cursor->old_offset = db_int8(result, row, 2);
        }
    } else {
        err_set(err, "a partition has no cursor in generation %d: no worker has read it yet", outside->gen);
        status = CV_FATAL;
    }
    db_result_free(result);
    return status;
}

static enum cv_status fold(struct outside *outside, struct err *err)
{
    struct batch *batch = outside->batch;
    cases_clear(outside->cases);
    agents_clear(outside->agents);
    names_clear(outside->names);
    batch_begin_fold(batch);
    outside->fold.loader = writer_loader(outside->writer);
    enum cv_status status = look(outside, err);
    if (status == CV_OK)
        status = cases_fold(outside->cases, batch, &outside->fold, err);
    if (status == CV_OK)
        status = agents_fold(outside->agents, batch, &outside->fold, err);
    if (status == CV_OK)
        status = entities_fold(batch, &outside->fold, err);
    batch->folded = status == CV_OK;
    FAIL_POINT("outside.folded");
    return status;
}

static enum writer_outcome send(struct outside *outside, int lock_timeout_ms, struct err *err)
{
    enum cv_status status = writer_send_outside(outside->writer, outside->batch, outside->clock, lock_timeout_ms, err);
    if (status != CV_OK)
        return WRITER_RECOVER;
    FAIL_POINT("outside.sent");
    int64_t deadline = clock_mono_ms() + ANSWER_MS;
    enum writer_outcome outcome = writer_poll(outside->writer, err);
    while (outcome == WRITER_BUSY && clock_mono_ms() < deadline) {
        db_pipeline_wait(writer_db(outside->writer), 100);
        outcome = writer_poll(outside->writer, err);
    }
    if (outcome == WRITER_BUSY) {
        err_set(err, "no answer from the database for %d s", ANSWER_MS / 1000);
        outcome = WRITER_RECOVER;
    }
    FAIL_POINT("outside.answered");
    return outcome;
}

/*
 * Folding again does not help: parked events are gone, or somebody has written the directory since the caller saw it.
 * (A case or an agent that was written meanwhile shows when it is folded again.)
 */
static bool is_stale(const struct outside *outside, enum writer_outcome outcome)
{
    const struct batch *batch = outside->batch;
    bool directory = false;
    for (size_t i = 0; i < batch->cursor_count; i++)
        directory |= batch->cursors[i].topic == TOPIC_DIRECTORY;
    return outcome == WRITER_REFOLD && (writer_lost_parked(outside->writer) || (batch->replace && directory));
}

enum cv_status outside_write(struct outside *outside, bool *out_stale, struct err *err)
{
    struct retry retry;
    int lock_timeout_ms = LOCK_TIMEOUT_MS;
    int64_t deadline = clock_mono_ms() + GIVE_UP_MS;
    retry_init(&retry, 10, 1000);
    for (;;) {
        enum cv_status status = fold(outside, err);
        if (status != CV_OK)
            return status;
        *out_stale = outside->batch->stale;
        if (*out_stale)
            return CV_OK;
        enum writer_outcome outcome = send(outside, lock_timeout_ms, err);
        *out_stale = is_stale(outside, outcome);
        if (outcome == WRITER_COMMITTED || *out_stale)
            return CV_OK;
        if (outcome == WRITER_RECOVER)
            return CV_RETRY;
        if (clock_mono_ms() >= deadline) {
            err_prefix(err, "refused for %d s, workers or somebody else write the same rows all the time",
                       GIVE_UP_MS / 1000);
            return CV_RETRY;
        }
        log_debug("folding again: %s", err->text);
        if (stop_wait(retry_failed(&retry))) {
            err_set(err, "stopped");
            return CV_RETRY;
        }
        lock_timeout_ms = lock_timeout_ms * 2 < LOCK_TIMEOUT_MAX ? lock_timeout_ms * 2 : LOCK_TIMEOUT_MAX;
    }
}
