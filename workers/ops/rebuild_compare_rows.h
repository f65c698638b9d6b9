/*
 * rebuild_compare_rows.h: reads the rows of two generations, each time of one moment: one transaction whose search path
 * changes between the two schemas. (Two connections with a shared snapshot would have to reach the same server, and one
 * of them would wait while the other reads.) The server plans a prepared statement again when the search path is
 * another one. Private to compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_ROWS_H
#define CASEVIEW_OPS_REBUILD_COMPARE_ROWS_H

#include "workers/ops/rebuild_command.h"
#include "workers/ops/rebuild_compare_suspect.h"

struct compare {
    struct rebuild *rebuild;
    int32_t gens[COMPARE_SIDES];
    bool has_organization;
    struct uuid organization_id; /* only rows of it */
    struct compare_moments moments;
    struct compare_suspects suspects;
    int64_t rows[VIEW_COUNT][COMPARE_SIDES];
    int64_t reported_ms; /* clock_mono_ms() of the last line about its progress */
};

/* Begins a transaction of one moment that reads only. CV_OK or CV_RETRY. */
enum cv_status compare_begin(struct compare *compare, struct err *err) CV_MUST_CHECK;
enum cv_status compare_end(struct compare *compare, struct err *err) CV_MUST_CHECK;
/* The same, as the next of compare->moments, with the cursors. */
enum cv_status compare_begin_moment(struct compare *compare, struct err *err) CV_MUST_CHECK;
/* Makes the tables of this side those that statements name. CV_OK or CV_RETRY. */
enum cv_status compare_use(struct compare *compare, enum compare_side side, struct err *err) CV_MUST_CHECK;

/*
 * Reads all rows of both generations, counts them, and adds those that differ to the suspects. In a moment. CV_OK;
 * CV_RETRY, also when a stop was requested; CV_FATAL: more differ than fit.
 */
enum cv_status compare_read_all(struct compare *compare, struct err *err) CV_MUST_CHECK;
/* Reads the rows of the open suspects and judges them. In a moment. CV_OK or CV_RETRY. */
enum cv_status compare_look(struct compare *compare, struct err *err) CV_MUST_CHECK;
/* True every few seconds. */
bool compare_may_report(struct compare *compare);

#endif
