/*
 * operator_write.h: a transaction of an operator's command (`parked retry`, `repair`) next to the running workers. It
 * folds by the same code as theirs, and writes one pipeline that moves no cursor.
 *
 * The owner of a partition is the only renderer of its rows, so the transaction takes the partition's claim: the
 * owner's next batch is refused, it recovers, and renders what changed in the directory since its dir_no. The names
 * written here are at least as new as that, or the transaction is refused. Everything slow happens before BEGIN; the
 * owner is held up for the time of one commit. Blocking; one thread.
 *
 * Use: operator_write_begin(); say which partitions the events come from or have rows in (…_partition), what is folded
 * (…_event), what leaves `parked` (…_unpark, …_still_parked) or which row is repaired (…_repair); then
 * operator_write_commit(), which folds and writes again while workers are in its way.
 */
#ifndef CASEVIEW_SINK_OPERATOR_WRITE_H
#define CASEVIEW_SINK_OPERATOR_WRITE_H

#include "workers/sink/folder.h"
#include "workers/sink/writer.h"

struct operator_write;

/* Connects. conninfo is borrowed. CV_OK, CV_RETRY, or CV_FATAL (conninfo that cannot work). */
enum cv_status operator_write_open(const char *conninfo, int32_t gen, int connect_timeout_ms,
                                   struct operator_write **out_write, struct err *err) CV_MUST_CHECK;
void operator_write_close(struct operator_write *write);
struct db *operator_write_db(struct operator_write *write); /* for the caller's own statements, between two writes */

void operator_write_begin(struct operator_write *write);
/* Lists of the events, and other memory of this write. */
struct arena *operator_write_arena(struct operator_write *write);
/* topic_name is borrowed. Naming a partition twice is fine. */
void operator_write_partition(struct operator_write *write, enum topic topic, int32_t part, struct str topic_name);
/* record and event are copied; what they borrow must stay until the commit. */
void operator_write_event(struct operator_write *write, const struct record *record, const struct event *event);
/* Names a parked event that is folded by this write: its row is deleted. */
void operator_write_unpark(struct operator_write *write, const struct batch_unpark *unpark);
/* Names one of these that still cannot be folded: its row stays, with this reason. organization_id may be NULL. */
void operator_write_still_parked(struct operator_write *write, const struct record *record, struct str topic_name,
                                 const struct uuid *organization_id, enum park_reason reason, const char *text);
/*
 * The row of the key is repaired. rev: of the row as the caller saw it before it read the log, 0: there was none; when
 * it is another one now the write is stale. replace: the events of the key are all that the log has, and their fold
 * takes the place of the stored state; else they are folded on top of it, and the rows of an agent or a listed case are
 * written in any case.
 */
void operator_write_repair(struct operator_write *write, const struct folder_key *key, int32_t rev, bool replace);

enum operator_outcome {
    OPERATOR_WRITTEN, /* on disk */
    OPERATOR_STALE,   /* nothing was written: a parked event is no longer parked, or the row to repair has changed */
    OPERATOR_REFUSED, /* nothing was written: PostgreSQL refuses a row for good; err says why */
};

/*
 * CV_OK with an outcome; CV_RETRY: refused for a minute because workers write the same rows, or the connection was lost
 * (then it may have been committed); CV_FATAL: a partition has no cursor.
 */
enum cv_status operator_write_commit(struct operator_write *write, enum operator_outcome *out_outcome,
                                     struct err *err) CV_MUST_CHECK;
/* After OPERATOR_WRITTEN: how many of the events could not be folded, or were named by …_still_parked. */
size_t operator_write_left(const struct operator_write *write);

#endif
