/*
 * writer.h: one transaction a batch, as one pipeline: the fence first, then the rows in key order, then COMMIT; sent
 * with one flush and collected without blocking, so that the next batch is decoded and folded meanwhile. One thread.
 *
 * A batch counts as written only when its COMMIT was acknowledged. Whatever else happens is one of the outcomes below.
 */
#ifndef CASEVIEW_SINK_WRITER_H
#define CASEVIEW_SINK_WRITER_H

#include "caseview/db.h"
#include "caseview/err.h"
#include "workers/sink/batch.h"

enum writer_outcome {
    WRITER_IDLE,      /* nothing is under way */
    WRITER_BUSY,      /* wait for writer_db()'s socket */
    WRITER_COMMITTED, /* acknowledged */
    WRITER_AGAIN,     /* serialization, deadlock, lock time-out: the same batch again, unchanged */
    WRITER_REFOLD,    /* a row was written by somebody else meanwhile: drop what is cached and fold the batch again */
    WRITER_RECOVER,   /* the fence refused, or anything else, or the connection is lost: start again from the cursors */
};

struct writer;

/* Connects lazily: writer_connect(). conninfo is borrowed. */
struct writer *writer_new(const char *conninfo, int32_t gen, int connect_timeout_ms);
void writer_free(struct writer *writer);

/* Opens what is not open: CV_OK, CV_RETRY, or CV_FATAL (conninfo that cannot work). */
enum cv_status writer_connect(struct writer *writer, struct err *err) CV_MUST_CHECK;
void writer_disconnect(struct writer *writer);
bool writer_is_connected(const struct writer *writer);
struct db *writer_db(struct writer *writer);     /* batches and claims */
struct db *writer_loader(struct writer *writer); /* reads, beside a running batch */

/* Sends a folded batch; it stays untouched until writer_poll() says how it ended. CV_OK, or CV_RETRY: as
 * WRITER_RECOVER. */
enum cv_status writer_send(struct writer *writer, struct batch *batch, struct err *err) CV_MUST_CHECK;
/*
 * The same for a batch beside the workers (outside.h): its cursors do not move, their claims are taken; clock: the
 * number of the directory that its names show at least. A claim that cannot be taken is WRITER_REFOLD too.
 */
enum cv_status writer_send_outside(struct writer *writer, struct batch *batch, int64_t clock, int lock_timeout_ms,
                                   struct err *err) CV_MUST_CHECK;
/* After WRITER_REFOLD of such a batch: parked events of it are no longer parked. */
bool writer_lost_parked(const struct writer *writer);
/* Never blocks. err is filled for the outcomes after COMMITTED. */
enum writer_outcome writer_poll(struct writer *writer, struct err *err);
bool writer_is_busy(const struct writer *writer);

#endif
