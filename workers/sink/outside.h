/*
 * outside.h: a batch beside the running workers, for operators' commands (`parked retry`, `repair`). It is folded by
 * the same code as theirs, upon the stored rows or in their place, and written as one pipeline that moves no cursor.
 *
 * The owner of a partition is the only renderer of its rows, so the batch takes the partition's claim: the owner's next
 * batch is refused, it recovers, and renders what changed in the directory since its dir_no. The names of the outside
 * batch are at least as new as that, or it is refused. Everything slow happens before BEGIN; the owner is held up for
 * the time of one commit. Blocking; one thread.
 *
 * Fill outside_batch() (after batch_reset()): the cursors of all partitions that events come from or whose rows are
 * written (batch_add_cursor: topic, part, topic_name), the events (batch_add_event), what leaves `parked`
 * (batch_unpark), and of these what is still bad (batch_park). outside_write() does the rest, and folds again for as
 * long as somebody is in its way.
 *
 * batch->replace: the events of each key are all that the log has of it, and their fold takes the place of the stored
 * state, revision kept. What the caller read of the log must fit the rows: batch_expect() says the revision of each
 * case and agent as the caller saw it BEFORE it read the log, and the cursors of the directory carry claim (uuid of
 * zeros: none) and old_offset as of then. If one has changed, *out_stale: see the rows again, read the log again. All
 * rows of active_case of the case are made right, an owner of an application that was another one is given up, and
 * every entity gets a number of the change feed, so that all that name it are rendered anew.
 */
#ifndef CASEVIEW_SINK_OUTSIDE_H
#define CASEVIEW_SINK_OUTSIDE_H

#include "caseview/db.h"
#include "workers/sink/batch.h"

struct outside;

/* Connects. conninfo is borrowed. CV_OK, CV_RETRY, or CV_FATAL (conninfo that cannot work). */
enum cv_status outside_open(const char *conninfo, int32_t gen, int connect_timeout_ms, struct outside **out_outside,
                            struct err *err) CV_MUST_CHECK;
void outside_close(struct outside *outside);

struct batch *outside_batch(struct outside *outside);
struct db *outside_db(struct outside *outside); /* for the caller's own statements, between two writes */

/*
 * Folds and writes. *out_stale: nothing was written, because what the batch was made from has changed: a parked event
 * was dealt with by somebody else, or a row of a replacing batch. Otherwise CV_OK means that it is on disk, and the
 * counts and the fold's parked events are in the batch. CV_RETRY: the database refused it for a minute, or was lost
 * (then it may be written all the same); CV_FATAL: it is too large, or a stored state is of another version.
 */
enum cv_status outside_write(struct outside *outside, bool *out_stale, struct err *err) CV_MUST_CHECK;

#endif
