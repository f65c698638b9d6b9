/*
 * rebuild_compare_print.h: what `caseview rebuild compare` prints, as text or as one JSON object per line. Private to
 * compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_PRINT_H
#define CASEVIEW_OPS_REBUILD_COMPARE_PRINT_H

#include "workers/ops/rebuild_compare_evidence.h"

struct compare_step {
    char name[32];
    int64_t seen, changed;
};

#define COMPARE_STEPS_MAX 8

struct compare_report {
    const struct compare_finding *findings; /* that are shown */
    size_t finding_count;
    const struct compare_user *users; /* all */
    size_t user_count;
    size_t limit;                                 /* most users that are shown */
    struct compare_step steps[COMPARE_STEPS_MAX]; /* of carry-over */
    size_t step_count;
    int64_t counts[VIEW_COUNT][KIND_COUNT];
    int64_t differences; /* sum of counts */
};

/* Fills counts and differences. */
void compare_count(const struct compare_suspects *suspects, struct compare_report *report);
void compare_print_text(const struct compare *compare, const struct compare_report *report);
void compare_print_json(const struct compare *compare, const struct compare_report *report);

#endif
