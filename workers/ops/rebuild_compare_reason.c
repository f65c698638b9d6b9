#include "workers/ops/rebuild_compare_reason.h"

#include "workers/ops/operation.h"
#include "workers/ops/rebuild_compare_body.h"

#define MEMBERS_MAX 1000

/* Of case_state.flags (schemas/db/gen.sql). */
#define FLAG_DEGRADED   2
#define FLAG_INCOMPLETE 4
#define FLAG_OVER       8

/* What a generation knows of a key, the less the greater. */
enum deficit { DEFICIT_NONE, DEFICIT_DEGRADED, DEFICIT_INCOMPLETE, DEFICIT_NO_STATE };

static enum deficit deficit_of(const struct compare_suspect *suspect, enum compare_side side)
{
    int16_t flags = suspect->kept[side].flags;
    if (suspect->key.view == VIEW_PARKED || suspect->key.view == VIEW_APPLICATION)
        return suspect->kept[side].present ? DEFICIT_NONE : DEFICIT_NO_STATE;
    if (flags < 0)
        return DEFICIT_NO_STATE;
    if (flags & FLAG_INCOMPLETE)
        return DEFICIT_INCOMPLETE;
    return flags & FLAG_DEGRADED ? DEFICIT_DEGRADED : DEFICIT_NONE;
}

static bool is_over(const struct compare_suspect *suspect, enum compare_side side)
{
    return suspect->kept[side].flags >= 0 && (suspect->kept[side].flags & FLAG_OVER) != 0;
}

static bool put_parked(const struct compare_evidence *evidence, const int32_t gens[COMPARE_SIDES], struct buf *out)
{
    enum compare_side side = evidence->parked[COMPARE_LIVE] > evidence->parked[COMPARE_OTHER] ? COMPARE_LIVE
                                                                                              : COMPARE_OTHER;
    if (evidence->skipped[COMPARE_LIVE] != evidence->skipped[COMPARE_OTHER]) {
        buf_printf(out, "skipped in generation %d",
                   gens[evidence->skipped[COMPARE_LIVE] ? COMPARE_LIVE : COMPARE_OTHER]);
        return true;
    }
    if (evidence->parked[COMPARE_LIVE] == evidence->parked[COMPARE_OTHER])
        return false;
    buf_printf(out, "parked in generation %d: ", gens[side]);
    buf_str(out, evidence->parked_example[side]);
    return true;
}

static bool put_deficit(const struct compare_suspect *suspect, const struct compare_evidence *evidence,
                        const int32_t gens[COMPARE_SIDES], struct buf *out)
{
    enum deficit live = deficit_of(suspect, COMPARE_LIVE), other = deficit_of(suspect, COMPARE_OTHER);
    enum compare_side side = live > other ? COMPARE_LIVE : COMPARE_OTHER;
    if (live == other)
        return false;
    if (evidence->log_start[side] > 0) {
        buf_printf(out,
                   "before the start of the log: generation %d was made without carry-over from offset %" PRId64
                   " of the partition on",
                   gens[side], evidence->log_start[side]);
        return true;
    }
    switch (live > other ? live : other) {
    case DEFICIT_DEGRADED:
        buf_printf(out, "degraded in generation %d: an event is missing there", gens[side]);
        return true;
    case DEFICIT_INCOMPLETE:
        buf_printf(out, "incomplete in generation %d: the snapshot is missing there", gens[side]);
        return true;
    case DEFICIT_NO_STATE:
    case DEFICIT_NONE:
        break;
    }
    return false;
}

static bool put_over(const struct compare_suspect *suspect, const int32_t gens[COMPARE_SIDES], struct buf *out)
{
    bool live = is_over(suspect, COMPARE_LIVE), other = is_over(suspect, COMPARE_OTHER);
    if (live == other)
        return false;
    buf_printf(out, "over in generation %d", gens[live ? COMPARE_LIVE : COMPARE_OTHER]);
    return true;
}

/* True: the names explain it. Otherwise what was found is appended and the reason is still unknown. */
static bool put_members(const struct compare_evidence *evidence, struct buf *out)
{
    const struct str *bodies = evidence->bodies;
    bool only_names = false;
    struct buf members CV_CLEANUP(buf_done);
    buf_init(&members, MEMBERS_MAX);
    if (bodies[COMPARE_LIVE].ptr == NULL || bodies[COMPARE_OTHER].ptr == NULL ||
        str_eq(bodies[COMPARE_LIVE], bodies[COMPARE_OTHER]))
        return false;
    if (!compare_bodies(bodies[COMPARE_LIVE], bodies[COMPARE_OTHER], &members, &only_names)) {
        buf_puts(out, "the bodies differ; ");
        return false;
    }
    buf_puts(out, only_names ? "names differ: " : "body differs in ");
    buf_str(out, (struct str){members.data, members.len});
    buf_puts(out, members.overflow ? ", …" : "");
    buf_puts(out, only_names ? "" : "; ");
    return only_names;
}

static void put_unknown(const struct compare_suspect *suspect, struct buf *out)
{
    buf_puts(out, "unknown");
    if (suspect->key.view == VIEW_ACTIVE_CASE) {
        buf_puts(out, ": caseview explain");
        operation_put_case(out, &suspect->key.id);
    } else if (suspect->key.view == VIEW_AGENT) {
        buf_puts(out, ": caseview explain");
        operation_put_agent(out, &suspect->organization_id, &suspect->key.id);
    }
}

void compare_reason(const struct compare_suspect *suspect, const struct compare_evidence *evidence,
                    const struct compare_moments *moments, const int32_t gens[COMPARE_SIDES], struct buf *out)
{
    if (suspect->state == SUSPECT_OPEN) {
        compare_lag_text(moments, gens, &suspect->lag, out);
        buf_puts(out, suspect->written ? "; the row is written again and again" : "");
    } else if (!put_parked(evidence, gens, out) && !put_deficit(suspect, evidence, gens, out) &&
               !put_over(suspect, gens, out) && !put_members(evidence, out)) {
        put_unknown(suspect, out);
    }
}
