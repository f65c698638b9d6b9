/*
 * intake.h: records in. One chunk at a time: takes what the consumer has, decodes each record, folds it into the cached
 * states, reads the states that were missing, and moves the cursors of the open batch on. No event and no record is
 * kept beyond the call, but for what is parked. One thread.
 */
#ifndef CASEVIEW_WORKERS_INTAKE_H
#define CASEVIEW_WORKERS_INTAKE_H

#include "workers/generation_watch.h"
#include "workers/partitions.h"
#include "workers/sink/pipeline.h"
#include "workers/source/schemas.h"
#include "workers/worker_metrics.h"

/* Records of one chunk at most. */
#define INTAKE_RECORDS 1000

struct intake {
    struct partitions *partitions;
    struct pipeline *pipeline;
    struct folder *folder;
    struct writer *writer;
    struct schemas *schemas;
    struct generation_watch *watch; /* limits the rate of a rebuild */
    const struct worker_metrics *m;
    struct consumer_event *events; /* room for INTAKE_RECORDS */
    uint64_t *hashes;              /* of the cases of the events, to prefetch their states */
    struct arena *arena;           /* lists of the events of a chunk */
    struct buf headers;
    bool parked; /* the record being handled was parked */
    bool more;   /* the last chunk took all it could: there is more at hand */
};

/* The pointers are borrowed; they are set by the caller. */
void intake_init(struct intake *intake);
void intake_done(struct intake *intake);

/*
 * Takes and folds a chunk. CV_OK; CV_RETRY: the database could not be asked, the caller recovers; CV_FATAL: the
 * consumer is dead (its group-instance-id was taken over).
 */
enum cv_status intake_take(struct intake *intake, struct err *err) CV_MUST_CHECK;

#endif
