/*
 * verify_parts.h: the parts of verify: each compares one table with the folded history of one topic. verify.c walks
 * them. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_PARTS_H
#define CASEVIEW_OPS_VERIFY_PARTS_H

#include "workers/ops/verify_pages.h"

#define VERIFY_SLICE 1000 /* most suspects of one query */

struct verify_part {
    enum topic topic;
    struct verify_table table; /* its compare_page calls verify_judge() for each row */
    /* Whether a key of the history whose row was not seen must have one. May count it as unknown instead. */
    bool (*lacks_row)(struct verify *verify, const struct verify_entry *entry);
    /* Keeps copies of the rows of `count` suspects, at most VERIFY_SLICE, which have none before. */
    enum cv_status (*fetch)(struct verify *verify, struct verify_entry *const *suspects, size_t count, struct err *err);
    /* Compares a suspect with the history of the snapshot of fetch(), and reports what differs. */
    enum verify_unknown (*recheck)(struct verify *verify, const struct verify_entry *suspect);
};

extern const struct verify_part verify_cases;    /* case_state */
extern const struct verify_part verify_agents;   /* agent; its gates with the directory */
extern const struct verify_part verify_entities; /* directory */

#endif
