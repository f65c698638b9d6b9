/*
 * explain_print.h: what `caseview explain` found, for people or as one JSON object. Private to explain.
 */
#ifndef CASEVIEW_OPS_EXPLAIN_PRINT_H
#define CASEVIEW_OPS_EXPLAIN_PRINT_H

#include "workers/ops/log_fold.h"

struct explain_difference {
    char field[80];
    struct str row, log; /* in the key's arena */
};

struct explanation {
    const struct log_key *key;
    const struct log_fold *fold;
    const char *topic;
    struct buf verdict; /* one sentence: why it is listed, or not */
    struct buf row;     /* one sentence: whether the row agrees */
    bool row_agrees;
    bool start_gone;
    struct explain_difference *differences; /* the row's, from the log */
    size_t difference_count;
};

void explain_print(const struct explanation *explanation, bool json, struct buf *out);

#endif
