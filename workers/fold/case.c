#include "workers/fold/case.h"

/* When an event sets lockedBy and workstation to null. */
enum unlock { UNLOCK_NEVER, UNLOCK_ALWAYS, UNLOCK_UNLESS_ACTIVE };

/* What an event of one type does (payload table of the contract, section 3). */
struct case_rule {
    uint32_t sets;       /* groups taken from the event */
    uint32_t sets_given; /* groups taken from the event if its payload gives them */
    uint32_t clears;     /* groups set to null */
    const char *status;  /* GROUP_STATUS gets this text, not the event's */
    enum unlock unlock;
    bool prints; /* GROUP_PRINTED := true */
    bool snapshot;
    bool over;
};

#define STATUS GROUP_BIT(GROUP_STATUS)
#define RANK   GROUP_BIT(GROUP_RANK)
#define LOCK   GROUP_BIT(GROUP_LOCK)
#define TIME   GROUP_BIT(GROUP_TIMESTAMP)

static const struct case_rule rules[CASE_EVENT_TYPE_COUNT] = {
    [CASE_UNKNOWN_TYPE] = {0},
    [CASE_QUEUED] = {.sets = GROUP_ALL, .snapshot = true},
    [CASE_APPOINTMENT_BOOKED] = {.sets = GROUP_ALL, .snapshot = true},
    [CASE_APPOINTMENT_CHECKED_IN] = {.sets = STATUS | RANK | TIME, .sets_given = GROUP_BIT(GROUP_TICKET)},
    [CASE_APPOINTMENT_CANCELLED] = {.over = true},
    [CASE_QUEUE_ABANDONED] = {.over = true},
    [CASE_STATUS_CHANGED] = {.sets = STATUS | TIME, .unlock = UNLOCK_UNLESS_ACTIVE},
    [CASE_SERVICE_STARTED] = {.sets = STATUS | LOCK | TIME},
    [CASE_RETURNED_TO_QUEUE] = {.sets = STATUS | RANK | TIME, .unlock = UNLOCK_ALWAYS},
    [CASE_MOVED] = {.sets = STATUS | GROUP_BIT(GROUP_PLACE) | RANK | LOCK | TIME},
    [CASE_RESOLVED] = {.sets = STATUS | TIME, .status = "Resolved", .unlock = UNLOCK_ALWAYS},
    [CASE_REOPENED] = {.sets = STATUS | RANK | TIME, .unlock = UNLOCK_ALWAYS},
    [CASE_CLOSED] = {.over = true},
    [CASE_POSITION_CHANGED] = {.sets = RANK | TIME},
    [CASE_USER_ASSIGNED] = {.sets = GROUP_BIT(GROUP_ASSIGNED) | TIME},
    [CASE_USER_UNASSIGNED] = {.sets = TIME, .clears = GROUP_BIT(GROUP_ASSIGNED)},
    [CASE_UPDATED] = {.sets = TIME,
                      .sets_given = GROUP_BIT(GROUP_CHANNEL) | GROUP_BIT(GROUP_CUSTOMER) | GROUP_BIT(GROUP_PHONE) |
                                    GROUP_BIT(GROUP_EMAIL)},
    [CASE_TICKET_PRINTED] = {.sets = TIME, .prints = true},
    [CASE_ONLINE_MEETING_SET] = {.sets = GROUP_BIT(GROUP_MEETING) | TIME},
};

static bool is_active(struct str status)
{
    return str_eq(status, STR("Active"));
}

void case_init(struct case_state *state, const struct uuid *organization_id)
{
    state->organization_id = *organization_id;
    state->over = false;
    state->has_snapshot = false;
    sequence_init(&state->sequence);
    memset(state->group_sequence, 0, sizeof state->group_sequence);
    memset(&state->fields, 0, sizeof state->fields);
}

static void copy_rest(struct case_fields *to, const struct case_fields *from)
{
    to->service_category = from->service_category;
    to->service_category.present = true;
    to->service_type = from->service_type;
    to->service_type.present = true;
    to->reference_date = from->reference_date;
    to->date_opened = from->date_opened;
    to->entry_mode = from->entry_mode;
}

static void copy_group(struct case_fields *to, enum case_group group, const struct case_fields *from)
{
    switch (group) {
    case GROUP_STATUS:
        to->status = from->status;
        to->status_date = from->status_date;
        return;
    case GROUP_DATE_CLOSED:
        to->has_date_closed = from->has_date_closed;
        to->date_closed = from->date_closed;
        return;
    case GROUP_RANK:
        to->rank = from->rank;
        return;
    case GROUP_TICKET:
        to->ticket = from->ticket;
        return;
    case GROUP_LOCK:
        to->locked_by = from->locked_by;
        to->workstation = from->workstation;
        return;
    case GROUP_PLACE:
        to->unit = from->unit;
        to->unit.present = true;
        to->inbox = from->inbox;
        return;
    case GROUP_ASSIGNED:
        to->assigned_to = from->assigned_to;
        return;
    case GROUP_CHANNEL:
        to->channel = from->channel;
        return;
    case GROUP_CUSTOMER:
        to->customer = from->customer;
        return;
    case GROUP_PHONE:
        to->contact_phone_number = from->contact_phone_number;
        return;
    case GROUP_EMAIL:
        to->contact_email = from->contact_email;
        return;
    case GROUP_PRINTED:
        to->printed_ticket = from->printed_ticket;
        return;
    case GROUP_MEETING:
        to->online_meeting = from->online_meeting;
        return;
    case GROUP_TIMESTAMP:
        to->case_timestamp = from->case_timestamp;
        return;
    case GROUP_REST:
        copy_rest(to, from);
        return;
    case GROUP_COUNT:
        return;
    }
}

