/*
 * feed_progress.h: how far the rows of a partition already show directory changes that its cursor's dir_no does not
 * include. It is stored with each batch that renders rows for the directory (names_progress), so that a round of the
 * change feed (feed.h) continues after a claim where it was. One thread.
 *
 * A round renders rows in the order of their positions: first those of active_case that an index finds, then the other
 * rows of active_case, then those of agent, each by its primary key.
 */
#ifndef CASEVIEW_SINK_FEED_PROGRESS_H
#define CASEVIEW_SINK_FEED_PROGRESS_H

#include "caseview/arena.h"
#include "caseview/db.h"
#include "caseview/err.h"
#include "caseview/uuid.h"

/* Stored. */
enum feed_stage {
    FEED_STAGE_FOUND = 0, /* cases that an index finds */
    FEED_STAGE_CASES = 1,
    FEED_STAGE_AGENTS = 2,
};

struct feed_position {
    enum feed_stage stage;
    struct uuid key[2]; /* organization, case or user */
};

struct feed_progress {
    int64_t change_no;       /* 0: none */
    bool everything;         /* the round renders all rows, and thus begins with FEED_STAGE_CASES */
    struct feed_position at; /* all rows before show the changes up to change_no */
};

int feed_position_cmp(const struct feed_position *a, const struct feed_position *b);
/* Makes the key the next one. False: there is none. */
bool feed_key_advance(struct uuid key[2]);

/* Partitions of one topic, ascending, with what is stored of them. */
struct feed_parts {
    int32_t *items;
    struct feed_progress *progress;
    size_t count;
};

void feed_parts_set(struct feed_parts *parts, const int32_t *items, size_t count); /* without progress */
void feed_parts_done(struct feed_parts *parts);
/* NULL: not one of them. */
const struct feed_progress *feed_parts_find(const struct feed_parts *parts, int32_t part);
/* Reads what is stored. CV_OK or CV_RETRY. */
enum cv_status feed_parts_load(struct feed_parts *cases, struct feed_parts *agents, struct db *db, struct arena *arena,
                               struct err *err) CV_MUST_CHECK;
/* The smallest number of a change above `number` that a partition has progress for, or `most`. */
int64_t feed_parts_round(const struct feed_parts *parts, int64_t number, int64_t most);

/* The position from which on a round up to change_no has to render the partition's rows. */
struct feed_position feed_progress_start(const struct feed_progress *progress, int64_t change_no, bool everything);

#endif
