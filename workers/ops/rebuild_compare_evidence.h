/*
 * rebuild_compare_evidence.h: the differences that are shown, with their reasons. Private to compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_EVIDENCE_H
#define CASEVIEW_OPS_REBUILD_COMPARE_EVIDENCE_H

#include "workers/ops/rebuild_compare_rows.h"

struct compare_finding {
    const struct compare_suspect *suspect;
    struct str reason; /* memory of rebuild->arena */
};

/*
 * The first `limit` differences, in order. In a transaction of compare_begin(). CV_OK; CV_RETRY; CV_FATAL: they do not
 * fit in memory. *out_findings is the caller's to free.
 */
enum cv_status compare_findings(struct compare *compare, size_t limit, struct compare_finding **out_findings,
                                size_t *out_count, struct err *err) CV_MUST_CHECK;

#endif
