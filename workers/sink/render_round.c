#include "workers/sink/render_round.h"

#include <stdio.h>

#include "sql_worker.h"
#include "workers/sink/skipped_keys.h"

#define PIECE            1000 /* rows per step: a batch's events must not wait for long */
#define PAGE             1000 /* the LIMIT of render_agents.sql */
#define PAGE_BLOCKS      256
#define QUERY_TIMEOUT_MS 30000

static const struct db_statement begin_statement = {"render_begin", sql_render_begin};
static const struct db_statement blocks_statement = {"render_blocks", sql_render_blocks};
static const struct db_statement cases_statement = {"render_cases", sql_render_cases};
static const struct db_statement agents_statement = {"render_agents", sql_render_agents};

struct parts {
    int32_t *items;
    size_t count;
};

struct render_round {
    int32_t gen;
    struct parts cases, agents;
    bool in_agents, done;
    int64_t block, blocks;  /* of case_state: the next page begins at block; blocks -1: not known yet */
    struct uuid last[2];    /* key of the last agent of the previous page */
    bool first;             /* the next page of agents is the first one */
    struct db_result *rows; /* page, unprocessed from next_row on; NULL: to be read */
    int next_row;
    struct folder_key piece[PIECE];
    size_t piece_count;
    struct skipped_keys skipped;
};

struct render_round *render_round_new(int32_t gen)
{
    struct render_round *round = cv_zalloc(sizeof *round);
    round->gen = gen;
    return round;
}

static void drop_rows(struct render_round *round)
{
    db_result_free(round->rows);
    round->rows = NULL;
    round->next_row = 0;
}

void render_round_free(struct render_round *round)
{
    if (round == NULL)
        return;
    drop_rows(round);
    free(round->cases.items);
    free(round->agents.items);
    free(round);
}

static void set_parts(struct parts *parts, const int32_t *items, size_t count)
{
    parts->items = cv_realloc(parts->items, (count + 1) * sizeof *items);
    if (count > 0)
        memcpy(parts->items, items, count * sizeof *items);
    parts->count = count;
}

enum cv_status render_round_begin(struct render_round *round, struct db *db, struct arena *arena,
                                  const int32_t *case_parts, size_t case_count, const int32_t *agent_parts,
                                  size_t agent_count, int64_t *out_dir_no, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    db_args_init(&args, arena);
    db_arg_int4(&args, round->gen);
    enum cv_status status = db_exec(db, &begin_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    if (db_rows(result) != 1) {
        err_set(err, "generation %d does not exist any more", round->gen);
        return CV_RETRY;
    }
    *out_dir_no = db_int8(result, 0, 0);
    drop_rows(round);
    set_parts(&round->cases, case_parts, case_count);
    set_parts(&round->agents, agent_parts, agent_count);
    round->block = 0;
    round->blocks = -1;
    round->in_agents = case_count == 0;
    round->done = false;
    memset(round->last, 0, sizeof round->last);
    round->first = true;
    return CV_OK;
}

static enum cv_status read_blocks(struct render_round *round, struct db *db, struct err *err)
{
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = db_exec(db, &blocks_statement, NULL, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    round->blocks = db_int8(result, 0, 0);
    return CV_OK;
}

static enum cv_status read_cases(struct render_round *round, struct db *db, struct arena *arena, struct err *err)
{
    struct db_args args;
    char from[32], to[32];
    snprintf(from, sizeof from, "(%" PRId64 ",0)", round->block);
    snprintf(to, sizeof to, "(%" PRId64 ",0)", round->block + PAGE_BLOCKS);
    db_args_init(&args, arena);
    db_arg_int4_array(&args, round->cases.items, sizeof *round->cases.items, round->cases.count);
    db_arg_text(&args, str_of(from));
    db_arg_text(&args, str_of(to));
    enum cv_status status = db_exec(db, &cases_statement, &args, QUERY_TIMEOUT_MS, &round->rows, err);
    if (status == CV_OK)
        round->block += PAGE_BLOCKS;
    return status;
}

static enum cv_status read_agents(struct render_round *round, struct db *db, struct arena *arena, struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int4_array(&args, round->agents.items, sizeof *round->agents.items, round->agents.count);
    db_arg_uuid(&args, &round->last[0]);
    db_arg_uuid(&args, &round->last[1]);
    db_arg_bool(&args, round->first);
    enum cv_status status = db_exec(db, &agents_statement, &args, QUERY_TIMEOUT_MS, &round->rows, err);
    if (status != CV_OK)
        return status;
    int rows = db_rows(round->rows);
    round->first = false;
    if (rows > 0) {
        round->last[0] = db_uuid(round->rows, rows - 1, 0);
        round->last[1] = db_uuid(round->rows, rows - 1, 1);
    }
    return CV_OK;
}

void render_round_skip(struct render_round *round, const struct folder_key *key)
{
    skipped_keys_add(&round->skipped, key);
}

static void take_rows(struct render_round *round, size_t most)
{
    for (; round->next_row < db_rows(round->rows) && round->piece_count < most; round->next_row++) {
        struct folder_key *key = &round->piece[round->piece_count];
        *key = (struct folder_key){.topic = round->in_agents ? TOPIC_AGENTS : TOPIC_CASES,
                                   .id = db_uuid(round->rows, round->next_row, round->in_agents ? 1 : 0)};
        if (round->in_agents)
            key->organization_id = db_uuid(round->rows, round->next_row, 0);
        round->piece_count += !skipped_keys_has(&round->skipped, key);
    }
}

/* Goes on to the next page, to the agents, or to the end. */
static void finish_page(struct render_round *round)
{
    int rows = db_rows(round->rows);
    drop_rows(round);
    if (!round->in_agents) {
        round->in_agents = round->block >= round->blocks;
        return;
    }
    round->done = rows < PAGE;
    if (round->done)
        skipped_keys_clear(&round->skipped);
}

enum cv_status render_round_step(struct render_round *round, struct db *db, struct arena *arena, size_t most,
                                 const struct folder_key **out_keys, size_t *out_count, bool *out_done, struct err *err)
{
    enum cv_status status = CV_OK;
    round->piece_count = 0;
    if (round->blocks < 0)
        status = read_blocks(round, db, err);
    if (status == CV_OK && !round->done && most > 0 && round->rows == NULL)
        status = round->in_agents ? read_agents(round, db, arena, err) : read_cases(round, db, arena, err);
    if (status != CV_OK)
        return status;
    if (round->rows != NULL) {
        take_rows(round, most < PIECE ? most : PIECE);
        if (round->next_row == db_rows(round->rows))
            finish_page(round);
    }
    *out_keys = round->piece;
    *out_count = round->piece_count;
    *out_done = round->done;
    return CV_OK;
}
