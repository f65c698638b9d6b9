#include "workers/sink/feed.h"

#include "caseview/clock.h"
#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "sql_worker.h"
#include "workers/sink/feed_changes.h"
#include "workers/sink/skipped_keys.h"

#define IDLE_MS 20
#define PAGE    FEED_CHANGES_MAX /* the LIMIT of feed_*.sql */
#define PIECE   250              /* rows per batch: its events must not wait for long */
#define PAGES   4                /* read per step at most */

#define QUERY_TIMEOUT_MS 30000

static const struct db_statement read_statement = {"feed_read", sql_feed_read};
static const struct db_statement clock_statement = {"feed_clock", sql_feed_clock};
static const struct db_statement found_statement = {"feed_found", sql_feed_found};
static const struct db_statement cases_statement = {"feed_cases", sql_feed_cases};
static const struct db_statement agents_statement = {"feed_agents", sql_feed_agents};

/* In this order; a round leaves out what it has no rows for. A claim, or a recovery, leads back to FEED_POLLING. */
enum feed_state {
    FEED_POLLING, /* next: read the changes after shown_no */
    FEED_WAITING, /* names are up to date; earlier batches are not committed yet */
    FEED_FOUND,   /* rendering the listed cases that an index finds */
    FEED_CASES,   /* rendering the listed cases that name other changed entities; those of an organization are read */
    FEED_AGENTS,  /* rendering agents, likewise */
    FEED_DONE,    /* no row is left */
};

struct feed {
    int32_t gen;
    enum feed_state state;
    int64_t shown_no;       /* rows are rendered with all changes up to this number */
    int64_t round_no;       /* … and up to this one when the current round is done */
    bool far;               /* the current round renders all rows */
    uint64_t after_batches; /* the round starts when this many batches are committed */
    int64_t next_poll_ms;
    int64_t current_ms;          /* clock_mono_ms() when the rows showed all changes */
    int64_t asked_ms;            /* likewise, once the current round is done; 0: it leaves later changes out */
    struct feed_changes changes; /* of this round */
    struct db_result *rows;      /* page of candidates, unprocessed from next_row on; NULL: to be read */
    int next_row;
    struct uuid page[2]; /* first key of the page that is to be read, or was */
    bool more;           /* the last step stopped at the limit of pages */
    bool restarted;      /* the progress of the partitions is not read yet */
    struct feed_parts cases, agents;
    struct folder_key piece[PIECE]; /* of the last step */
    size_t piece_count;
    struct skipped_keys skipped;
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
    feed_parts_done(&feed->cases);
    feed_parts_done(&feed->agents);
    free(feed);
}

static void drop_rows(struct feed *feed)
{
    db_result_free(feed->rows);
    feed->rows = NULL;
    feed->next_row = 0;
}

