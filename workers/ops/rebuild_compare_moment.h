/*
 * rebuild_compare_moment.h: the cursors of both generations at the moments at which `rebuild compare` reads rows. They
 * tell whether two rows are comparable: both generations have read the same part of the log for them. Pure. Private to
 * compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_MOMENT_H
#define CASEVIEW_OPS_REBUILD_COMPARE_MOMENT_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "workers/fold/record.h"

enum compare_side { COMPARE_LIVE, COMPARE_OTHER, COMPARE_SIDES };

struct compare_partition {
    char *topic;
    enum topic role; /* TOPIC_COUNT: of a topic that is not read any more */
    int32_t part;
};

struct compare_cursor {
    int64_t next_offset; /* -1: no worker has claimed it */
    int64_t dir_no;
    bool stopped; /* paused or halted */
};

struct compare_moment {
    struct compare_cursor *cursors[COMPARE_SIDES]; /* by partition */
    size_t count, room;                            /* partitions known at this moment */
    int64_t clock[COMPARE_SIDES];                  /* directory changes made */
    bool names_known;
    int64_t names[COMPARE_SIDES]; /* changes that rows must show to have the names of this moment */
};

struct compare_moments {
    const char *topics[TOPIC_COUNT];
    struct compare_partition *partitions;
    size_t partition_count, partition_room;
    struct compare_moment *items;
    size_t count, room;
};

/* topics are borrowed. */
void compare_moments_init(struct compare_moments *moments, const char *const topics[TOPIC_COUNT]);
void compare_moments_done(struct compare_moments *moments);

/* Begins a moment, without cursors yet. */
void compare_moments_add(struct compare_moments *moments);
/* Sets a cursor, and a clock, of the last moment. */
void compare_moments_set_cursor(struct compare_moments *moments, enum compare_side side, struct str topic, int32_t part,
                                const struct compare_cursor *cursor);
void compare_moments_set_clock(struct compare_moments *moments, enum compare_side side, int64_t no);
/* When all are set. */
void compare_moments_complete(struct compare_moments *moments);
/* A partition of the topic has a cursor on this side at the last moment. */
bool compare_moments_has_topic(const struct compare_moments *moments, enum compare_side side, enum topic role);

/* What determines a row. */
struct compare_place {
    enum topic role;
    int32_t parts[COMPARE_SIDES]; /* of cases and agents; -1: no row there */
    bool has_partition;
    size_t partition; /* index of the only partition that counts, for parked records */
};

enum compare_lag_kind { LAG_NONE, LAG_CURSOR, LAG_NAMES };

struct compare_lag {
    enum compare_lag_kind kind;
    enum compare_side side;
    size_t partition;
    int64_t at, wanted; /* offsets, or directory changes */
};

/*
 * Why rows of this place that have not been written since moment `first` are not comparable at the last moment:
 * LAG_CURSOR: a generation has not read as far as either had at `first`; LAG_NAMES: its rows do not show the directory
 * that far. LAG_NONE: they are comparable, a difference is real.
 */
struct compare_lag compare_moments_lag(const struct compare_moments *moments, size_t first,
                                       const struct compare_place *place);
/* "generation 2 lags: case-events/0 is at 5 of 9, paused or halted". gens: of both sides. */
void compare_lag_text(const struct compare_moments *moments, const int32_t gens[COMPARE_SIDES],
                      const struct compare_lag *lag, struct buf *out);

#endif
