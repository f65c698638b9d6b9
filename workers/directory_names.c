#include "workers/directory_names.h"

#include "caseview/clock.h"
#include "caseview/log.h"
#include "workers/open_batch.h"

void directory_names_init(struct directory_names *names, int32_t gen)
{
    *names = (struct directory_names){
        .feed = feed_new(gen), .round = render_round_new(gen), .arena = arena_new(1u << 16, 64u << 20)};
}

void directory_names_done(struct directory_names *names)
{
    feed_free(names->feed);
    render_round_free(names->round);
    arena_free(names->arena);
}

/* The partitions that show names and are claimed, by topic. */
struct shown {
    int32_t *cases, *agents; /* free(cases) frees both */
    size_t case_count, agent_count;
    int64_t dir_no; /* the smallest */
};

static struct shown find_shown(const struct partitions *partitions)
{
    struct shown shown = {.dir_no = INT64_MAX};
    shown.cases = cv_alloc((2 * partitions->count + 1) * sizeof *shown.cases);
    shown.agents = shown.cases + partitions->count;
    for (size_t i = 0; i < partitions->count; i++) {
        const struct partition *partition = partitions->all[i];
        if (partition->topic == TOPIC_DIRECTORY || partition->state == PARTITION_UNCLAIMED)
            continue; /* its claim makes the feed start again */
        if (partition->topic == TOPIC_CASES)
            shown.cases[shown.case_count++] = partition->part;
        else
            shown.agents[shown.agent_count++] = partition->part;
        if (partition->cursor.dir_no < shown.dir_no)
            shown.dir_no = partition->cursor.dir_no;
    }
    return shown;
}

static void follow_from(struct directory_names *names, const struct shown *shown, int64_t dir_no)
{
    bool any = shown->case_count + shown->agent_count > 0;
    feed_restart(names->feed, any ? dir_no : 0, shown->cases, shown->case_count, shown->agents, shown->agent_count);
    names->mode = NAMES_FOLLOWED;
}

static void restart(struct directory_names *names)
{
    struct shown shown = find_shown(names->partitions);
    names_clear(folder_names(names->folder));
    if (shown.dir_no == CURSOR_UNRENDERED) {
        feed_restart(names->feed, 0, NULL, 0, NULL, 0); /* it has nothing to do until the round is over */
        names->mode = NAMES_DEFERRED;
    } else {
        follow_from(names, &shown, shown.dir_no);
    }
    names->unsaved_no = 0;
    names->partitions->changed = false;
    free(shown.cases);
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

/* ---- the rows that a rebuild left out ---- */

static enum cv_status begin_round(struct directory_names *names, struct err *err)
{
    struct shown shown = find_shown(names->partitions);
    enum cv_status status = render_round_begin(names->round, writer_loader(names->writer), names->arena, shown.cases,
                                               shown.case_count, shown.agents, shown.agent_count, &names->round_no,
                                               err);
    if (status == CV_OK) {
        log_info("rendering all listed cases and agents of this worker's partitions");
        names_clear(folder_names(names->folder)); /* what is read from now on has all changes up to round_no */
        names->after_batches = pipeline_closed(names->pipeline);
        names->mode = NAMES_WAITING;
    }
    free(shown.cases);
    return status;
}

/* The feed follows from the change that the round has shown; the cursors get its number with the last rows. */
static void end_round(struct directory_names *names)
{
    struct shown shown = find_shown(names->partitions);
    follow_from(names, &shown, names->round_no);
    names->unsaved_no = names->round_no;
    log_info("rendered all listed cases and agents of this worker's partitions");
    free(shown.cases);
}

/* Rows to render, of the round. */
static enum cv_status step_round(struct directory_names *names, const struct folder_key **out_keys, size_t *out_count,
                                 struct err *err)
{
    bool done = false;
    *out_count = 0;
    if (names->mode == NAMES_DEFERRED)
        return generation_watch_defers(names->watch) ? CV_OK : begin_round(names, err);
    if (names->mode == NAMES_WAITING && pipeline_committed(names->pipeline) >= names->after_batches)
        names->mode = NAMES_ROUND;
    if (names->mode == NAMES_WAITING)
        return CV_OK;
    enum cv_status status = render_round_step(names->round, writer_loader(names->writer), names->arena,
                                              rows_wanted(names), out_keys, out_count, &done, err);
    if (status == CV_OK && done)
        end_round(names);
    return status;
}

bool directory_names_deferred(const struct directory_names *names)
{
    return names->mode == NAMES_DEFERRED;
}

void directory_names_mark(struct directory_names *names, struct batch *batch)
{
    batch->deferred = names->mode == NAMES_DEFERRED;
    for (size_t i = 0; batch->deferred && i < batch->cursor_count; i++) {
        batch->cursors[i].shows_progress = false;
        if (batch->cursors[i].topic != TOPIC_DIRECTORY)
            batch->cursors[i].dir_no = CURSOR_UNRENDERED;
    }
}

/* ---- each turn ---- */

enum cv_status directory_names_follow(struct directory_names *names, struct err *err)
{
    const struct folder_key *keys;
    size_t count;
    int64_t dir_no = 0;
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
    enum cv_status status = names->mode == NAMES_FOLLOWED
                                ? feed_step(names->feed, &context, &keys, &count, &dir_no, err)
                                : step_round(names, &keys, &count, err);
    if (status != CV_OK)
        return status;
    if (dir_no > 0)
        names->unsaved_no = dir_no;
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
        names->unsaved_no = 0; /* a partition that was claimed since may not show all up to this number */
    else if (feed_has_rows(names->feed) && now >= names->progress_ms + 1000)
        add_progress(names); /* many rows were read, and none of them is to be rendered */
    bool alone = batch_is_empty(pipeline_open(names->pipeline));
    if (names->unsaved_no == 0 || (alone && now < names->saved_ms + 1000))
        return;
    names->saved_ms = now;
    for (size_t i = 0; i < names->partitions->count; i++)
        if (partition_shows_names(names->partitions->all[i]))
            open_batch_cursor(names->pipeline, names->partitions->all[i])->dir_no = names->unsaved_no;
    names->unsaved_no = 0;
}

void directory_names_drop(struct directory_names *names)
{
    names->unsaved_no = 0;
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
    struct shown shown = find_shown(names->partitions);
    /* Even when the feed follows: the refused batch may be the round's last one. */
    if (shown.dir_no == CURSOR_UNRENDERED)
        render_round_skip(names->round, &key);
    else
        feed_skip(names->feed, &key);
    free(shown.cases);
}

bool directory_names_has_rows(const struct directory_names *names)
{
    return names->mode == NAMES_FOLLOWED ? feed_has_rows(names->feed) : names->mode == NAMES_ROUND;
}

int64_t directory_names_lag_ms(const struct directory_names *names)
{
    return names->mode == NAMES_FOLLOWED ? feed_lag_ms(names->feed) : 0;
}

int directory_names_wait_ms(const struct directory_names *names)
{
    if (!may_follow(names))
        return -1;
    if (names->mode == NAMES_FOLLOWED)
        return feed_wait_ms(names->feed);
    return names->mode == NAMES_ROUND ? 0 : -1;
}
