/*
 * sequence.h: which sequence numbers of a case or an agent were seen. Keeps the ranges that are missing, at most
 * SEQUENCE_MAX_GAPS of them, then just "many" (contract, section 4).
 *
 * A function of the set of numbers seen, whatever their order, as long as "many" was never reached. Therefore the past
 * of a snapshot is kept by distance and not by room: exactly for the SEQUENCE_WINDOW numbers before it, not at all for
 * older ones. (Ranges that are dropped when room is short would depend on the order in which they filled.) A number
 * that cannot be told any more, older than the window or within what "many" covers, counts as a first arrival each
 * time: the fold is idempotent, and a late end of a case must never be taken for a duplicate.
 */
#ifndef CASEVIEW_FOLD_SEQUENCE_H
#define CASEVIEW_FOLD_SEQUENCE_H

#include "caseview/base.h"
#include "workers/fold/blob.h"

#define SEQUENCE_MAX_GAPS 32
#define SEQUENCE_WINDOW   64

struct sequence_range {
    int64_t first, last; /* both included */
};

struct sequence {
    int64_t highest;      /* 0: nothing seen */
    int64_t base;         /* numbers up to here do not matter: the latest snapshot's, 0 before the first */
    int64_t many_up_to;   /* 0: all gaps are kept; else those up to here were lost count of */
    uint64_t low_missing; /* bit i: base - 1 - i never came; only to tell duplicates from first arrivals */
    uint8_t gap_count;
    struct sequence_range gaps[SEQUENCE_MAX_GAPS]; /* ascending, never touching, within (base, highest) */
};

void sequence_init(struct sequence *sequence);
/* Counts number as seen; false when it had been seen before. snapshot: base := max(base, number). */
bool sequence_add(struct sequence *sequence, int64_t number, bool snapshot);
/* A number between base and highest never came. Cases ask only once they had a snapshot. */
bool sequence_has_missing(const struct sequence *sequence);

/* The stored form, a part of the blob of a case or an agent. */
size_t sequence_stored_max(const struct sequence *sequence);
char *sequence_put(const struct sequence *sequence, char *at);
/* On anything that sequence_put() would not write, reader->ok becomes false and out_sequence is undefined. */
void sequence_get(struct blob_reader *reader, struct sequence *out_sequence);

#endif
