#include "workers/directory_names.h"

#include "caseview/clock.h"
#include "workers/open_batch.h"

void directory_names_init(struct directory_names *names, int32_t gen)
{
    *names = (struct directory_names){.feed = feed_new(gen), .arena = arena_new(1u << 16, 64u << 20)};
}

void directory_names_done(struct directory_names *names)
{
    feed_free(names->feed);
    arena_free(names->arena);
}

static void restart(struct directory_names *names)
{
    int64_t dir_no = INT64_MAX;
    const struct partitions *partitions = names->partitions;
    int32_t *parts = cv_alloc((2 * partitions->count + 1) * sizeof *parts);
    int32_t *agents = parts + partitions->count;
    size_t case_count = 0, agent_count = 0;
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = partitions->all[i];
        if (partition->topic == TOPIC_DIRECTORY || partition->state == PARTITION_UNCLAIMED)
            continue; /* its claim makes the feed start again */
        if (partition->topic == TOPIC_CASES)
            parts[case_count++] = partition->part;
        else
            agents[agent_count++] = partition->part;
        if (partition->cursor.dir_no < dir_no)
            dir_no = partition->cursor.dir_no;
    }
    names_clear(folder_names(names->folder));
    feed_restart(names->feed, case_count + agent_count > 0 ? dir_no : 0, parts, case_count, agents, agent_count);
    names->unsaved = 0;
    names->partitions->changed = false;
    cv_free_ptr(&parts);
}

/*
 * Not while one of the partitions is about to halt: the feed would give rows of that one, too, and none may be written
 * without its claim.
 */
static bool may_follow(const struct directory_names *names)
{
    for (size_t i = 0; i < names->partitions->count; i++)
        if (names->partitions->all[i]->state == PARTITION_HALTING &&
            names->partitions->all[i]->topic != TOPIC_DIRECTORY)
            return false;
    return writer_is_connected(names->writer);
}

/*
 * While a refused row is searched, a batch holds records or rows without an event, not both. Records that have waited
 * for a batch with such rows go in one without: they would wait for the rows of two.
 */
static size_t rows_wanted(const struct directory_names *names)
{
    const struct batch *batch = pipeline_open(names->pipeline);
    bool searching = pipeline_limit(names->pipeline)->items != BATCH_LIMIT_NONE;
    bool waited = pipeline_closed(names->pipeline) == names->rendered_in + 1;
    if ((searching || waited) && batch->record_count > 0)
        return 0;
    if (batch->counts.rerendered > 0 || pipeline_is_full(names->pipeline))
        return 0;
    return pipeline_room(names->pipeline);
}

/* Adds to the open batch how far the round has come, once the batch holds the rows before. */
static void add_progress(struct directory_names *names)
{
    struct batch *batch = pipeline_open(names->pipeline);
    bool shows = feed_progress(names->feed, &batch->progress);
    for (size_t i = 0; i < batch->cursor_count; i++)
        batch->cursors[i].shows_progress = false; /* of a partition that was given up since */
    for (size_t i = 0; i < names->partitions->count; i++)
        if (partition_shows_names(names->partitions->all[i]))
            open_batch_cursor(names->pipeline, names->partitions->all[i])->shows_progress = shows;
    names->progress_ms = clock_mono_ms();
}

enum cv_status directory_names_follow(struct directory_names *names, struct err *err)
{
    const struct folder_key *keys;
    size_t count;
    int64_t dir_no;
    if (!may_follow(names))
        return CV_OK;
    /* A batch in flight still shows the old names: with it committed, the feed starts from the cursors. */
    if (names->partitions->changed) {
        if (pipeline_is_busy(names->pipeline))
            return CV_OK;
        restart(names);
    }
    arena_reset(names->arena);
    const struct feed_context context = {
        .db = writer_loader(names->writer),
        .names = folder_names(names->folder),
        .arena = names->arena,
        .closed = pipeline_closed(names->pipeline),
        .committed = pipeline_committed(names->pipeline),
        .most = rows_wanted(names),
    };
    enum cv_status status = feed_step(names->feed, &context, &keys, &count, &dir_no, err);
    if (status != CV_OK)
        return status;
    if (dir_no > 0)
        names->unsaved = dir_no;
    if (count == 0)
        return CV_OK;
    names->rendered_in = pipeline_closed(names->pipeline);
    add_progress(names); /* with it, the rows are written under the claims of all their partitions */
    return folder_rerender(names->folder, writer_loader(names->writer), pipeline_open(names->pipeline), keys, count,
                           err);
}

void directory_names_add_cursors(struct directory_names *names)
{
    int64_t now = clock_mono_ms();
    if (names->partitions->changed)
        names->unsaved = 0; /* a partition that was claimed since may not show all up to this number */
    else if (feed_has_rows(names->feed) && now >= names->progress_ms + 1000)
        add_progress(names); /* many rows were read, and none of them is to be rendered */
    bool alone = batch_is_empty(pipeline_open(names->pipeline));
    if (names->unsaved == 0 || (alone && now < names->saved_ms + 1000))
        return;
    names->saved_ms = now;
    for (size_t i = 0; i < names->partitions->count; i++)
        if (partition_shows_names(names->partitions->all[i]))
            open_batch_cursor(names->pipeline, names->partitions->all[i])->dir_no = names->unsaved;
    names->unsaved = 0;
}

void directory_names_drop(struct directory_names *names)
{
    names->unsaved = 0;
}

void directory_names_skip_row(struct directory_names *names, const struct batch *refused)
{
    struct folder_key key = {.topic = TOPIC_CASES};
    if (refused->case_count > 0) {
        key.id = refused->case_rows[0].case_id;
    } else if (refused->agent_count > 0) {
        key.topic = TOPIC_AGENTS;
        key.organization_id = refused->agent_rows[0].organization_id;
        key.id = refused->agent_rows[0].user_id;
    }
    feed_skip(names->feed, &key);
}

bool directory_names_has_rows(const struct directory_names *names)
{
    return feed_has_rows(names->feed);
}

int directory_names_wait_ms(const struct directory_names *names)
{
    return may_follow(names) ? feed_wait_ms(names->feed) : -1;
}
