#include "workers/fold/sequence.h"

void sequence_init(struct sequence *sequence)
{
    sequence->highest = 0;
    sequence->base = 0;
    sequence->many_up_to = 0;
    sequence->low_missing = 0;
    sequence->gap_count = 0;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void stop_counting(struct sequence *sequence)
{
    sequence->many_up_to = sequence->highest;
    sequence->gap_count = 0;
}

/* number > highest. The numbers between the two become a gap. */
static void add_above(struct sequence *sequence, int64_t number)
{
    int64_t first = sequence->highest + 1;
    sequence->highest = number;
    if (first == number)
        return;
    if (sequence->gap_count == SEQUENCE_MAX_GAPS) {
        stop_counting(sequence);
        return;
    }
    sequence->gaps[sequence->gap_count++] = (struct sequence_range){first, number - 1};
}

static void remove_gaps(struct sequence *sequence, unsigned at, unsigned count)
{
    memmove(&sequence->gaps[at], &sequence->gaps[at + count],
            (sequence->gap_count - at - count) * sizeof sequence->gaps[0]);
    sequence->gap_count = (uint8_t)(sequence->gap_count - count);
}

/* Removes number from gaps[at], which contains it. */
static void fill_gap(struct sequence *sequence, unsigned at, int64_t number)
{
    struct sequence_range *gap = &sequence->gaps[at];
    if (gap->first == gap->last) {
        remove_gaps(sequence, at, 1);
    } else if (number == gap->first) {
        gap->first++;
    } else if (number == gap->last) {
        gap->last--;
    } else if (sequence->gap_count == SEQUENCE_MAX_GAPS) {
        stop_counting(sequence);
    } else {
        memmove(gap + 1, gap, (sequence->gap_count - at) * sizeof *gap);
        sequence->gap_count++;
        gap[0].last = number - 1;
        gap[1].first = number + 1;
    }
}

/* base < number <= highest. */
static bool add_between(struct sequence *sequence, int64_t number)
{
    if (number <= sequence->many_up_to)
        return true;
    for (unsigned at = sequence->gap_count; at-- > 0;) {
        if (number > sequence->gaps[at].last)
            return false;
        if (number >= sequence->gaps[at].first) {
            fill_gap(sequence, at, number);
            return true;
        }
    }
    return false;
}

/* number <= base. */
static bool add_below(struct sequence *sequence, int64_t number)
{
    if (number == sequence->base)
        return false;
    int64_t distance = sequence->base - number;
    if (distance > SEQUENCE_WINDOW)
        return true;
    uint64_t bit = UINT64_C(1) << (distance - 1);
    bool missing = sequence->low_missing & bit;
    sequence->low_missing &= ~bit;
    return missing;
}

/* The bits of first … last (first <= last < base) that are within the window below base. */
static uint64_t window_bits(int64_t base, int64_t first, int64_t last)
{
    int64_t nearest = base - 1 - last;
    int64_t farthest = base - 1 - first;
    if (nearest >= SEQUENCE_WINDOW)
        return 0;
    uint64_t up_to_farthest = farthest >= SEQUENCE_WINDOW - 1 ? UINT64_MAX : (UINT64_C(1) << (farthest + 1)) - 1;
    return up_to_farthest & (UINT64_MAX << nearest);
}

/*
 * The numbers of which it is not known that they were seen, in ascending ranges: unseen_range() from 0 to
 * last_unseen(). The first are those that are not tracked (none, if all gaps are kept), then the gaps, then all above
 * highest up to top.
 */
static unsigned last_unseen(const struct sequence *sequence, int64_t top)
{
    return sequence->gap_count + (sequence->highest < top ? 1u : 0u);
}

static struct sequence_range unseen_range(const struct sequence *sequence, unsigned at, int64_t top)
{
    if (at == 0)
        return (struct sequence_range){sequence->base + 1, sequence->many_up_to};
    if (at <= sequence->gap_count)
        return sequence->gaps[at - 1];
    return (struct sequence_range){sequence->highest + 1, top};
}

/* What low_missing is if base is raised to the given one. */
static uint64_t missing_below(const struct sequence *sequence, int64_t base)
{
    int64_t shift = base - sequence->base;
    if (shift == 0)
        return sequence->low_missing;
    uint64_t missing = shift < SEQUENCE_WINDOW ? sequence->low_missing << shift : 0;
    unsigned end = last_unseen(sequence, base - 1);
    for (unsigned at = 0; at <= end; at++) {
        struct sequence_range range = unseen_range(sequence, at, base - 1);
        int64_t last = range.last < base ? range.last : base - 1;
        if (range.first <= last)
            missing |= window_bits(base, range.first, last);
    }
    return missing;
}

/* base < number <= highest, and number was seen, so no gap contains it. */
static void raise_base(struct sequence *sequence, int64_t number)
{
    uint64_t missing = missing_below(sequence, number);
    unsigned past = 0;
    while (past < sequence->gap_count && sequence->gaps[past].last < number)
        past++;
    if (number >= sequence->many_up_to)
        sequence->many_up_to = 0;
    remove_gaps(sequence, 0, past);
    sequence->low_missing = missing;
    sequence->base = number;
}

bool sequence_add(struct sequence *sequence, int64_t number, bool snapshot)
{
    bool first_arrival = true;
    if (number > sequence->highest)
        add_above(sequence, number);
    else if (number > sequence->base)
        first_arrival = add_between(sequence, number);
    else
        first_arrival = add_below(sequence, number);
    if (snapshot && first_arrival && number > sequence->base)
        raise_base(sequence, number);
    return first_arrival;
}

/*
 * The numbers between base and highest of merged that were seen by neither a nor b. From the top downwards, so that
 * what cannot be kept is the lowest: everything up to the first range that one of them does not track, or that is one
 * too many.
 */
static void intersect_gaps(struct sequence *merged, const struct sequence *a, const struct sequence *b)
{
    if (merged->base == merged->highest)
        return;
    struct sequence_range gaps[SEQUENCE_MAX_GAPS]; /* descending */
    unsigned count = 0;
    unsigned at_a = last_unseen(a, merged->highest);
    unsigned at_b = last_unseen(b, merged->highest);
    for (;;) {
        struct sequence_range range_a = unseen_range(a, at_a, merged->highest);
        struct sequence_range range_b = unseen_range(b, at_b, merged->highest);
        int64_t first = greatest(range_a.first, range_b.first); /* above both bases */
        int64_t last = range_a.last < range_b.last ? range_a.last : range_b.last;
        if (first <= last) {
            if (at_a == 0 || at_b == 0 || count == SEQUENCE_MAX_GAPS) {
                merged->many_up_to = last;
                break;
            }
            gaps[count++] = (struct sequence_range){first, last};
        }
        unsigned *next = range_a.first > range_b.first ? &at_a : &at_b;
        if (*next == 0)
            break;
        --*next;
    }
    merged->gap_count = (uint8_t)count;
    for (unsigned i = 0; i < count; i++)
        merged->gaps[i] = gaps[count - 1 - i];
}

static bool same(const struct sequence *a, const struct sequence *b)
{
    return a->highest == b->highest && a->base == b->base && a->many_up_to == b->many_up_to &&
           a->low_missing == b->low_missing && a->gap_count == b->gap_count &&
           memcmp(a->gaps, b->gaps, a->gap_count * sizeof a->gaps[0]) == 0;
}

bool sequence_merge(struct sequence *into, const struct sequence *from)
{
    struct sequence merged;
    sequence_init(&merged);
    merged.highest = greatest(into->highest, from->highest);
    merged.base = greatest(into->base, from->base);
    merged.low_missing = missing_below(into, merged.base) & missing_below(from, merged.base);
    intersect_gaps(&merged, into, from);
    if (same(into, &merged))
        return false;
    *into = merged;
    return true;
}

bool sequence_has_missing(const struct sequence *sequence)
{
    return sequence->gap_count > 0 || sequence->many_up_to > 0;
}

enum stored_flag { STORED_BASE = 1, STORED_MANY = 2, STORED_LOW = 4, STORED_GAPS = 8, STORED_KNOWN = 15 };

size_t sequence_stored_max(const struct sequence *sequence)
{
    return 2 + 4 * BLOB_VARINT_MAX + (size_t)sequence->gap_count * 2 * BLOB_VARINT_MAX;
}

/* Gaps are stored from the highest down, each as its distance from the one above and its length: small varints. */
char *sequence_put(const struct sequence *sequence, char *at)
{
    unsigned flags = (sequence->base ? STORED_BASE : 0) | (sequence->many_up_to ? STORED_MANY : 0) |
                     (sequence->low_missing ? STORED_LOW : 0) | (sequence->gap_count ? STORED_GAPS : 0);
    at = blob_put_byte(at, flags);
    at = blob_put_varint(at, (uint64_t)sequence->highest);
    if (sequence->base)
        at = blob_put_varint(at, (uint64_t)sequence->base);
    if (sequence->many_up_to)
        at = blob_put_varint(at, (uint64_t)sequence->many_up_to);
    if (sequence->low_missing)
        at = blob_put_varint(at, sequence->low_missing);
    if (sequence->gap_count) {
        at = blob_put_byte(at, sequence->gap_count);
        int64_t above = sequence->highest;
        for (unsigned i = sequence->gap_count; i-- > 0;) {
            at = blob_put_varint(at, (uint64_t)(above - sequence->gaps[i].last));
            at = blob_put_varint(at, (uint64_t)(sequence->gaps[i].last - sequence->gaps[i].first));
            above = sequence->gaps[i].first;
        }
    }
    return at;
}

/* Reads a number that is stored only if it is not zero. */
static int64_t get_positive(struct blob_reader *reader, bool stored, int64_t max)
{
    if (!stored)
        return 0;
    int64_t number = blob_get_upto(reader, max);
    if (number == 0)
        blob_bad(reader);
    return number;
}

static void get_gaps(struct blob_reader *reader, struct sequence *sequence)
{
    unsigned count = blob_get_byte(reader);
    if (count == 0 || count > SEQUENCE_MAX_GAPS) {
        blob_bad(reader);
        return;
    }
    int64_t floor = sequence->base > sequence->many_up_to ? sequence->base : sequence->many_up_to;
    int64_t above = sequence->highest;
    int64_t nearest = 1; /* highest was seen; below it, a seen number is between any two gaps */
    for (unsigned i = count; i-- > 0;) {
        int64_t last = above - blob_get_upto(reader, above);
        int64_t first = last - blob_get_upto(reader, last);
        if (above - last < nearest || first <= floor) {
            blob_bad(reader);
            return;
        }
        sequence->gaps[i] = (struct sequence_range){first, last};
        above = first;
        nearest = 2;
    }
    sequence->gap_count = (uint8_t)count;
}

void sequence_get(struct blob_reader *reader, struct sequence *out_sequence)
{
    sequence_init(out_sequence);
    unsigned flags = blob_get_byte(reader);
    if (flags & ~(unsigned)STORED_KNOWN)
        blob_bad(reader);
    out_sequence->highest = blob_get_upto(reader, INT64_MAX);
    out_sequence->base = get_positive(reader, flags & STORED_BASE, out_sequence->highest);
    out_sequence->many_up_to = get_positive(reader, flags & STORED_MANY, out_sequence->highest);
    if (out_sequence->many_up_to && out_sequence->many_up_to <= out_sequence->base)
        blob_bad(reader);
    if (flags & STORED_LOW) {
        uint64_t missing = blob_get_varint(reader);
        int64_t before = out_sequence->base - 1; /* count of numbers below base */
        if (missing == 0 || before < 1 || (before < SEQUENCE_WINDOW && missing >> before != 0))
            blob_bad(reader);
        out_sequence->low_missing = missing;
    }
    if (flags & STORED_GAPS)
        get_gaps(reader, out_sequence);
}
