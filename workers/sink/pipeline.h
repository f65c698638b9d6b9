/*
 * pipeline.h: the batch that is being filled and the one that is being written. While one is written the next chunks
 * fold on top of its states. One thread.
 *
 * A batch that was sent has two ends. It is committed; or it is refused, and then it is either sent again unchanged
 * (WRITER_AGAIN, done here) or everything that is not in the database is dropped (pipeline_drop()): both batches and
 * all cached states. There is no other way, so nothing that a batch refers to can be gone before the batch is.
 */
#ifndef CASEVIEW_SINK_PIPELINE_H
#define CASEVIEW_SINK_PIPELINE_H

#include "workers/sink/batch_limit.h"
#include "workers/sink/folder.h"
#include "workers/sink/pace.h"
#include "workers/sink/writer.h"

struct pipeline;

/*
 * batch_bytes: a batch is full when its changed states, rendered rows and parked records are estimated to take so much.
 * folder and writer are borrowed.
 */
struct pipeline *pipeline_new(struct folder *folder, struct writer *writer, size_t batch_bytes);
void pipeline_free(struct pipeline *pipeline);

struct batch *pipeline_open(struct pipeline *pipeline); /* the batch being filled */
/* Records and rows without an event that the open batch may still take. */
size_t pipeline_room(const struct pipeline *pipeline);
bool pipeline_is_full(const struct pipeline *pipeline);
bool pipeline_is_busy(const struct pipeline *pipeline);

/* Closes the open batch and begins to write it; nothing may be in flight. The next batch is open then. */
void pipeline_submit(struct pipeline *pipeline);
/*
 * Goes on writing. Outcomes as in writer.h. After WRITER_COMMITTED pipeline_written() is the batch, until
 * pipeline_release(). After the refusals pipeline_written() is the refused one, until pipeline_drop().
 */
enum writer_outcome pipeline_poll(struct pipeline *pipeline, struct err *err);
const struct batch *pipeline_written(const struct pipeline *pipeline);
void pipeline_release(struct pipeline *pipeline);
/* Drops all that is not in the database. */
void pipeline_drop(struct pipeline *pipeline);

/* How many batches were closed and committed so far: what is dropped counts as committed. */
uint64_t pipeline_closed(const struct pipeline *pipeline);
uint64_t pipeline_committed(const struct pipeline *pipeline);
int64_t pipeline_sent_at_us(const struct pipeline *pipeline); /* clock_mono_us() of the last pipeline_submit() */
/* Least time from there to the next pipeline_submit(): pace.h. */
int64_t pipeline_gap_us(const struct pipeline *pipeline);
struct batch_limit *pipeline_limit(struct pipeline *pipeline);

#endif