/* Last writer wins: sets those of `groups` that an event with a lower sequence set last. Returns the groups set. */
static uint32_t set_groups(struct case_state *state, int64_t sequence, uint32_t groups, const struct case_fields *from)
{
    uint32_t won = 0;
    for (; groups; groups &= groups - 1) {
        enum case_group group = (enum case_group)__builtin_ctz(groups);
        if (sequence <= state->group_sequence[group])
            continue;
        state->group_sequence[group] = sequence;
        copy_group(&state->fields, group, from);
        won |= GROUP_BIT(group);
    }
    return won;
}

static void apply_rule(struct case_state *state, const struct case_rule *rule, const struct case_event *event)
{
    static const struct case_fields null_fields;
    static const struct case_fields printed_fields = {.printed_ticket = true};

    uint32_t sets = rule->sets | (rule->sets_given & event->given);
    uint32_t clears = rule->clears;
    if (rule->unlock == UNLOCK_ALWAYS || (rule->unlock == UNLOCK_UNLESS_ACTIVE && !is_active(event->fields.status)))
        clears |= LOCK;

    uint32_t won = set_groups(state, event->sequence, sets, &event->fields);
    if (rule->status != NULL && (won & STATUS))
        state->fields.status = str_of(rule->status);
    set_groups(state, event->sequence, clears, &null_fields);
    if (rule->prints)
        set_groups(state, event->sequence, GROUP_BIT(GROUP_PRINTED), &printed_fields);
}

/* Nothing but the organization is kept of a case that is over. */
static void end_case(struct case_state *state)
{
    struct uuid organization_id = state->organization_id;
    case_init(state, &organization_id);
    state->over = true;
}

enum fold_outcome case_apply(struct case_state *state, const struct case_event *event)
{
    assert(event->type < CASE_EVENT_TYPE_COUNT);
    const struct case_rule *rule = &rules[event->type];

    if (!uuid_eq(&state->organization_id, &event->organization_id))
        return FOLD_KEY_MISMATCH;
    if (state->over)
        return FOLD_OVER;
    if (!sequence_add(&state->sequence, event->sequence, rule->snapshot))
        return FOLD_DUPLICATE;
    if (event->type == CASE_UNKNOWN_TYPE)
        return FOLD_UNKNOWN_TYPE;
    if (rule->over) {
        end_case(state);
        return FOLD_APPLIED;
    }
    state->has_snapshot = state->sequence.base > 0;
    apply_rule(state, rule, event);
    return FOLD_APPLIED;
}

bool case_merge(struct case_state *into, const struct case_state *from)
{
    if (!uuid_eq(&into->organization_id, &from->organization_id)) {
        *into = *from;
        return true;
    }
    if (into->over)
        return false;
    if (from->over) {
        end_case(into);
        return true;
    }
    bool changed = sequence_merge(&into->sequence, &from->sequence);
    into->has_snapshot = into->sequence.base > 0;
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        if (set_groups(into, from->group_sequence[group], GROUP_BIT(group), &from->fields))
            changed = true;
    }
    return changed;
}

bool case_is_listed(const struct case_state *state)
{
    return state->has_snapshot && !state->over && state->fields.locked_by.present && is_active(state->fields.status);
}

bool case_is_incomplete(const struct case_state *state)
{
    return !state->has_snapshot && !state->over;
}

bool case_is_degraded(const struct case_state *state)
{
    return state->has_snapshot && !state->over && sequence_has_missing(&state->sequence);
}

void case_names_wanted(const struct case_state *state, struct entity_ref out_refs[NAME_SLOT_COUNT])
{
    const struct case_fields *fields = &state->fields;
    bool placed = state->group_sequence[GROUP_PLACE] > 0;
    bool rest = state->group_sequence[GROUP_REST] > 0;

    out_refs[NAME_SERVICE_CATEGORY] = (struct entity_ref){rest, ENTITY_SERVICE_CATEGORY, fields->service_category.id};
    out_refs[NAME_SERVICE_TYPE] = (struct entity_ref){rest, ENTITY_SERVICE_TYPE, fields->service_type.id};
    out_refs[NAME_UNIT] = (struct entity_ref){placed, ENTITY_UNIT, fields->unit.id};
    out_refs[NAME_INBOX] = (struct entity_ref){placed, ENTITY_INBOX, fields->inbox.id};
    out_refs[NAME_WORKSTATION] = (struct entity_ref){fields->workstation.present, ENTITY_WORKSTATION,
                                                     fields->workstation.id};
    out_refs[NAME_ASSIGNED_TO] = (struct entity_ref){fields->assigned_to.present, ENTITY_USER, fields->assigned_to.id};
    out_refs[NAME_LOCKED_BY] = (struct entity_ref){fields->locked_by.present, ENTITY_USER, fields->locked_by.id};
    out_refs[NAME_CUSTOMER] = (struct entity_ref){fields->customer.present, ENTITY_CUSTOMER,
                                                  fields->customer.record_id};
}
