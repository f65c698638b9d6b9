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

#include "workers/sink/batch.h"
#include "workers/sink/fold_context.h"

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

/*
 * One step. folds: how many batches were folded so far; committed: how many of them are committed. batch: the batch
 * being collected, NULL while it is folded; unless it has some already, rows to render are added to it, and with the
 * last ones *out_dir_no is the number that its cursors may show when it is committed (0: none). CV_OK or CV_RETRY.
 */
enum cv_status feed_step(struct feed *feed, struct fold_context *context, struct arena *arena, uint64_t folds,
                         uint64_t committed, struct batch *batch, int64_t *out_dir_no, struct err *err) CV_MUST_CHECK;

int64_t feed_number(const struct feed *feed); /* all changes up to here are shown, or in a batch under way */

#endif