void feed_restart(struct feed *feed, int64_t dir_no, const int32_t *case_parts, size_t case_count,
                  const int32_t *agent_parts, size_t agent_count)
{
    if (feed->cases.count + feed->agents.count == 0)
        feed->current_ms = clock_mono_ms();
    feed_parts_set(&feed->cases, case_parts, case_count);
    feed_parts_set(&feed->agents, agent_parts, agent_count);
    drop_rows(feed);
    feed->more = false;
    feed->restarted = true;
    feed->state = FEED_POLLING;
    feed->shown_no = dir_no;
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

int64_t feed_lag_ms(const struct feed *feed)
{
    return feed->cases.count + feed->agents.count == 0 ? 0 : clock_mono_ms() - feed->current_ms;
}

int64_t feed_number(const struct feed *feed)
{
    return feed->shown_no;
}

/* ---- reading changes ---- */

static enum cv_status read_clock(struct feed *feed, const struct feed_context *context, int64_t *out_no,
                                 struct err *err)
{
    struct db_args args;
    db_args_init(&args, context->arena);
    db_arg_int4(&args, feed->gen);
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = db_exec(context->db, &clock_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_no = db_rows(result) == 1 ? db_int8(result, 0, 0) : 0;
    return CV_OK;
}

static void take_changes(struct feed *feed, struct names *names, const struct db_result *result)
{
    feed_changes_reset(&feed->changes);
    for (int row = 0; row < db_rows(result); row++) {
        struct uuid organization_id = db_uuid(result, row, 1), id = db_uuid(result, row, 2);
        names_update(names, result, row);
        feed_changes_add(&feed->changes, (enum entity_kind)db_int2(result, row, 0), &organization_id, &id);
        feed->round_no = db_int8(result, row, 8);
    }
}

/* Begins a round with these changes; most: the last change of a round that a claim has interrupted, or INT64_MAX. */
static enum cv_status begin_round(struct feed *feed, const struct feed_context *context, const struct db_result *result,
                                  int64_t most, struct err *err)
{
    int64_t clock_no = most;
    FAIL_POINT("feed.read");
    take_changes(feed, context->names, result);
    feed->state = FEED_WAITING;
    feed->after_batches = context->closed;
    feed->far = false;
    if (db_rows(result) < PAGE) {
        if (most != INT64_MAX)
            feed->round_no = most; /* what changed again since has a greater number */
        return CV_OK;
    }
    enum cv_status status = most == INT64_MAX ? read_clock(feed, context, &clock_no, err) : CV_OK;
    if (status == CV_OK && clock_no - feed->shown_no > FEED_FAR) {
        if (most == INT64_MAX) /* it begins, and does not continue */
            log_info("directory: %" PRId64 " changes behind; rendering all listed cases of this worker's partitions "
                     "again",
                     clock_no - feed->shown_no);
        feed->round_no = clock_no;
        feed->far = true;
        names_clear(context->names);
    }
    return status;
}

static enum cv_status poll_changes(struct feed *feed, const struct feed_context *context, struct err *err)
{
    enum cv_status status = CV_OK;
    if (feed->restarted)
        status = feed_parts_load(&feed->cases, &feed->agents, context->db, context->arena, err);
    if (status != CV_OK)
        return status;
    feed->restarted = false;
    int64_t most = feed_parts_round(&feed->agents, feed->shown_no,
                                    feed_parts_round(&feed->cases, feed->shown_no, INT64_MAX));
    struct db_args args;
    db_args_init(&args, context->arena);
    db_arg_int8(&args, feed->shown_no);
    db_arg_int8(&args, most);
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    int64_t asked_ms = clock_mono_ms();
    status = db_exec(context->db, &read_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    if (db_rows(result) > 0 || most != INT64_MAX)
        status = begin_round(feed, context, result, most, err);
    else
        feed->current_ms = asked_ms;
    feed->asked_ms = most == INT64_MAX && (feed->far || db_rows(result) < PAGE) ? asked_ms : 0;
    feed->next_poll_ms = clock_mono_ms() + IDLE_MS;
    return status;
}

/* ---- finding rows that name changed entities ---- */

bool feed_has_rows(const struct feed *feed)
{
    return feed->state == FEED_FOUND || feed->state == FEED_CASES || feed->state == FEED_AGENTS;
}

static enum feed_stage stage_of(enum feed_state state)
{
    return state == FEED_FOUND ? FEED_STAGE_FOUND : state == FEED_CASES ? FEED_STAGE_CASES : FEED_STAGE_AGENTS;
}

/* Enters the next of the states FOUND, CASES and AGENTS that this round needs, or DONE. */
static void next_state(struct feed *feed)
{
    const struct feed_changes *changes = &feed->changes;
    bool has_cases = feed->cases.count > 0, has_agents = feed->agents.count > 0;
    bool needed;
    memset(feed->page, 0, sizeof feed->page);
    do {
        feed->state++;
        needed = feed->state == FEED_FOUND    ? has_cases && !feed->far && feed_changes_has_found(changes)
                 : feed->state == FEED_CASES  ? has_cases && (feed->far || changes->of_cases_count > 0)
                 : feed->state == FEED_AGENTS ? has_agents && (feed->far || changes->of_agents_count > 0)
                                              : true;
    } while (!needed);
}

/* Where the partitions of a topic have to go on in this round, if that is before *start. */
static void set_start(const struct feed *feed, const struct feed_parts *parts, struct feed_position *start)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct feed_position at = feed_progress_start(&parts->progress[i], feed->round_no, feed->far);
        if (feed_position_cmp(&at, start) < 0)
            *start = at;
    }
}

/* All rows with older names are committed: begins to look for them, after those that were rendered before a claim. */
static enum cv_status start_rows(struct feed *feed, const struct feed_context *context, struct err *err)
{
    enum cv_status status = CV_OK;
    if (!feed->far)
        status = feed_changes_look_up(&feed->changes, context->db, context->arena, err);
    if (status != CV_OK)
        return status;
    struct feed_position start = {FEED_STAGE_AGENTS, {{{0}}, {{0}}}};
    memset(start.key, 0xff, sizeof start.key);
    set_start(feed, &feed->cases, &start);
    set_start(feed, &feed->agents, &start);
    do
        next_state(feed);
    while (feed_has_rows(feed) && stage_of(feed->state) < start.stage);
    if (feed_has_rows(feed) && stage_of(feed->state) == start.stage)
        memcpy(feed->page, start.key, sizeof feed->page);
    return CV_OK;
}

/* Moves the page to the next rows that have to be read, up to an organization. False: there are none. */
static bool next_range(struct feed *feed, struct uuid *out_last)
{
    memset(out_last, 0xff, sizeof *out_last);
    if (feed->far || feed->state == FEED_FOUND)
        return true;
    const struct uuid *organization_id = feed_changes_organization(&feed->changes, feed->state == FEED_AGENTS,
                                                                   &feed->page[0]);
    if (organization_id == NULL)
        return false;
    *out_last = *organization_id;
    if (!uuid_eq(organization_id, &feed->page[0])) {
        feed->page[0] = *organization_id;
        memset(&feed->page[1], 0, sizeof feed->page[1]);
    }
    return true;
}

static enum cv_status find_rows(struct feed *feed, const struct feed_context *context, const struct uuid *last,
                                struct err *err)
{
    const struct db_statement *statement = feed->state == FEED_AGENTS ? &agents_statement : &cases_statement;
    const struct feed_changes *changes = &feed->changes;
    struct db_args args;
    db_args_init(&args, context->arena);
    if (feed->state == FEED_FOUND) {
        statement = &found_statement;
        db_arg_int4_array(&args, feed->cases.items, sizeof *feed->cases.items, feed->cases.count);
    }
    db_arg_uuid(&args, &feed->page[0]);
    db_arg_uuid(&args, &feed->page[1]);
    if (feed->state == FEED_FOUND) {
        db_arg_int8_array(&args, changes->customers, sizeof *changes->customers, changes->customer_count);
        db_arg_uuid_array(&args, &changes->users[0][0], sizeof changes->users[0], changes->user_count);
        db_arg_uuid_array(&args, &changes->users[0][1], sizeof changes->users[0], changes->user_count);
    } else {
        db_arg_uuid(&args, last);
    }
    return db_exec(context->db, statement, &args, QUERY_TIMEOUT_MS, &feed->rows, err);
}

enum { COL_ORGANIZATION, COL_ID, COL_PART, COL_REFS };

void feed_skip(struct feed *feed, const struct folder_key *key)
{
    skipped_keys_add(&feed->skipped, key);
}

/* The row is in one of our partitions, names a changed entity, and was not rendered before a claim. */
static bool is_wanted(const struct feed *feed, int row)
{
    const struct feed_parts *parts = feed->state == FEED_AGENTS ? &feed->agents : &feed->cases;
    const struct feed_progress *progress = feed_parts_find(parts, db_int4(feed->rows, row, COL_PART));
    bool all = feed->far || feed->state == FEED_FOUND;
    if (progress == NULL || (!all && !feed_changes_has_ref(&feed->changes, db_str(feed->rows, row, COL_REFS))))
        return false;
    if (progress->change_no < feed->round_no)
        return true;
    const struct feed_position at = {stage_of(feed->state),
                                     {db_uuid(feed->rows, row, COL_ORGANIZATION), db_uuid(feed->rows, row, COL_ID)}};
    struct feed_position start = feed_progress_start(progress, feed->round_no, feed->far);
    return feed_position_cmp(&at, &start) >= 0;
}

static void add_rows(struct feed *feed, size_t most)
{
    size_t room = most < PIECE ? most : PIECE;
    for (; feed->next_row < db_rows(feed->rows) && feed->piece_count < room; feed->next_row++) {
        int row = feed->next_row;
        if (!is_wanted(feed, row))
            continue;
        struct folder_key *key = &feed->piece[feed->piece_count];
        *key = (struct folder_key){
            .topic = feed->state == FEED_AGENTS ? TOPIC_AGENTS : TOPIC_CASES,
            .organization_id = db_uuid(feed->rows, row, COL_ORGANIZATION),
            .id = db_uuid(feed->rows, row, COL_ID),
        };
        feed->piece_count += !skipped_keys_has(&feed->skipped, key);
    }
}

/* Goes on to the next page, the next organization, or the next kind of rows. */
static void finish_page(struct feed *feed)
{
    int rows = db_rows(feed->rows);
    bool left = true;
    struct uuid last;
    if (rows == PAGE) {
        feed->page[0] = db_uuid(feed->rows, rows - 1, COL_ORGANIZATION);
        feed->page[1] = db_uuid(feed->rows, rows - 1, COL_ID);
    } else {
        left = !feed->far && feed->state != FEED_FOUND;
        memset(&feed->page[1], 0xff, sizeof feed->page[1]); /* the end of the organization */
    }
    if (!left || !feed_key_advance(feed->page) || !next_range(feed, &last))
        next_state(feed);
    drop_rows(feed);
}

static void end_round(struct feed *feed)
{
    feed->shown_no = feed->round_no;
    if (feed->asked_ms > 0)
        feed->current_ms = feed->asked_ms;
    skipped_keys_clear(&feed->skipped);
    feed->state = FEED_POLLING;
    feed->next_poll_ms = 0;
}

/* Fills the piece. *out_dir_no is set with the last rows of the round. */
static enum cv_status fill_piece(struct feed *feed, const struct feed_context *context, int64_t *out_dir_no,
                                 struct err *err)
{
    int pages = 0;
    feed->more = false;
    while (feed->piece_count == 0 && feed->state != FEED_DONE) {
        struct uuid last;
        if (feed->rows == NULL && !next_range(feed, &last)) {
            next_state(feed);
            continue;
        }
        feed->more = feed->rows == NULL && pages++ == PAGES;
        if (feed->more)
            return CV_OK;
        enum cv_status status = feed->rows == NULL ? find_rows(feed, context, &last, err) : CV_OK;
        if (status != CV_OK)
            return status;
        add_rows(feed, context->most);
        if (feed->next_row == db_rows(feed->rows))
            finish_page(feed);
    }
    if (feed->state != FEED_DONE)
        return CV_OK;
    *out_dir_no = feed->round_no;
    end_round(feed);
    return CV_OK;
}

bool feed_progress(const struct feed *feed, struct feed_progress *out_progress)
{
    if (!feed_has_rows(feed))
        return false;
    *out_progress = (struct feed_progress){
        feed->round_no, feed->far, {stage_of(feed->state), {feed->page[0], feed->page[1]}}};
    if (feed->rows != NULL && feed->next_row < db_rows(feed->rows)) {
        out_progress->at.key[0] = db_uuid(feed->rows, feed->next_row, COL_ORGANIZATION);
        out_progress->at.key[1] = db_uuid(feed->rows, feed->next_row, COL_ID);
    }
    return true;
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
        (feed->state == FEED_WAITING && context->committed < feed->after_batches))
        return status;
    if (feed->state == FEED_WAITING)
        status = start_rows(feed, context, err);
    if (status == CV_OK)
        status = fill_piece(feed, context, out_dir_no, err);
    *out_count = feed->piece_count;
    return status;
}
