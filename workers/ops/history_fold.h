/*
 * history_fold.h: folds the events of one key with the worker's own fold, and records the effect of each event.
 */
#ifndef CASEVIEW_OPS_HISTORY_FOLD_H
#define CASEVIEW_OPS_HISTORY_FOLD_H

#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/ops/history_key.h"

struct history_fold {
    bool known; /* at least one event counted: the state below is filled */
    struct case_state c;
    struct agent_state a; /* its memory is the key's arena */
    uint64_t parts;       /* part_bit() of the partitions of all its events */
    size_t not_yet;       /* events that no worker has folded yet */
    struct str *effects;  /* one per entry, in the key's arena */
};

/* CV_OK, or CV_FATAL: the arena is full. */
enum cv_status history_fold_key(const struct history_key *key, struct history_fold *out_fold,
                                struct err *err) CV_MUST_CHECK;

#endif
