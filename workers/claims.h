/*
 * claims.h: the database's side of ownership: connecting, claiming the assigned partitions, starting to read them where
 * their cursors are, and writing halts to the cursors. One thread.
 */
#ifndef CASEVIEW_WORKERS_CLAIMS_H
#define CASEVIEW_WORKERS_CLAIMS_H

#include "workers/partitions.h"
#include "workers/sink/pipeline.h"
#include "workers/worker_metrics.h"

struct claims {
    int32_t gen;
    const char *owner; /* host:pid, for people */
    struct partitions *partitions;
    struct pipeline *pipeline;
    struct writer *writer;
    const struct worker_metrics *m;
    struct arena *arena;    /* arguments of queries */
    struct retry reconnect; /* reset by a commit of records, or when a connection lasts */
    int64_t not_before_ms;  /* clock_mono_ms(): nothing is claimed before */
    bool connected;
    int64_t connected_at_ms;
};

/* partitions, pipeline, writer, metrics and owner are borrowed. */
void claims_init(struct claims *claims, int32_t gen, const char *owner, struct partitions *partitions,
                 struct pipeline *pipeline);
void claims_done(struct claims *claims);

/*
 * Connects when there is no connection and it is time for another attempt; between two batches only. CV_OK; CV_RETRY:
 * no connection; CV_FATAL: the connection string cannot work.
 */
enum cv_status claims_connect(struct claims *claims, struct err *err) CV_MUST_CHECK;
/*
 * Claims what is due, for at most two seconds; between two batches only, and not without a connection. CV_OK, or
 * CV_RETRY: the connection was lost.
 */
enum cv_status claims_advance(struct claims *claims, struct err *err) CV_MUST_CHECK;
/* Writes the halts of partitions whose earlier records are committed. CV_OK, or CV_RETRY: the connection was lost. */
enum cv_status claims_write_halts(struct claims *claims, struct err *err) CV_MUST_CHECK;

#endif
