#include "workers/sink/feed.h"

#include <inttypes.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define IDLE_MS 20
#define PAGE    1000 /* the LIMIT of feed_*.sql */
#define PIECE   1000 /* rows per batch: its events must not wait for long */
#define PAGES   4    /* scanned per step at most */

#define SKIPPED_MAX      256 /* the oldest is overwritten */
#define QUERY_TIMEOUT_MS 30000

static const struct db_statement read_statement = {"feed_read", sql_feed_read};
static const struct db_statement clock_statement = {"feed_clock", sql_feed_clock};
static const struct db_statement customers_statement = {"feed_customers", sql_feed_customers};
static const struct db_statement cases_statement = {"feed_cases", sql_feed_cases};
static const struct db_statement agents_statement = {"feed_agents", sql_feed_agents};

enum feed_state {
    FEED_POLLING,   /* next: read the changes after `number` */
    FEED_WAITING,   /* names are up to date; earlier batches are not committed yet */
    FEED_CUSTOMERS, /* rendering the listed cases of changed customers; an index finds them */
    FEED_CASES,     /* rendering the listed cases that name other changed entities; all are scanned, page by page */
    FEED_AGENTS,    /* rendering agents, likewise */
    FEED_DONE,      /* no row is left */
};

struct parts {
    int32_t *items;
    size_t count;
};

struct feed {
    int32_t gen;
    enum feed_state state;
    int64_t number; /* rows are rendered with all changes up to here */
    int64_t up_to;  /* … and up to here when the current round is done */
    bool far;       /* the current round renders all rows */
    uint64_t after; /* the round starts when this many batches are committed */
    int64_t next_poll_ms;
    /* Entities that changed in this round. Customers are apart: an index finds the few cases of each. */
    int64_t customers[PAGE], others[PAGE]; /* hashes; others ascending */
    size_t customer_count, other_count;
    bool gates;             /* the others include units or workspaces, on which agents depend */
    struct db_result *rows; /* page of candidates, unprocessed from next_row on; NULL: to be read */
    int next_row;
    struct uuid page[2]; /* last key of the previous page */
    bool more;           /* the last step stopped at the limit of pages */
    struct parts cases, agents;
    struct folder_key piece[PIECE]; /* of the last step */
    size_t piece_count;
    struct folder_key skipped[SKIPPED_MAX];
    size_t skipped_count, skipped_next;
};

struct feed *feed_new(int32_t gen)
{
    struct feed *feed = cv_zalloc(sizeof *feed);
    feed->gen = gen;
    return feed;
}

void feed_free(struct feed *feed)
{
    if (feed == NULL)
        return;
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
    feed->more = false;
    feed->state = FEED_POLLING;
    feed->number = dir_no;
    feed->next_poll_ms = 0;
}

int feed_wait_ms(const struct feed *feed)
{
    if (feed->cases.count + feed->agents.count == 0)
        return -1;
    if (feed->state != FEED_POLLING)
        return feed->more ? 0 : -1;
    int64_t left = feed->next_poll_ms - clock_mono_ms();
    return left > 0 ? (int)left : 0;
}

int64_t feed_number(const struct feed *feed)
{
    return feed->number;
}

/* ---- reading changes ---- */

