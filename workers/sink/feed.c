#include "workers/sink/feed.h"

#include <inttypes.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define IDLE_MS  20
#define PAGE     1000 /* the LIMIT of feed_read.sql and feed_all_*.sql */
#define REFS_MAX (1u << 20)

static const struct db_statement read_statement = {"feed_read", sql_feed_read};
static const struct db_statement clock_statement = {"feed_clock", sql_feed_clock};
static const struct db_statement cases_statement = {"feed_cases", sql_feed_cases};
static const struct db_statement agents_statement = {"feed_agents", sql_feed_agents};
static const struct db_statement all_cases_statement = {"feed_all_cases", sql_feed_all_cases};
static const struct db_statement all_agents_statement = {"feed_all_agents", sql_feed_all_agents};

enum feed_state {
    FEED_LOOKING,    /* next: read what came after `number` */
    FEED_WAITING,    /* names are up to `up_to`; older batches are still to be committed */
    FEED_ALL_CASES,  /* far behind: every listed case, from `page` on */
    FEED_ALL_AGENTS, /* … then every agent */
};

struct parts {
    int32_t *items;
    size_t count;
};

struct feed {
    int32_t gen;
    enum feed_state state;
    int64_t number;       /* all changes up to here are shown */
    int64_t up_to;        /* … and up to here when the present round is done */
    bool far;             /* the present round renders everything */
    uint64_t after_folds; /* the round waits until so many batches are committed */
    int64_t next_look_ms;
    struct buf refs;     /* the entities that changed, bigint[] as text */
    struct uuid page[2]; /* last key of the page before */
    struct parts cases, agents;
};

struct feed *feed_new(int32_t gen)
{
    struct feed *feed = cv_zalloc(sizeof *feed);
    feed->gen = gen;
    buf_init(&feed->refs, REFS_MAX);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (feed == NULL)
        return;
    buf_done(&feed->refs);
    free(feed->cases.items);
    free(feed->agents.items);
    free(feed);
}

static void set_parts(struct parts *parts, const int32_t *items, size_t count)
{
    parts->items = cv_realloc(parts->items, (count + 1) * sizeof *items);
    if (count > 0)
        memcpy(parts->items, items, count * sizeof *items);
    parts->count = count;
}

void feed_restart(struct feed *feed, int64_t dir_no, const int32_t *case_parts, size_t case_count,
                  const int32_t *agent_parts, size_t agent_count)
{
    set_parts(&feed->cases, case_parts, case_count);
    set_parts(&feed->agents, agent_parts, agent_count);
    feed->state = FEED_LOOKING;
    feed->number = dir_no;
    feed->next_look_ms = 0;
}

int feed_wait_ms(const struct feed *feed)
{
    if (feed->cases.count + feed->agents.count == 0)
        return -1;
    if (feed->state == FEED_WAITING)
        return -1;
    int64_t left = feed->next_look_ms - clock_mono_ms();
    return left > 0 ? (int)left : 0;
}

int64_t feed_number(const struct feed *feed)
{
    return feed->number;
}

/* ---- reading what changed ---- */

