/*
 * log_check.h: the rows of one case or agent beside what the log makes of it, for `explain` and `repair`.
 */
#ifndef CASEVIEW_OPS_LOG_CHECK_H
#define CASEVIEW_OPS_LOG_CHECK_H

#include "workers/ops/log_fold.h"
#include "workers/sink/names.h"

struct log_difference {
    char field[80];
    struct str row, log; /* in the key's arena */
};

struct log_check {
    struct log_reader *reader; /* in its snapshot */
    const struct log_key *key;
    const struct log_fold *fold;
    struct names *names;
    bool start_gone; /* of the topic: the row may know more than the log */
    bool row_found;  /* in case_state or agent; then: */
    int32_t rev, part;
    struct str state; /* in the key's arena */
    struct log_difference *differences;
    size_t difference_count;
};

/* After log_fold_key(). */
void log_check_init(struct log_check *check, struct log_reader *reader, const struct log_key *key,
                    const struct log_fold *fold);
void log_check_done(struct log_check *check);
/* Reads the rows and collects the differences. CV_OK or CV_RETRY. */
enum cv_status log_check_row(struct log_check *check, struct err *err) CV_MUST_CHECK;

#endif
