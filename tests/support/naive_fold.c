#include "tests/support/naive_fold.h"

#include <stdlib.h>

static int by_number(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_case_events(const void *a, const void *b)
{
    return by_number(((const struct case_event *)a)->sequence, ((const struct case_event *)b)->sequence);
}

static int compare_agent_events(const void *a, const void *b)
{
    return by_number(((const struct agent_event *)a)->sequence, ((const struct agent_event *)b)->sequence);
}

static void unlock(struct case_fields *fields)
{
    fields->locked_by = (struct user_ref){.present = false};
    fields->workstation = (struct ref){.present = false};
}

static bool status_is_active(const struct case_fields *fields)
{
    return fields->status.ptr && fields->status.len == 6 && memcmp(fields->status.ptr, "Active", 6) == 0;
}

/* Events that change the user who serves the case, or its place. */
static void replay_service(struct case_fields *fields, const struct case_event *event)
{
    const struct case_fields *from = &event->fields;
    if (event->type == CASE_STATUS_CHANGED) {
        fields->status = from->status;
        fields->status_date = from->status_date;
        if (!status_is_active(fields))
            unlock(fields);
    }
    if (event->type == CASE_SERVICE_STARTED) {
        fields->status = from->status;
        fields->status_date = from->status_date;
        fields->locked_by = from->locked_by;
        fields->workstation = from->workstation;
    }
    if (event->type == CASE_RETURNED_TO_QUEUE || event->type == CASE_REOPENED) {
        fields->status = from->status;
        fields->status_date = from->status_date;
        fields->rank = from->rank;
        unlock(fields);
    }
    if (event->type == CASE_RESOLVED) {
        fields->status = str_of("Resolved");
        fields->status_date = from->status_date;
        unlock(fields);
    }
    if (event->type == CASE_MOVED) {
        fields->status = from->status;
        fields->status_date = from->status_date;
        fields->inbox = from->inbox;
        fields->unit = from->unit;
        fields->rank = from->rank;
        fields->locked_by = from->locked_by;
        fields->workstation = from->workstation;
    }
}

/* Events that change one group. */
static void replay_detail(struct case_fields *fields, const struct case_event *event)
{
    const struct case_fields *from = &event->fields;
    if (event->type == CASE_APPOINTMENT_CHECKED_IN) {
        fields->status = from->status;
        fields->status_date = from->status_date;
        fields->rank = from->rank;
        if (event->given & GROUP_BIT(GROUP_TICKET))
            fields->ticket = from->ticket;
    }
    if (event->type == CASE_POSITION_CHANGED)
        fields->rank = from->rank;
    if (event->type == CASE_USER_ASSIGNED)
        fields->assigned_to = from->assigned_to;
    if (event->type == CASE_USER_UNASSIGNED)
        fields->assigned_to = (struct user_ref){.present = false};
    if (event->type == CASE_UPDATED) {
        if (event->given & GROUP_BIT(GROUP_CHANNEL))
            fields->channel = from->channel;
        if (event->given & GROUP_BIT(GROUP_CUSTOMER))
            fields->customer = from->customer;
        if (event->given & GROUP_BIT(GROUP_PHONE))
            fields->contact_phone_number = from->contact_phone_number;
        if (event->given & GROUP_BIT(GROUP_EMAIL))
            fields->contact_email = from->contact_email;
    }
    if (event->type == CASE_TICKET_PRINTED)
        fields->printed_ticket = true;
    if (event->type == CASE_ONLINE_MEETING_SET)
        fields->online_meeting = from->online_meeting;
}

static void replay_case_event(struct naive_case *result, const struct case_event *event)
{
    if (event->type == CASE_UNKNOWN_TYPE)
        return;
    if (event->type == CASE_CLOSED || event->type == CASE_QUEUE_ABANDONED ||
        event->type == CASE_APPOINTMENT_CANCELLED) {
        result->over = true;
        return;
    }
    if (event->type == CASE_QUEUED || event->type == CASE_APPOINTMENT_BOOKED) {
        result->fields = event->fields;
        result->has_snapshot = true;
        result->degraded = false; /* numbers below a snapshot do not matter */
        return;
    }
    replay_service(&result->fields, event);
    replay_detail(&result->fields, event);
    result->fields.case_timestamp = event->fields.case_timestamp;
}

struct naive_case naive_case_fold(const struct uuid *organization_id, const struct case_event *events, size_t count)
{
    struct naive_case result = {.over = false};
    struct case_event *sorted = calloc(count + 1, sizeof *sorted);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(events[i].organization_id.b, organization_id->b, 16) == 0)
            sorted[kept++] = events[i];
    }
    qsort(sorted, kept, sizeof *sorted, compare_case_events);
    int64_t last = 0;
    for (size_t i = 0; i < kept; i++) {
        if (sorted[i].sequence == last)
            continue;
        if (sorted[i].sequence > last + 1)
            result.degraded = true;
        last = sorted[i].sequence;
        replay_case_event(&result, &sorted[i]);
    }
    free(sorted);
    if (result.over || !result.has_snapshot)
        result.degraded = false;
    result.listed = result.has_snapshot && !result.over && status_is_active(&result.fields) &&
                    result.fields.locked_by.present;
    return result;
}

/* The last event about a unit's workspaces wins. */
static void take_workspaces(struct naive_agent *result, const struct agent_event *sorted, size_t count)
{
    const struct agent_event *decides = NULL;
    for (size_t i = 0; i < count; i++) {
        bool about_set = sorted[i].type == AGENT_WORKSPACES_SELECTED || sorted[i].type == AGENT_UNIT_ACCESS_REVOKED;
        if (about_set && memcmp(sorted[i].unit_id.b, result->unit_id.b, 16) == 0)
            decides = &sorted[i];
    }
    if (!decides || decides->type == AGENT_UNIT_ACCESS_REVOKED)
        return;
    for (size_t i = 0; i < decides->workspace_count; i++) {
        bool have = false;
        for (size_t k = 0; k < result->workspace_count; k++)
            have = have || memcmp(result->workspaces[k].b, decides->workspace_ids[i].b, 16) == 0;
        if (!have)
            result->workspaces[result->workspace_count++] = decides->workspace_ids[i];
    }
}

struct naive_agent naive_agent_fold(const struct agent_event *events, size_t count)
{
    struct naive_agent result = {.has_unit = false};
    struct agent_event *sorted = calloc(count + 1, sizeof *sorted);
    size_t kept = 0;
    int64_t last = 0;
    memcpy(sorted, events, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_agent_events);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i].sequence == last)
            continue;
        if (sorted[i].sequence > last + 1)
            result.degraded = true;
        last = sorted[i].sequence;
        sorted[kept++] = sorted[i];
    }
    for (size_t i = 0; i < kept; i++) {
        if (sorted[i].type == AGENT_CURRENT_UNIT_SELECTED) {
            result.has_unit = true;
            result.unit_id = sorted[i].unit_id;
        }
        if (sorted[i].type == AGENT_CURRENT_UNIT_CLEARED)
            result.has_unit = false;
        if (sorted[i].type == AGENT_UNIT_ACCESS_REVOKED && memcmp(sorted[i].unit_id.b, result.unit_id.b, 16) == 0)
            result.has_unit = false;
    }
    if (result.has_unit)
        take_workspaces(&result, sorted, kept);
    free(sorted);
    return result;
}
