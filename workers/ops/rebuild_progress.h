/*
 * rebuild_progress.h: how far a generation has read the log: its cursors next to the log's first and end offsets, and
 * the phase that follows from them.
 */
#ifndef CASEVIEW_OPS_REBUILD_PROGRESS_H
#define CASEVIEW_OPS_REBUILD_PROGRESS_H

#include "workers/ops/rebuild_command.h"
#include "workers/source/watermarks.h"

enum rebuild_phase { PHASE_FILLING, PHASE_CAUGHT_UP, PHASE_PREPARING, PHASE_READY, PHASE_LIVE, PHASE_PAST };

struct rebuild_partition {
    enum topic topic;
    const char *topic_name;
    int32_t part;
    int64_t log_start, log_end; /* -1: unknown, its leader did not answer */
    bool has_cursor;            /* false: no worker has claimed it yet */
    int64_t next_offset;        /* 0 without a cursor */
    bool complete;              /* was at its end within the last 30 s */
    bool rendered;              /* its rows for readers are written */
    struct str state, reason;   /* of the cursor */
};

struct rebuild_progress {
    struct rebuild_partition *partitions; /* by topic and number; memory of the arena given */
    size_t count;
    int64_t left; /* records between the cursors and the ends */
    bool caught_up;
    bool rendered; /* all of them */
};

const char *rebuild_phase_name(enum rebuild_phase phase);
enum rebuild_phase rebuild_phase_parse(const char *name); /* of --check */
enum rebuild_phase rebuild_phase_of(const struct generation *generation, const struct rebuild_progress *progress);

/* Asks Kafka and the database. CV_OK; CV_RETRY: one of them is away; CV_FATAL: a topic does not exist. */
enum cv_status rebuild_progress_read(struct rebuild *rebuild, struct arena *arena, int32_t gen,
                                     struct rebuild_progress *out_progress, struct err *err) CV_MUST_CHECK;

/*
 * The same, for a command that decides by it: all starts and ends are known. Statuses as above; also CV_RETRY: the
 * leader of a partition did not answer.
 */
enum cv_status rebuild_progress_read_all(struct rebuild *rebuild, struct arena *arena, int32_t gen,
                                         struct rebuild_progress *out_progress, struct err *err) CV_MUST_CHECK;

/* Appends four arrays, with an element for each partition: topic, number, log_start, log_end. In the arena given. */
void rebuild_progress_log_args(const struct rebuild_progress *progress, struct arena *arena, struct db_args *args);

/* The first partition that is not at its end, NULL: all are. */
const struct rebuild_partition *rebuild_progress_behind(const struct rebuild_progress *progress);

#endif
