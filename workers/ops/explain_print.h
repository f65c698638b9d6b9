/*
 * explain_print.h: prints what `caseview explain` found, as text or as one JSON object. Private to explain.
 */
#ifndef CASEVIEW_OPS_EXPLAIN_PRINT_H
#define CASEVIEW_OPS_EXPLAIN_PRINT_H

#include "workers/ops/history_check.h"

struct explanation {
    const struct history_key *key;
    const struct history_fold *fold;
    const char *topic;
    struct buf verdict; /* one sentence: why the case is listed or not, or which gates the agent passes */
    struct buf row;     /* one sentence: whether the row agrees with the log */
    bool row_agrees;
    const struct history_check *check;
};

void explain_print(const struct explanation *explanation, bool json, struct buf *out);

#endif