static enum cv_status read_clock(struct feed *feed, const struct feed_context *context, int64_t *out_no,
                                 struct err *err)
{
    struct db_args args;
    db_args_init(&args, context->arena);
    db_arg_int4(&args, feed->gen);
    struct db_result *result;
    enum cv_status status = db_exec(context->db, &clock_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_no = db_rows(result) == 1 ? db_int8(result, 0, 0) : 0;
    db_result_free(result);
    return CV_OK;
}

static int compare_hashes(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void take_changes(struct feed *feed, struct names *names, const struct db_result *result)
{
    feed->customer_count = feed->other_count = 0;
    feed->gates = false;
    for (int row = 0; row < db_rows(result); row++) {
        enum entity_kind kind = (enum entity_kind)db_int2(result, row, 0);
        struct uuid organization_id = db_uuid(result, row, 1), id = db_uuid(result, row, 2);
        int64_t hash = names_hash(&organization_id, kind, &id);
        names_update(names, result, row);
        if (kind == ENTITY_CUSTOMER)
            feed->customers[feed->customer_count++] = hash;
        else if (kind != ENTITY_APPLICATION) /* no row names an application */
            feed->others[feed->other_count++] = hash;
        feed->gates |= kind == ENTITY_UNIT || kind == ENTITY_WORKSPACE;
        feed->up_to = db_int8(result, row, 8);
    }
    qsort(feed->others, feed->other_count, sizeof *feed->others, compare_hashes);
}

static enum cv_status poll_changes(struct feed *feed, const struct feed_context *context, struct err *err)
{
    struct db_args args;
    db_args_init(&args, context->arena);
    db_arg_int8(&args, feed->number);
    struct db_result *result;
    enum cv_status status = db_exec(context->db, &read_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(result);
    if (rows > 0) {
        FAIL_POINT("feed.read");
        take_changes(feed, context->names, result);
        feed->state = FEED_WAITING;
        feed->after = context->closed;
        feed->far = false;
    }
    db_result_free(result);
    feed->next_poll_ms = clock_mono_ms() + IDLE_MS;
    if (rows < PAGE)
        return CV_OK;
    int64_t clock_no;
    status = read_clock(feed, context, &clock_no, err);
    if (status == CV_OK && clock_no - feed->number > FEED_FAR) {
        log_info("directory: %" PRId64 " changes behind; rendering all listed cases of this worker's partitions again",
                 clock_no - feed->number);
        feed->up_to = clock_no;
        feed->far = true;
        names_clear(context->names);
    }
    return status;
}

/* ---- finding rows that name changed entities ---- */

/* Reads the next page of cases of the changed customers, of cases, or of agents. */
static enum cv_status find_rows(struct feed *feed, const struct feed_context *context, struct err *err)
{
    const struct parts *parts = feed->state == FEED_AGENTS ? &feed->agents : &feed->cases;
    const struct db_statement *statement = feed->state == FEED_AGENTS ? &agents_statement : &cases_statement;
    struct db_args args;
    db_args_init(&args, context->arena);
    db_arg_int4_array(&args, parts->items, sizeof *parts->items, parts->count);
    db_arg_uuid(&args, &feed->page[0]);
    db_arg_uuid(&args, &feed->page[1]);
    if (feed->state == FEED_CUSTOMERS) {
        statement = &customers_statement;
        db_arg_int8_array(&args, feed->customers, sizeof *feed->customers, feed->customer_count);
    }
    return db_exec(context->db, statement, &args, QUERY_TIMEOUT_MS, &feed->rows, err);
}

enum { COL_ORGANIZATION, COL_ID, COL_PART, COL_REFS };

static bool names_a_change(const struct feed *feed, struct str refs)
{
    int64_t hash;
    for (size_t at = 0; at + sizeof hash <= refs.len; at += sizeof hash) {
        memcpy(&hash, refs.ptr + at, sizeof hash);
        if (bsearch(&hash, feed->others, feed->other_count, sizeof hash, compare_hashes) != NULL)
            return true;
    }
    return false;
}

static bool is_skipped(const struct feed *feed, const struct folder_key *key)
{
    for (size_t i = 0; i < feed->skipped_count; i++)
        if (feed->skipped[i].topic == key->topic && uuid_eq(&feed->skipped[i].id, &key->id) &&
            (key->topic == TOPIC_CASES || uuid_eq(&feed->skipped[i].organization_id, &key->organization_id)))
            return true;
    return false;
}

bool feed_has_rows(const struct feed *feed)
{
    return feed->state == FEED_CUSTOMERS || feed->state == FEED_CASES || feed->state == FEED_AGENTS;
}

void feed_skip(struct feed *feed, const struct folder_key *key)
{
    feed->skipped[feed->skipped_next] = *key;
    feed->skipped_next = (feed->skipped_next + 1) % SKIPPED_MAX;
    if (feed->skipped_count < SKIPPED_MAX)
        feed->skipped_count++;
}

static void add_rows(struct feed *feed, size_t most)
{
    bool all = feed->far || feed->state == FEED_CUSTOMERS;
    size_t room = most < PIECE ? most : PIECE;
    for (; feed->next_row < db_rows(feed->rows) && feed->piece_count < room; feed->next_row++) {
        int row = feed->next_row;
        if (!all && !names_a_change(feed, db_str(feed->rows, row, COL_REFS)))
            continue;
        struct folder_key *key = &feed->piece[feed->piece_count];
        *key = (struct folder_key){
            .topic = feed->state == FEED_AGENTS ? TOPIC_AGENTS : TOPIC_CASES,
            .organization_id = db_uuid(feed->rows, row, COL_ORGANIZATION),
            .id = db_uuid(feed->rows, row, COL_ID),
        };
        feed->piece_count += !is_skipped(feed, key);
    }
}

/* Enters the next of the states CUSTOMERS, CASES and AGENTS that this round needs, or DONE. */
static void next_state(struct feed *feed)
{
    bool needed;
    memset(feed->page, 0, sizeof feed->page);
    do {
        feed->state++;
        needed = feed->state == FEED_CUSTOMERS ? !feed->far && feed->customer_count > 0
                 : feed->state == FEED_CASES   ? feed->far || feed->other_count > 0
                 : feed->state == FEED_AGENTS  ? feed->far || feed->gates
                                               : true;
    } while (!needed);
}

/* Goes on to the next page, or to the next kind of rows. */
static void finish_page(struct feed *feed)
{
    int rows = db_rows(feed->rows);
    if (rows == PAGE) {
        feed->page[0] = db_uuid(feed->rows, rows - 1, COL_ORGANIZATION);
        feed->page[1] = db_uuid(feed->rows, rows - 1, COL_ID);
    } else {
        next_state(feed);
    }
    drop_rows(feed);
}

/* Fills the piece. *out_dir_no is set with the last rows of the round. */
static enum cv_status fill_piece(struct feed *feed, const struct feed_context *context, int64_t *out_dir_no,
                                 struct err *err)
{
    feed->more = false;
    for (int pages = 0; feed->piece_count == 0 && feed->state != FEED_DONE; pages++) {
        feed->more = pages == PAGES;
        if (feed->more)
            return CV_OK;
        enum cv_status status = feed->rows == NULL ? find_rows(feed, context, err) : CV_OK;
        if (status != CV_OK)
            return status;
        add_rows(feed, context->most);
        if (feed->next_row == db_rows(feed->rows))
            finish_page(feed);
    }
    if (feed->state != FEED_DONE)
        return CV_OK;
    feed->number = feed->up_to;
    feed->skipped_count = feed->skipped_next = 0;
    *out_dir_no = feed->up_to;
    feed->state = FEED_POLLING;
    feed->next_poll_ms = 0;
    return CV_OK;
}

enum cv_status feed_step(struct feed *feed, const struct feed_context *context, const struct folder_key **out_keys,
                         size_t *out_count, int64_t *out_dir_no, struct err *err)
{
    enum cv_status status = CV_OK;
    feed->piece_count = 0;
    *out_dir_no = 0;
    *out_keys = feed->piece;
    *out_count = 0;
    if (feed->cases.count + feed->agents.count == 0)
        return CV_OK;
    if (feed->state == FEED_POLLING && clock_mono_ms() >= feed->next_poll_ms)
        status = poll_changes(feed, context, err);
    if (status != CV_OK || feed->state == FEED_POLLING || context->most == 0 ||
        (feed->state == FEED_WAITING && context->committed < feed->after))
        return status;
    if (feed->state == FEED_WAITING)
        next_state(feed);
    status = fill_piece(feed, context, out_dir_no, err);
    *out_count = feed->piece_count;
    return status;
}
