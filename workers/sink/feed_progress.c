#include "workers/sink/feed_progress.h"

#include "sql_worker.h"

#define QUERY_TIMEOUT_MS 30000

static const struct db_statement progress_statement = {"feed_progress", sql_feed_progress};

int feed_position_cmp(const struct feed_position *a, const struct feed_position *b)
{
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    int order = uuid_cmp(&a->key[0], &b->key[0]);
    return order != 0 ? order : uuid_cmp(&a->key[1], &b->key[1]);
}

bool feed_key_advance(struct uuid key[2])
{
    for (int half = 1; half >= 0; half--)
        for (int i = (int)sizeof key->b - 1; i >= 0; i--)
            if (++key[half].b[i] != 0)
                return true;
    return false;
}

/* ---- partitions ---- */

static int compare_parts(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

void feed_parts_set(struct feed_parts *parts, const int32_t *items, size_t count)
{
    parts->items = cv_realloc(parts->items, (count + 1) * sizeof *items);
    parts->progress = cv_realloc(parts->progress, (count + 1) * sizeof *parts->progress);
    for (size_t i = 0; i < count; i++) {
        parts->items[i] = items[i];
        parts->progress[i] = (struct feed_progress){0};
    }
    parts->count = count;
    qsort(parts->items, count, sizeof *items, compare_parts);
}

void feed_parts_done(struct feed_parts *parts)
{
    free(parts->items);
    free(parts->progress);
}

static struct feed_progress *find(const struct feed_parts *parts, int32_t part)
{
    if (parts->count == 0)
        return NULL;
    const int32_t *item = bsearch(&part, parts->items, parts->count, sizeof part, compare_parts);
    return item != NULL ? &parts->progress[item - parts->items] : NULL;
}

const struct feed_progress *feed_parts_find(const struct feed_parts *parts, int32_t part)
{
    return find(parts, part);
}

enum cv_status feed_parts_load(struct feed_parts *cases, struct feed_parts *agents, struct db *db, struct arena *arena,
                               struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    db_args_init(&args, arena);
    db_arg_int4_array(&args, cases->items, sizeof *cases->items, cases->count);
    db_arg_int4_array(&args, agents->items, sizeof *agents->items, agents->count);
    enum cv_status status = db_exec(db, &progress_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct feed_parts *parts = db_bool(result, row, 0) ? agents : cases;
        struct feed_progress *progress = find(parts, db_int4(result, row, 1));
        if (progress == NULL)
            continue;
        *progress = (struct feed_progress){
            .change_no = db_int8(result, row, 2),
            .everything = db_bool(result, row, 3),
            .at = {(enum feed_stage)db_int4(result, row, 4), {db_uuid(result, row, 5), db_uuid(result, row, 6)}},
        };
    }
    return CV_OK;
}

int64_t feed_parts_round(const struct feed_parts *parts, int64_t number, int64_t most)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->progress[i].change_no > number && parts->progress[i].change_no < most)
            most = parts->progress[i].change_no;
    return most;
}

/*
 * A round that renders everything does in FEED_STAGE_CASES what another one does in two stages: what it has not reached
 * there, the other one has to look for from the start.
 */
struct feed_position feed_progress_start(const struct feed_progress *progress, int64_t change_no, bool everything)
{
    const struct feed_position beginning = {0};
    if (progress->change_no < change_no)
        return beginning;
    if (progress->everything && !everything && progress->at.stage < FEED_STAGE_AGENTS)
        return beginning;
    return progress->at;
}
