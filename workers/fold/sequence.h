/*
 * sequence.h: which sequence numbers of a case or an agent were seen. Keeps the ranges that are missing, at most
 * SEQUENCE_MAX_GAPS of them, then just "many" (contract, section 4). A function of the set of numbers seen, whatever
 * their order, as long as "many" was never reached.
 */
#ifndef CASEVIEW_FOLD_SEQUENCE_H
#define CASEVIEW_FOLD_SEQUENCE_H

#include "caseview/base.h"

#define SEQUENCE_MAX_GAPS 32

struct sequence_range {
    int64_t first, last; /* both included */
};

struct sequence {
    int64_t highest;    /* 0: nothing seen */
    int64_t base;       /* numbers up to here do not matter: the latest snapshot's, 0 before the first */
    int64_t many_up_to; /* 0: all gaps are kept; else gaps up to here were lost count of */
    uint8_t gap_count;
    struct sequence_range gaps[SEQUENCE_MAX_GAPS]; /* ascending, never touching, all within (0, highest]; those up to
                                                      base are kept only to tell duplicates, and given up first */
};

void sequence_init(struct sequence *sequence);
/* Counts number as seen; false when it had been seen before. snapshot: base := max(base, number). */
bool sequence_add(struct sequence *sequence, int64_t number, bool snapshot);
/* A number between base and highest never came. Cases ask only once they had a snapshot. */
bool sequence_has_missing(const struct sequence *sequence);

#endif
