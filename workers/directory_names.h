/*
 * directory_names.h: keeps the names that the worker's rows show up to date with the directory: follows the change feed
 * (sink/feed.h), has the rows that name a changed entity rendered again, and stores in the cursors which change their
 * rows show.
 *
 * In a rebuild the rows for readers are written last: while rendering of the generation is deferred, batches leave them
 * out and say so in their cursors (CURSOR_UNRENDERED). As long as one partition of the worker is so, all are. When the
 * deferral ends, one round renders all rows of the worker's partitions, and the feed goes on from there. One thread.
 */
#ifndef CASEVIEW_WORKERS_DIRECTORY_NAMES_H
#define CASEVIEW_WORKERS_DIRECTORY_NAMES_H

#include "workers/generation_watch.h"
#include "workers/partitions.h"
#include "workers/sink/feed.h"
#include "workers/sink/pipeline.h"
#include "workers/sink/render_round.h"

/*
 * A live generation's workers are always in the first. Each claim decides between the first two, by the cursors; from
 * NAMES_DEFERRED it goes on downwards, and back to the first when the round is done.
 */
enum names_mode {
    NAMES_FOLLOWED, /* the feed is followed */
    NAMES_DEFERRED, /* batches render no rows for readers */
    NAMES_WAITING,  /* batches render again; those closed before are not all committed yet */
    NAMES_ROUND,    /* all rows are being rendered */
};

struct directory_names {
    struct feed *feed;
    struct render_round *round;
    enum names_mode mode;
    uint64_t after_batches;               /* NAMES_WAITING: the round starts when this many are committed */
    int64_t round_no;                     /* NAMES_ROUND: the rows show the directory up to this change */
    const struct generation_watch *watch; /* borrowed, as are those below */
    struct partitions *partitions;
    struct pipeline *pipeline;
    struct folder *folder;
    struct writer *writer;
    struct arena *arena;  /* arguments of queries */
    int64_t unsaved_no;   /* change to store in the cursors with the next batch, or a second later; 0: none */
    int64_t saved_ms;     /* clock_mono_ms() of the last time */
    uint64_t rendered_in; /* pipeline_closed() of the last batch that was given rows */
    int64_t progress_ms;  /* clock_mono_ms() when a batch last got the round's progress */
};

void directory_names_init(struct directory_names *names, int32_t gen);
void directory_names_done(struct directory_names *names);

/* One step. CV_OK, or CV_RETRY: the database could not be asked. */
enum cv_status directory_names_follow(struct directory_names *names, struct err *err) CV_MUST_CHECK;
/* Adds the number to the cursors of the open batch, if it holds something, or a second has passed. */
void directory_names_add_cursors(struct directory_names *names);
/* True while batches render no rows for readers. */
bool directory_names_deferred(const struct directory_names *names);
/* Marks a batch that is about to be closed, if it must not render rows for readers. */
void directory_names_mark(struct directory_names *names, struct batch *batch);
/* What was not written is forgotten; the feed starts from the cursors. */
void directory_names_drop(struct directory_names *names);
/* Leaves out the one re-rendered row of this batch, which PostgreSQL refuses permanently. */
void directory_names_skip_row(struct directory_names *names, const struct batch *refused);
/* True while rows are to be rendered again. */
bool directory_names_has_rows(const struct directory_names *names);
/* Time since the rows showed all changes of the directory; 0 while a rebuild leaves them out or renders all rows. */
int64_t directory_names_lag_ms(const struct directory_names *names);
/* Milliseconds until there is something to do; -1: not by itself. */
int directory_names_wait_ms(const struct directory_names *names);

#endif
