/*
 * feed.h: the change feed of the directory. Every visible change has a number, and numbers are committed in order. A
 * worker reads the changes after its own number, updates its cached names, and renders again the listed cases and the
 * agents of its partitions that name the changed entities. The batch with the last of these rows sets dir_no of the
 * cursors. So only the owner of a partition renders its rows, and after a crash the next owner continues from dir_no.
 *
 * The rows are searched only after every batch that was rendered with the older names is committed; otherwise the
 * search would miss rows. An index finds those that show a customer or the user who serves the case; for other entities
 * that a row has ever named the rows of their organization are read (feed_changes.h). The rows to render are spread
 * over several batches, because any number of rows may name an entity, and each batch stores how far the round has come
 * (feed_progress.h). If a worker is more than FEED_FAR changes behind, it renders all listed rows of its partitions
 * instead. One thread.
 */
#ifndef CASEVIEW_SINK_FEED_H
#define CASEVIEW_SINK_FEED_H

#include "workers/sink/feed_progress.h"
#include "workers/sink/folder.h"

#define FEED_FAR 20000

struct feed;

struct feed *feed_new(int32_t gen);
void feed_free(struct feed *feed);

/*
 * Sets our partitions of the case and the agent topic, and the smallest dir_no among them. Called whenever partitions
 * or their claims have changed. A round in progress continues at the position that was stored last.
 */
void feed_restart(struct feed *feed, int64_t dir_no, const int32_t *case_parts, size_t case_count,
                  const int32_t *agent_parts, size_t agent_count);

/* Milliseconds until feed_step() has work; -1: not before the next commit or the next batch. */
int feed_wait_ms(const struct feed *feed);

/* The resources of a step. */
struct feed_context {
    struct db *db;       /* for reads */
    struct names *names; /* updated with the changes read */
    struct arena *arena; /* arguments of queries */
    uint64_t closed;     /* count of batches closed so far (pipeline.h) */
    uint64_t committed;  /* count of batches committed so far */
    size_t most;         /* maximum number of keys; 0: the open batch has no space */
};

/*
 * Makes one step. *out_keys are the rows to render again in the open batch (folder_rerender()), valid until the next
 * step. If *out_dir_no > 0, they are the last ones of a round, and the batch must set dir_no of the cursors to it.
 * CV_OK or CV_RETRY.
 */
enum cv_status feed_step(struct feed *feed, const struct feed_context *context, const struct folder_key **out_keys,
                         size_t *out_count, int64_t *out_dir_no, struct err *err) CV_MUST_CHECK;

/* True while rows of the current round are left to render. */
bool feed_has_rows(const struct feed *feed);
/*
 * The position up to which the steps have given all rows of the current round; false: there is no such round. It is to
 * be stored for the partitions of the feed in the batch that holds the rows of the last step, or a later one.
 */
bool feed_progress(const struct feed *feed, struct feed_progress *out_progress);
/* Leaves a key out of the current round, because PostgreSQL refuses its row permanently. */
void feed_skip(struct feed *feed, const struct folder_key *key);

/* Time since the rows, committed or in flight, showed all changes that were committed then. */
int64_t feed_lag_ms(const struct feed *feed);
/* Rows are rendered with all changes up to this number, committed or in flight. */
int64_t feed_number(const struct feed *feed);

#endif