static enum cv_status read_clock(struct feed *feed, struct db *db, struct arena *arena, int64_t *out_no,
                                 struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int4(&args, feed->gen);
    struct db_result *result;
    enum cv_status status = db_exec(db, &clock_statement, &args, FOLD_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_no = db_rows(result) == 1 ? db_int8(result, 0, 0) : 0;
    db_result_free(result);
    return CV_OK;
}

static void take_changes(struct feed *feed, struct names *names, const struct db_result *result)
{
    buf_reset(&feed->refs);
    buf_byte(&feed->refs, '{');
    for (int row = 0; row < db_rows(result); row++) {
        struct uuid organization_id = db_uuid(result, row, 1), id = db_uuid(result, row, 2);
        names_update(names, result, row);
        names_put_ref(&feed->refs, &organization_id, (enum entity_kind)db_int2(result, row, 0), &id);
        feed->up_to = db_int8(result, row, 8);
    }
    buf_byte(&feed->refs, '}');
}

static enum cv_status look(struct feed *feed, struct fold_context *context, struct arena *arena, uint64_t folds,
                           struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int8(&args, feed->number);
    struct db_result *result;
    enum cv_status status = db_exec(context->loader, &read_statement, &args, FOLD_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    if (rows > 0) {
        take_changes(feed, context->names, result);
        feed->state = FEED_WAITING;
        feed->after_folds = folds;
        feed->far = false;
    }
    db_result_free(result);
    feed->next_look_ms = clock_mono_ms() + IDLE_MS;
    if (rows < PAGE)
        return CV_OK;
    int64_t clock_no;
    status = read_clock(feed, context->loader, arena, &clock_no, err);
    if (status == CV_OK && clock_no - feed->number > FEED_FAR) {
        log_info("directory: %" PRId64 " changes behind, rendering every listed case of this worker's partitions anew",
                 clock_no - feed->number);
        feed->up_to = clock_no;
        feed->far = true;
        names_clear(context->names);
    }
    return status;
}

/* ---- which rows name what changed ---- */

static void add_cases(struct batch *batch, const struct db_result *result)
{
    for (int row = 0; row < db_rows(result); row++)
        batch_add_rerender(
            batch, &(struct batch_rerender){TOPIC_CASES, db_int4(result, row, 1), {{0}}, db_uuid(result, row, 0)});
}

static void add_agents(struct batch *batch, const struct db_result *result)
{
    for (int row = 0; row < db_rows(result); row++)
        batch_add_rerender(batch, &(struct batch_rerender){TOPIC_AGENTS, db_int4(result, row, 2),
                                                           db_uuid(result, row, 0), db_uuid(result, row, 1)});
}

static enum cv_status find_rows(struct feed *feed, const struct db_statement *statement, const struct parts *parts,
                                struct fold_context *context, struct arena *arena, struct db_result **out_result,
                                struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int4_array(&args, parts->items, sizeof *parts->items, parts->count);
    db_arg_text(&args, (struct str){feed->refs.data, feed->refs.len});
    return db_exec(context->loader, statement, &args, FOLD_QUERY_TIMEOUT_MS, out_result, err);
}

static enum cv_status add_changed(struct feed *feed, struct fold_context *context, struct arena *arena,
                                  struct batch *batch, struct err *err)
{
    struct db_result *result;
    enum cv_status status = find_rows(feed, &cases_statement, &feed->cases, context, arena, &result, err);
    if (status != CV_OK)
        return status;
    add_cases(batch, result);
    db_result_free(result);
    status = find_rows(feed, &agents_statement, &feed->agents, context, arena, &result, err);
    if (status != CV_OK)
        return status;
    add_agents(batch, result);
    db_result_free(result);
    return CV_OK;
}

static void finish_round(struct feed *feed, int64_t *out_dir_no)
{
    feed->number = feed->up_to;
    *out_dir_no = feed->up_to;
    feed->state = FEED_LOOKING;
    feed->next_look_ms = 0;
}

static enum cv_status add_page(struct feed *feed, struct fold_context *context, struct arena *arena,
                               struct batch *batch, int64_t *out_dir_no, struct err *err)
{
    bool cases = feed->state == FEED_ALL_CASES;
    const struct parts *parts = cases ? &feed->cases : &feed->agents;
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int4_array(&args, parts->items, sizeof *parts->items, parts->count);
    db_arg_uuid(&args, &feed->page[0]);
    db_arg_uuid(&args, &feed->page[1]);
    struct db_result *result;
    enum cv_status status = db_exec(context->loader, cases ? &all_cases_statement : &all_agents_statement, &args,
                                    FOLD_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    if (cases)
        add_cases(batch, result);
    else
        add_agents(batch, result);
    if (rows > 0) {
        feed->page[0] = db_uuid(result, rows - 1, cases ? 2 : 0);
        feed->page[1] = db_uuid(result, rows - 1, cases ? 0 : 1);
    }
    db_result_free(result);
    if (rows < PAGE) {
        memset(feed->page, 0, sizeof feed->page);
        if (cases)
            feed->state = FEED_ALL_AGENTS;
        else
            finish_round(feed, out_dir_no);
    }
    return CV_OK;
}

enum cv_status feed_step(struct feed *feed, struct fold_context *context, struct arena *arena, uint64_t folds,
                         uint64_t committed, struct batch *batch, int64_t *out_dir_no, struct err *err)
{
    *out_dir_no = 0;
    if (feed->cases.count + feed->agents.count == 0)
        return CV_OK;
    switch (feed->state) {
    case FEED_LOOKING:
        return clock_mono_ms() < feed->next_look_ms ? CV_OK : look(feed, context, arena, folds, err);
    case FEED_WAITING: {
        if (committed < feed->after_folds || batch == NULL)
            return CV_OK;
        if (feed->far) {
            memset(feed->page, 0, sizeof feed->page);
            feed->state = FEED_ALL_CASES;
            return CV_OK;
        }
        enum cv_status status = add_changed(feed, context, arena, batch, err);
        if (status == CV_OK)
            finish_round(feed, out_dir_no);
        return status;
    }
    case FEED_ALL_CASES:
    case FEED_ALL_AGENTS:
        return batch == NULL ? CV_OK : add_page(feed, context, arena, batch, out_dir_no, err);
    }
    return CV_OK;
}
