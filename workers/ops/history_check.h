/*
 * history_check.h: compares the rows of one case or agent with its folded history, for `explain` and `repair`.
 */
#ifndef CASEVIEW_OPS_HISTORY_CHECK_H
#define CASEVIEW_OPS_HISTORY_CHECK_H

#include "workers/ops/history_fold.h"
#include "workers/sink/names.h"

struct history_difference {
    char field[80];
    struct str row, log; /* in the key's arena */
};

struct history_check {
    struct history_reader *reader; /* in its snapshot */
    const struct history_key *key;
    const struct history_fold *fold;
    struct names *names;
    bool start_gone; /* of the topic: the row may be newer than the retained log */
    bool row_found;  /* in case_state or agent; then: */
    int32_t rev, part;
    struct str state; /* in the key's arena */
    struct history_difference *differences;
    size_t difference_count;
};

/* After history_fold_key(). */
void history_check_init(struct history_check *check, struct history_reader *reader, const struct history_key *key,
                        const struct history_fold *fold);
void history_check_done(struct history_check *check);
/* Reads the rows and collects the differences. CV_OK or CV_RETRY. */
enum cv_status history_check_row(struct history_check *check, struct err *err) CV_MUST_CHECK;

#endif
