/*
 * sequence.h: the sequence numbers of a case or an agent that were seen. Keeps the missing ranges, at most
 * SEQUENCE_MAX_GAPS of them; beyond that it only knows that many are missing (contract, section 4).
 *
 * The value depends on the set of numbers seen and not on their order, unless the limit of gaps was exceeded. For the
 * same reason the SEQUENCE_WINDOW numbers below a snapshot are kept exactly and older ones not at all: dropping ranges
 * when space is short would make the value depend on the order in which they were filled. A number of which it is no
 * longer known whether it was seen counts as a first arrival each time: the fold is idempotent, and a late event that
 * ends a case must never be taken for a duplicate.
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
    int64_t many_up_to;   /* 0: all gaps are kept; otherwise the gaps up to here are not */
    uint64_t low_missing; /* bit i: base - 1 - i was not seen; tells duplicates from first arrivals */
    uint8_t gap_count;
    struct sequence_range gaps[SEQUENCE_MAX_GAPS]; /* ascending, never touching, within (base, highest) */
};

void sequence_init(struct sequence *sequence);
/* Marks number as seen. False when it was seen before. snapshot: base := max(base, number). */
bool sequence_add(struct sequence *sequence, int64_t number, bool snapshot);
/*
 * Adds all numbers that from has seen. False: into knew them all and is unchanged.
 *
 * If neither of the two has ever exceeded the limit of gaps, and all numbers together leave at most that many, the
 * result is that of sequence_add() for all of them, in any order. Otherwise that is not one value (see above); then:
 *   - highest and base are exact. A missing number is never taken for a seen one: the mark is not cleared too early.
 *   - many_up_to is as low as possible: the greatest number that neither state is certain to have seen and that is not
 *     certainly missing. A state that has seen everything clears the mark of the other. Of too many gaps, the highest
 *     are kept.
 *   - The order of the two does not matter, and merging either of them again changes nothing. With three states the
 *     result may depend on which two are merged first.
 */
bool sequence_merge(struct sequence *into, const struct sequence *from);
/* True when a number between base and highest was not seen. Cases use it only after their first snapshot. */
bool sequence_has_missing(const struct sequence *sequence);

/* The stored form, a part of the blob of a case or an agent. */
size_t sequence_stored_max(const struct sequence *sequence);
char *sequence_put(const struct sequence *sequence, char *at);
/* If sequence_put() cannot have written the bytes, reader->ok becomes false and out_sequence is undefined. */
void sequence_get(struct blob_reader *reader, struct sequence *out_sequence);

#endif
