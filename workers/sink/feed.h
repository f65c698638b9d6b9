/*
 * feed.h: the change feed of the directory. Every change that somebody may see has a number, and numbers are committed
 * in order. A worker reads what came after the number it has, updates its cached names, and renders anew the listed
 * cases and agents of its partitions that name those entities; the batch that holds them moves dir_no of its cursors.
 * So each row is rendered by the owner of its partition only, and a crash goes on from dir_no.
 *
 * The rows to render are looked up only after every batch that was folded with the older names is committed, or the
 * look-up would miss them. They are spread over batches: a name may stand in any number of rows. Far behind (FEED_FAR
 * changes), all listed rows of the partitions are rendered instead. One thread.
 */
#ifndef CASEVIEW_SINK_FEED_H
#define CASEVIEW_SINK_FEED_H

#include "workers/sink/folder.h"

#define FEED_FAR 20000

struct feed;

struct feed *feed_new(int32_t gen);
void feed_free(struct feed *feed);

/*
 * Which partitions of the case and the agent topic are ours, and the smallest dir_no among them; whenever
 * partitions or their claims have changed. What was under way is begun again.
 */
void feed_restart(struct feed *feed, int64_t dir_no, const int32_t *case_parts, size_t case_count,
                  const int32_t *agent_parts, size_t agent_count);

/* Milliseconds until feed_step() has something to do of its own; -1: only with a commit or with the next batch. */
int feed_wait_ms(const struct feed *feed);

/* What a step works with. */
struct feed_context {
    struct db *db;       /* for reads */
    struct names *names; /* brought up to date with what is read */
    struct arena *arena; /* arguments of queries */
    uint64_t closed;     /* batches closed so far, … */
    uint64_t committed;  /* … and of these committed: pipeline.h */
    size_t most;         /* keys that the open batch takes; 0: none now */
};

/*
 * One step. *out_keys are rows to be made again in the open batch (folder_rerender()), valid until the next step. When
 * *out_dir_no > 0 these were the last ones of a round: the cursors may show the number together with that batch. CV_OK
 * or CV_RETRY.
 */
enum cv_status feed_step(struct feed *feed, const struct feed_context *context, const struct folder_key **out_keys,
                         size_t *out_count, int64_t *out_dir_no, struct err *err) CV_MUST_CHECK;

/* Rows of the present round are still to be made again. */
bool feed_has_rows(const struct feed *feed);
/* PostgreSQL refuses the row of this key for good: it is left out of the present round. */
void feed_skip(struct feed *feed, const struct folder_key *key);

int64_t feed_number(const struct feed *feed); /* all changes up to here are shown, or in a batch in flight */

#endif
