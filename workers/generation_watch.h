/*
 * generation_watch.h: what operators have decided about the worker's generation: whether it is live, and whether rows
 * for readers are rendered yet. While it is not live, the option bulk-rate limits how fast the worker folds. One
 * thread.
 */
#ifndef CASEVIEW_WORKERS_GENERATION_WATCH_H
#define CASEVIEW_WORKERS_GENERATION_WATCH_H

#include "caseview/config.h"
#include "workers/sink/writer.h"
#include "workers/worker_metrics.h"

struct generation_watch {
    int32_t gen;
    const struct config *config; /* borrowed, as are the next two */
    struct writer *writer;
    const struct worker_metrics *m;
    struct arena *arena;
    bool live, deferred, prepared; /* as of the last look; before the first one only deferred */
    bool fits;                     /* likewise: its tables are of our version, or it does not exist */
    bool misfit_reported;
    char option[32]; /* what an operator's command needs to mean this generation: "" when it is live */
    int64_t next_look_ms;
    unsigned reloads;            /* of stop_reload_requested() */
    int64_t bulk_rate;           /* events a second, 0: no limit */
    double allowed;              /* events that may be folded now; below 0: debt of the last chunk */
    int64_t allowed_us;          /* clock_mono_us() when it was computed */
    int64_t counted, counted_ms; /* for the rate: events taken up to then */
    double rate;                 /* events a second, about the last ten seconds */
};

void generation_watch_init(struct generation_watch *watch, int32_t gen, const struct config *config);
void generation_watch_done(struct generation_watch *watch);

/* Looks once a second, when the worker is connected. CV_OK, or CV_RETRY: the connection was lost. */
enum cv_status generation_watch_look(struct generation_watch *watch, struct err *err) CV_MUST_CHECK;
/* Its tables are of the version that this program writes. False before the first look, too. */
bool generation_watch_fits(const struct generation_watch *watch);
/* It has all its indexes, and its rows are complete. */
bool generation_watch_prepared(const struct generation_watch *watch);
/* Rows for readers must not be rendered yet. */
bool generation_watch_defers(const struct generation_watch *watch);

/* How many events may be folded now: `most`, or fewer. */
size_t generation_watch_allows(struct generation_watch *watch, size_t most);
/* So many were taken. */
void generation_watch_took(struct generation_watch *watch, size_t events);
/* Milliseconds until some may be folded again; 0: now. */
int generation_watch_wait_ms(struct generation_watch *watch);
/* Once a second: the gauges of a rebuild. behind: records in the log beyond the positions. */
void generation_watch_show(struct generation_watch *watch, int64_t behind);

#endif
