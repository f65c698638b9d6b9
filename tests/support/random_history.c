#include "tests/support/random_history.h"

#include "tests/support/sample_case.h"

static struct case_event random_event(struct random *random, int64_t sequence)
{
    static const enum case_event_type ends[] = {CASE_CLOSED, CASE_QUEUE_ABANDONED, CASE_APPOINTMENT_CANCELLED};
    static const struct {
        enum case_event_type first, last;
    } middle[] = {{CASE_APPOINTMENT_CHECKED_IN, CASE_APPOINTMENT_CHECKED_IN},
                  {CASE_STATUS_CHANGED, CASE_RESOLVED},
                  {CASE_REOPENED, CASE_REOPENED},
                  {CASE_POSITION_CHANGED, CASE_ONLINE_MEETING_SET},
                  {CASE_SERVICE_STARTED, CASE_SERVICE_STARTED}};
    unsigned kind = random_below(random, ARRAY_LEN(middle));
    unsigned span = (unsigned)middle[kind].last - (unsigned)middle[kind].first + 1;
    enum case_event_type type = (enum case_event_type)((unsigned)middle[kind].first + random_below(random, span));
    if (random_chance(random, sequence == 1 ? 70 : 6))
        type = random_chance(random, 50) ? CASE_QUEUED : CASE_APPOINTMENT_BOOKED;
    if (random_chance(random, 1))
        type = ends[random_below(random, ARRAY_LEN(ends))];
    if (random_chance(random, 5))
        type = CASE_UNKNOWN_TYPE;

    struct case_event event = sample_event(type, sequence, random_below(random, 4));
    struct case_fields other = sample_fields(random_below(random, 4));
    event.given = (uint32_t)random_next(random) & GROUP_ALL;
    event.fields.status = random_chance(random, 50) ? STR("Active") : other.status;
    event.fields.case_timestamp += sequence; /* so that every event has a different effect */
    event.fields.rank = (float)random_below(random, 1000) / 8;
    event.fields.locked_by.present = type == CASE_SERVICE_STARTED || random_chance(random, 70);
    event.fields.workstation.present = random_chance(random, 50);
    event.fields.assigned_to.present = type == CASE_USER_ASSIGNED || random_chance(random, 50);
    event.fields.customer.present = random_chance(random, 70);
    event.fields.has_date_closed = random_chance(random, 30);
    if (!event.fields.has_date_closed)
        event.fields.date_closed = 0;
    event.fields.printed_ticket = random_chance(random, 50);
    return event;
}

void random_case_history(struct random *random, struct case_history *history)
{
    unsigned numbers = 1 + random_below(random, HISTORY_NUMBERS);
    unsigned gap_percent = random_chance(random, 50) ? 0 : random_below(random, 30);
    history->count = 0;
    history->foreign = 0;
    history->distinct = 0;
    for (unsigned number = 1; number <= numbers; number++) {
        if (random_chance(random, gap_percent))
            continue;
        struct case_event event = random_event(random, number);
        history->events[history->count++] = event;
        history->distinct++;
        if (random_chance(random, 20))
            history->events[history->count++] = event;
        if (random_chance(random, 5)) {
            event = random_event(random, number);
            event.organization_id = sample_uuid(99);
            history->events[history->count++] = event;
            history->foreign++;
        }
    }
}

void shuffle_case_history(struct random *random, struct case_history *history)
{
    for (unsigned i = history->count; i > 1; i--) {
        unsigned k = random_below(random, i);
        struct case_event swap = history->events[i - 1];
        history->events[i - 1] = history->events[k];
        history->events[k] = swap;
    }
}

void random_agent_history(struct random *random, struct agent_history *history)
{
    unsigned numbers = 1 + random_below(random, HISTORY_NUMBERS);
    unsigned gap_percent = random_chance(random, 50) ? 0 : random_below(random, 30);
    unsigned units = 1 + random_below(random, 6);
    history->count = 0;
    history->distinct = 0;
    for (unsigned i = 0; i < numbers; i++) {
        if (random_chance(random, gap_percent))
            continue;
        enum agent_event_type type = (enum agent_event_type)(1 + random_below(random, AGENT_EVENT_TYPE_COUNT - 1));
        if (random_chance(random, 5))
            type = AGENT_UNKNOWN_TYPE;
        struct agent_event event = {.type = type,
                                    .organization_id = sample_uuid(1),
                                    .user_id = sample_uuid(3),
                                    .sequence = i + 1,
                                    .unit_id = sample_uuid(300 + random_below(random, units))};
        event.workspace_ids = history->workspaces[i];
        event.workspace_count = type == AGENT_WORKSPACES_SELECTED ? random_below(random, 5) : 0;
        for (size_t k = 0; k < event.workspace_count; k++)
            history->workspaces[i][k] = sample_uuid(900 + random_below(random, 5));
        history->events[history->count++] = event;
        history->distinct++;
        if (random_chance(random, 20))
            history->events[history->count++] = event;
    }
}

void shuffle_agent_history(struct random *random, struct agent_history *history)
{
    for (unsigned i = history->count; i > 1; i--) {
        unsigned k = random_below(random, i);
        struct agent_event swap = history->events[i - 1];
        history->events[i - 1] = history->events[k];
        history->events[k] = swap;
    }
}

/* In place of the numbers 0 to HISTORY_NUMBERS: ascending ones, some of them far apart. */
static void random_numbers(struct random *random, int64_t out_numbers[HISTORY_NUMBERS + 1])
{
    out_numbers[0] = random_below(random, 3);
    for (unsigned i = 1; i <= HISTORY_NUMBERS; i++)
        out_numbers[i] = out_numbers[i - 1] + 1 + (random_chance(random, 20) ? random_below(random, 40) : 0);
}

void spread_case_numbers(struct random *random, struct case_history *history)
{
    int64_t numbers[HISTORY_NUMBERS + 1];
    random_numbers(random, numbers);
    for (unsigned i = 0; i < history->count; i++)
        history->events[i].sequence = numbers[history->events[i].sequence];
}

void spread_agent_numbers(struct random *random, struct agent_history *history)
{
    int64_t numbers[HISTORY_NUMBERS + 1];
    random_numbers(random, numbers);
    for (unsigned i = 0; i < history->count; i++)
        history->events[i].sequence = numbers[history->events[i].sequence];
}

struct buf stored_case(const struct case_state *state)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    case_store(state, &buf);
    assert(!buf.overflow);
    return buf;
}

struct buf stored_agent(const struct agent_state *state)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    agent_store(state, &buf);
    assert(!buf.overflow);
    return buf;
}

bool same_stored(struct buf a, struct buf b)
{
    bool equal = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
    buf_done(&a);
    buf_done(&b);
    return equal;
}

unsigned random_states(struct random *random, enum split split, bool old)
{
    if (split == SPLIT_DISJOINT)
        return 1u << random_below(random, SPLIT_STATES);
    if (split == SPLIT_RETENTION)
        return old ? 1u : 2u | random_below(random, 2);
    return 1u + random_below(random, (1u << SPLIT_STATES) - 1);
}
