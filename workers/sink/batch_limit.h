/*
 * batch_limit.h: how many records (or rows rendered again without an event) the next batch may hold. Normally there is
 * no limit of this kind. After a refusal batches become small and grow again with each commit:
 *
 *   a conflict          two writers of the same rows get past each other with small batches;
 *   a refusal for good  the batch is halved until it holds one record, which then is the one to park. Batches do not
 * grow until it is found, or until twice as many records as the refused batch had were committed.
 *
 * Pure. One thread.
 */
#ifndef CASEVIEW_SINK_BATCH_LIMIT_H
#define CASEVIEW_SINK_BATCH_LIMIT_H

#include "caseview/base.h"

#define BATCH_LIMIT_NONE SIZE_MAX

struct batch_limit {
    size_t items;        /* records and rows of the next batch, BATCH_LIMIT_NONE: no limit */
    size_t most;         /* `items` without refusals: BATCH_LIMIT_NONE but in tests */
    size_t isolate_left; /* while searching a refused record: items to commit before the search is given up, else 0 */
};

void batch_limit_init(struct batch_limit *limit, size_t most);
/* A batch of so many items was committed. */
void batch_limit_committed(struct batch_limit *limit, size_t items);
void batch_limit_conflict(struct batch_limit *limit, size_t items);
/* True: the batch held one item, which is the refused one; the search is over. */
bool batch_limit_refused(struct batch_limit *limit, size_t items);

#endif
