/*
 * fold_context.h: what folding a batch needs beside the batch: where missing rows are read from, and the caches.
 */
#ifndef CASEVIEW_SINK_FOLD_CONTEXT_H
#define CASEVIEW_SINK_FOLD_CONTEXT_H

#include "caseview/buf.h"
#include "caseview/db.h"
#include "workers/sink/names.h"

#define FOLD_QUERY_TIMEOUT_MS 30000

struct fold_context {
    struct db *loader; /* a connection of its own: reads while the last batch commits on the other */
    struct names *names;
    struct buf scratch;
    /*
     * A case whose first event here is its snapshot number 1 is taken to be new without asking the database. Where that
     * was wrong (a replay) the revision is refused, and the batch is folded again with this off.
     */
    bool expect_new;
    size_t rerenders_max; /* rows that the change feed may give to one batch */
};

#endif
