/*
 * render_round.h: finds all rows for readers of some partitions from the states: every listed case, and every agent.
 * For the end of a rebuild, whose rows are not rendered while the log is read (docs/architecture.md, Generations). What
 * is written after the round began is rendered by its own batch. One thread.
 */
#ifndef CASEVIEW_SINK_RENDER_ROUND_H
#define CASEVIEW_SINK_RENDER_ROUND_H

#include "workers/sink/folder.h"

struct render_round;

struct render_round *render_round_new(int32_t gen);
void render_round_free(struct render_round *round);

/*
 * Begins with these partitions, which are copied. *out_dir_no: the rows will show all directory changes up to it, if
 * the * names known before are forgotten now. Batches that were closed before must be committed before the first step,
 * which looks where the table ends. CV_OK or CV_RETRY.
 */
enum cv_status render_round_begin(struct render_round *round, struct db *db, struct arena *arena,
                                  const int32_t *case_parts, size_t case_count, const int32_t *agent_parts,
                                  size_t agent_count, int64_t *out_dir_no, struct err *err) CV_MUST_CHECK;
/*
 * The next rows to render, at most `most`, valid until the next call; none: at the moment, or *out_done. CV_OK or
 * CV_RETRY.
 */
enum cv_status render_round_step(struct render_round *round, struct db *db, struct arena *arena, size_t most,
                                 const struct folder_key **out_keys, size_t *out_count, bool *out_done,
                                 struct err *err) CV_MUST_CHECK;
/* Leaves out a row that PostgreSQL refuses permanently, until a round is done: a refusal makes it begin again. */
void render_round_skip(struct render_round *round, const struct folder_key *key);

#endif
