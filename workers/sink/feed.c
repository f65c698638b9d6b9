#include "workers/sink/feed.h"

#include <inttypes.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define IDLE_MS  20
#define PAGE     1000 /* the LIMIT of feed_read.sql and feed_all_*.sql */
#define PIECE    1000 /* rows for one batch: what else is in it must not wait for long */
#define REFS_MAX (1u << 20)

static const struct db_statement read_statement = {"feed_read", sql_feed_read};
static const struct db_statement clock_statement = {"feed_clock", sql_feed_clock};
static const struct db_statement cases_statement = {"feed_cases", sql_feed_cases};
static const struct db_statement agents_statement = {"feed_agents", sql_feed_agents};
static const struct db_statement all_cases_statement = {"feed_all_cases", sql_feed_all_cases};
static const struct db_statement all_agents_statement = {"feed_all_agents", sql_feed_all_agents};

enum feed_state {
    FEED_LOOKING, /* next: read what came after `number` */
    FEED_WAITING, /* names are up to `up_to`; older batches are still to be committed */
    FEED_CASES,   /* the listed cases that name what changed go into batches, a piece at a time */
    FEED_AGENTS,  /* … then the agents */
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
    bool far;             /* the present round renders everything, a page at a time */
    uint64_t after_folds; /* the round waits until so many batches are committed */
    int64_t next_look_ms;
    struct buf refs;        /* the entities that changed, bigint[] as text */
    struct db_result *rows; /* found and not yet in a batch, from next_row on; NULL: to be looked up */
    int next_row;
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
    db_result_free(feed->rows);
    free(feed->cases.items);
    free(feed->agents.items);
    free(feed);
}

static void drop_rows(struct feed *feed)
{
    db_result_free(feed->rows);
    feed->rows = NULL;
    feed->next_row = 0;
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
    drop_rows(feed);
    feed->state = FEED_LOOKING;
    feed->number = dir_no;
    feed->next_look_ms = 0;
}

int feed_wait_ms(const struct feed *feed)
{
    if (feed->cases.count + feed->agents.count == 0 || feed->state != FEED_LOOKING)
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

/* All of the round, or the next page of it. */
static enum cv_status find_rows(struct feed *feed, struct fold_context *context, struct arena *arena, struct err *err)
{
    bool cases = feed->state == FEED_CASES;
    const struct parts *parts = cases ? &feed->cases : &feed->agents;
    const struct db_statement *statement;
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int4_array(&args, parts->items, sizeof *parts->items, parts->count);
    if (feed->far) {
        statement = cases ? &all_cases_statement : &all_agents_statement;
        db_arg_uuid(&args, &feed->page[0]);
        db_arg_uuid(&args, &feed->page[1]);
    } else {
        statement = cases ? &cases_statement : &agents_statement;
        db_arg_text(&args, (struct str){feed->refs.data, feed->refs.len});
    }
    return db_exec(context->loader, statement, &args, FOLD_QUERY_TIMEOUT_MS, &feed->rows, err);
}

enum { COL_ORGANIZATION, COL_ID, COL_PART };

static void add_piece(struct feed *feed, size_t most, struct batch *batch)
{
    enum topic topic = feed->state == FEED_CASES ? TOPIC_CASES : TOPIC_AGENTS;
    int rows = db_rows(feed->rows);
    int piece = most < PIECE ? (int)most : PIECE;
    int end = rows - feed->next_row > piece ? feed->next_row + piece : rows;
    for (int row = feed->next_row; row < end; row++)
        batch_add_rerender(batch, &(struct batch_rerender){
                                      .topic = topic,
                                      .part = db_int4(feed->rows, row, COL_PART),
                                      .organization_id = db_uuid(feed->rows, row, COL_ORGANIZATION),
                                      .id = db_uuid(feed->rows, row, COL_ID),
                                  });
    feed->next_row = end;
}

/* After the last row in hand: whether it was the last of the round's cases or agents. */
static bool was_last(struct feed *feed)
{
    int rows = db_rows(feed->rows);
    bool more = feed->far && rows == PAGE;
    if (more) {
        feed->page[0] = db_uuid(feed->rows, rows - 1, COL_ORGANIZATION);
        feed->page[1] = db_uuid(feed->rows, rows - 1, COL_ID);
    } else {
        memset(feed->page, 0, sizeof feed->page);
    }
    drop_rows(feed);
    return !more;
}

/* Gives the batch its piece. The round is done when no row is left: its number goes with the last of them. */
static enum cv_status hand_out(struct feed *feed, struct fold_context *context, struct arena *arena,
                               struct batch *batch, int64_t *out_dir_no, struct err *err)
{
    while (batch->rerender_count == 0) {
        enum cv_status status = feed->rows == NULL ? find_rows(feed, context, arena, err) : CV_OK;
        if (status != CV_OK)
            return status;
        add_piece(feed, context->rerenders_max, batch);
        if (feed->next_row < db_rows(feed->rows) || !was_last(feed))
            continue;
        if (feed->state == FEED_CASES) {
            feed->state = FEED_AGENTS;
            continue;
        }
        feed->number = feed->up_to;
        *out_dir_no = feed->up_to;
        feed->state = FEED_LOOKING;
        feed->next_look_ms = 0;
        return CV_OK;
    }
    return CV_OK;
}

enum cv_status feed_step(struct feed *feed, struct fold_context *context, struct arena *arena, uint64_t folds,
                         uint64_t committed, struct batch *batch, int64_t *out_dir_no, struct err *err)
{
    *out_dir_no = 0;
    if (feed->cases.count + feed->agents.count == 0)
        return CV_OK;
    if (feed->state == FEED_LOOKING && clock_mono_ms() >= feed->next_look_ms) {
        enum cv_status status = look(feed, context, arena, folds, err);
        if (status != CV_OK)
            return status;
    }
    if (feed->state == FEED_LOOKING || batch == NULL || (feed->state == FEED_WAITING && committed < feed->after_folds))
        return CV_OK;
    if (feed->state == FEED_WAITING)
        feed->state = FEED_CASES;
    return hand_out(feed, context, arena, batch, out_dir_no, err);
}
