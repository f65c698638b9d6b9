/*
 * writer.h: the worker's two database connections, and the transaction that is written on one of them: a closed batch
 * as one pipeline, sent in pieces as the socket takes it, answered without blocking. The other connection reads what is
 * not cached, meanwhile. One thread.
 *
 * A batch counts as written only when its COMMIT was acknowledged. Everything else is one of the outcomes below; no
 * caller looks at an SQLSTATE.
 */
#ifndef CASEVIEW_SINK_WRITER_H
#define CASEVIEW_SINK_WRITER_H

#include "workers/sink/write_steps.h"

enum writer_outcome {
    WRITER_IDLE,      /* nothing is in flight */
    WRITER_BUSY,      /* wait for writer_db()'s socket */
    WRITER_COMMITTED, /* acknowledged */
    WRITER_AGAIN,     /* serialization failure, deadlock, lock timeout: send the same batch again, unchanged */
    WRITER_CONFLICT,  /* a row was written by another writer since it was read */
    WRITER_FENCED,    /* a claim or an offset is not ours any more, or a partition was paused */
    WRITER_REFUSED, /* PostgreSQL refuses a row for good (SQLSTATE classes 22, 23 and 54): sending again cannot help */
    WRITER_LOST,    /* the connection was lost, or the server refused for another reason */
};

/* What it means that PostgreSQL refused a statement of this kind. Pure. */
enum writer_outcome writer_outcome_of(const char *sqlstate, enum write_step step);

struct writer;

/* Connects lazily: writer_connect(). conninfo is borrowed. */
struct writer *writer_new(const char *conninfo, int32_t gen, int connect_timeout_ms);
void writer_free(struct writer *writer);

/* Opens what is not open: CV_OK, CV_RETRY, or CV_FATAL (conninfo that cannot work). */
enum cv_status writer_connect(struct writer *writer, struct err *err) CV_MUST_CHECK;
void writer_disconnect(struct writer *writer);
bool writer_is_connected(const struct writer *writer);
struct db *writer_db(struct writer *writer);     /* batches and claims */
struct db *writer_loader(struct writer *writer); /* reads */

/*
 * Begins to send a closed batch, which is borrowed until writer_poll() reports its outcome, as are names and command
 * (NULL: a worker's batch). The outcome of what can go wrong here, too, comes from writer_poll().
 */
void writer_send(struct writer *writer, const struct batch *batch, struct names *names,
                 const struct operator_steps *command);
/* Sends more of the batch in flight, if the connection takes it. What goes wrong is reported by writer_poll(). */
void writer_push(struct writer *writer);
/*
 * Sends more and collects answers. Never blocks, but for reading names. err is filled for the outcomes after COMMITTED.
 */
enum writer_outcome writer_poll(struct writer *writer, struct err *err);
bool writer_is_busy(const struct writer *writer);
/* Microseconds that the fence of the last committed batch took on the server. */
int64_t writer_fence_us(const struct writer *writer);
/* After WRITER_CONFLICT of an operator's batch: a parked event of it is no longer parked. */
bool writer_lost_parked(const struct writer *writer);

#endif
