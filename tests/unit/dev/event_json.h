/*
 * event_json.h: writes a decoded event as the JSON from which it was encoded, field by field, without the decoder's
 * tables. Members that a decoded event does not keep are omitted.
 */
#ifndef CASEVIEW_TESTS_EVENT_JSON_H
#define CASEVIEW_TESTS_EVENT_JSON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "workers/fold/event.h"

static inline json_t *text_json(struct str text)
{
    return text.ptr ? json_pack("s%", text.ptr, text.len) : json_null();
}

static inline json_t *guid_json(const struct uuid *uuid)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(uuid, text);
    return json_pack("s", text);
}

static inline json_t *ref_json(const struct ref *ref)
{
    return ref->present ? json_pack("{s:o,s:o}", "id", guid_json(&ref->id), "name", text_json(ref->name)) : json_null();
}

static inline json_t *user_json(const struct user_ref *user)
{
    return user->present ? json_pack("{s:o,s:o,s:o,s:o}", "userId", guid_json(&user->id), "displayName",
                                     text_json(user->display_name), "initials", text_json(user->initials), "picture",
                                     text_json(user->picture))
                         : json_null();
}

static inline json_t *inbox_json(const struct inbox_ref *inbox)
{
    return json_pack("{s:o,s:o,s:o}", "id", guid_json(&inbox->id), "name", text_json(inbox->name), "colorCode",
                     text_json(inbox->color_code));
}

static inline json_t *ticket_json(const struct ticket *ticket)
{
    return ticket->present ? json_pack("{s:o,s:o,s:i}", "prefix", text_json(ticket->prefix), "suffix",
                                       text_json(ticket->suffix), "number", ticket->number)
                           : json_null();
}

static inline json_t *customer_json(const struct customer_ref *customer)
{
    return customer->present
               ? json_pack("{s:o,s:o,s:o}", "dataTableId", guid_json(&customer->data_table_id), "recordId",
                           guid_json(&customer->record_id), "displayName", text_json(customer->display_name))
               : json_null();
}

static inline json_t *set_json(uint32_t given, enum case_group group, json_t *value)
{
    if (given & GROUP_BIT(group))
        return json_pack("{s:o}", "value", value);
    json_decref(value);
    return json_null();
}

static inline json_t *case_field(const struct case_fields *f, const char *name)
{
    if (strcmp(name, "ticket") == 0)
        return ticket_json(&f->ticket);
    if (strcmp(name, "serviceCategory") == 0)
        return ref_json(&f->service_category);
    if (strcmp(name, "serviceType") == 0)
        return ref_json(&f->service_type);
    if (strcmp(name, "status") == 0)
        return text_json(f->status);
    if (strcmp(name, "statusDate") == 0)
        return json_integer(f->status_date);
    if (strcmp(name, "referenceDate") == 0)
        return json_integer(f->reference_date);
    if (strcmp(name, "dateOpened") == 0)
        return json_integer(f->date_opened);
    if (strcmp(name, "dateClosed") == 0)
        return f->has_date_closed ? json_integer(f->date_closed) : json_null();
    if (strcmp(name, "assignedTo") == 0)
        return user_json(&f->assigned_to);
    if (strcmp(name, "lockedBy") == 0)
        return user_json(&f->locked_by);
    if (strcmp(name, "channel") == 0)
        return text_json(f->channel);
    if (strcmp(name, "rank") == 0)
        return json_real(f->rank);
    if (strcmp(name, "unit") == 0)
        return ref_json(&f->unit);
    if (strcmp(name, "inbox") == 0)
        return inbox_json(&f->inbox);
    if (strcmp(name, "caseTimestamp") == 0)
        return json_integer(f->case_timestamp);
    if (strcmp(name, "workstation") == 0)
        return ref_json(&f->workstation);
    if (strcmp(name, "customer") == 0)
        return customer_json(&f->customer);
    if (strcmp(name, "onlineMeeting") == 0)
        return text_json(f->online_meeting);
    if (strcmp(name, "printedTicket") == 0)
        return json_boolean(f->printed_ticket);
    if (strcmp(name, "contactPhoneNumber") == 0)
        return text_json(f->contact_phone_number);
    if (strcmp(name, "contactEmail") == 0)
        return text_json(f->contact_email);
    if (strcmp(name, "entryMode") == 0)
        return text_json(f->entry_mode);
    fail_msg("no field %s", name);
    return NULL;
}

#define SNAPSHOT                                                                                                    \
    "ticket serviceCategory serviceType status statusDate referenceDate dateOpened dateClosed assignedTo lockedBy " \
    "channel rank unit inbox caseTimestamp workstation customer onlineMeeting printedTicket contactPhoneNumber "    \
    "contactEmail entryMode"

/* The contract's table of payloads, independent of the encoder's. */
static const struct {
    const char *name;
    const char *fields;
} case_payloads[CASE_EVENT_TYPE_COUNT] = {
    [CASE_QUEUED] = {"CaseQueued", SNAPSHOT},
    [CASE_APPOINTMENT_BOOKED] = {"AppointmentBooked", SNAPSHOT},
    [CASE_APPOINTMENT_CHECKED_IN] = {"AppointmentCheckedIn", "status statusDate rank ticket caseTimestamp"},
    [CASE_APPOINTMENT_CANCELLED] = {"AppointmentCancelled", "status statusDate dateClosed caseTimestamp"},
    [CASE_QUEUE_ABANDONED] = {"QueueAbandoned", "status statusDate dateClosed caseTimestamp"},
    [CASE_STATUS_CHANGED] = {"CaseStatusChanged", "status statusDate caseTimestamp"},
    [CASE_SERVICE_STARTED] = {"CaseServiceStarted", "status statusDate lockedBy workstation caseTimestamp"},
    [CASE_RETURNED_TO_QUEUE] = {"CaseReturnedToQueue", "status statusDate rank caseTimestamp"},
    [CASE_MOVED] = {"CaseMoved", "status statusDate inbox unit rank lockedBy workstation caseTimestamp"},
    [CASE_RESOLVED] = {"CaseResolved", "statusDate caseTimestamp"},
    [CASE_REOPENED] = {"CaseReopened", "status statusDate rank caseTimestamp"},
    [CASE_CLOSED] = {"CaseClosed", "statusDate dateClosed caseTimestamp"},
    [CASE_POSITION_CHANGED] = {"CasePositionChanged", "rank caseTimestamp"},
    [CASE_USER_ASSIGNED] = {"CaseUserAssigned", "assignedTo caseTimestamp"},
    [CASE_USER_UNASSIGNED] = {"CaseUserUnassigned", "caseTimestamp"},
    [CASE_UPDATED] = {"CaseUpdated", "channel customer contactPhoneNumber contactEmail caseTimestamp"},
    [CASE_TICKET_PRINTED] = {"CaseTicketPrinted", "caseTimestamp"},
    [CASE_ONLINE_MEETING_SET] = {"CaseOnlineMeetingSet", "onlineMeeting caseTimestamp"},
};

static inline json_t *case_payload_json(const struct case_event *event)
{
    json_t *fields = json_pack("{}");
    char names[512];
    snprintf(names, sizeof names, "%s", case_payloads[event->type].fields);
    for (char *rest = names, *name; (name = strtok_r(rest, " ", &rest));)
        json_object_set_new(fields, name, case_field(&event->fields, name));
    if (event->type == CASE_UPDATED) {
        const struct case_fields *f = &event->fields;
        json_object_set_new(fields, "customer", set_json(event->given, GROUP_CUSTOMER, customer_json(&f->customer)));
        json_object_set_new(fields, "contactPhoneNumber",
                            set_json(event->given, GROUP_PHONE, text_json(f->contact_phone_number)));
        json_object_set_new(fields, "contactEmail", set_json(event->given, GROUP_EMAIL, text_json(f->contact_email)));
    }
    if (event->type == CASE_QUEUED || event->type == CASE_APPOINTMENT_BOOKED)
        fields = json_pack("{s:o}", "case", fields);
    return json_pack("{s:o}", case_payloads[event->type].name, fields);
}

static inline json_t *agent_payload_json(const struct agent_event *event)
{
    switch (event->type) {
    case AGENT_CURRENT_UNIT_SELECTED:
        return json_pack("{s:{s:o}}", "AgentCurrentUnitSelected", "unitId", guid_json(&event->unit_id));
    case AGENT_CURRENT_UNIT_CLEARED:
        return json_pack("{s:{}}", "AgentCurrentUnitCleared");
    case AGENT_UNIT_ACCESS_REVOKED:
        return json_pack("{s:{s:o}}", "AgentUnitAccessRevoked", "unitId", guid_json(&event->unit_id));
    case AGENT_WORKSPACES_SELECTED:
        break;
    case AGENT_UNKNOWN_TYPE:
    case AGENT_EVENT_TYPE_COUNT:
        fail_msg("no type");
    }
    json_t *ids = json_pack("[]");
    for (size_t i = 0; i < event->workspace_count; i++)
        json_array_append_new(ids, guid_json(&event->workspace_ids[i]));
    return json_pack("{s:{s:o,s:o}}", "AgentWorkspacesSelected", "unitId", guid_json(&event->unit_id), "workspaceIds",
                     ids);
}

static inline json_t *entity_payload_json(const struct directory_event *event)
{
    const struct entity_fields *f = &event->fields;
    if (event->type == DIRECTORY_REMOVED)
        return json_pack("{s:{s:s}}", "EntityRemoved", "kind", entity_kind_name(event->kind));
    assert_int_equal(event->type, DIRECTORY_UPSERTED);
    json_t *roles = json_pack("[]");
    for (size_t i = 0; i < f->role_count; i++)
        json_array_append_new(roles, text_json(f->roles[i]));
    json_t *all = json_pack("{s:o,s:o,s:o,s:o,s:o,s:b}", "name", text_json(f->name), "detail", text_json(f->detail),
                            "picture", text_json(f->picture), "parent", guid_json(&f->parent_id), "roles", roles,
                            "enabled", f->enabled);
    static const struct {
        const char *name;
        const char *fields; /* pairs: name in the event, name in the JSON */
    } kinds[] = {
        [ENTITY_UNIT] = {"UnitUpserted", "name name"},
        [ENTITY_SERVICE_CATEGORY] = {"ServiceCategoryUpserted", "name name"},
        [ENTITY_SERVICE_TYPE] = {"ServiceTypeUpserted", "name name serviceCategoryId parent"},
        [ENTITY_INBOX] = {"InboxUpserted", "name name unitId parent colorCode detail"},
        [ENTITY_WORKSTATION] = {"WorkstationUpserted", "name name unitId parent"},
        [ENTITY_WORKSPACE] = {"WorkspaceUpserted", "name name unitId parent"},
        [ENTITY_USER] = {"UserUpserted", "displayName name initials detail picture picture"},
        [ENTITY_CUSTOMER] = {"CustomerUpserted", "displayName name dataTableId parent"},
        [ENTITY_APPLICATION] = {"ApplicationUpserted", "clientId detail name name roles roles enabled enabled"},
    };
    json_t *fields = json_pack("{}");
    char names[128];
    snprintf(names, sizeof names, "%s", kinds[event->kind].fields);
    bool parent = false;
    for (char *rest = names, *name; (name = strtok_r(rest, " ", &rest));) {
        const char *ours = strtok_r(rest, " ", &rest);
        parent = parent || strcmp(ours, "parent") == 0;
        json_object_set(fields, name, json_object_get(all, ours));
    }
    assert_int_equal(f->has_parent, parent);
    json_decref(all);
    return json_pack("{s:o}", kinds[event->kind].name, fields);
}

static inline json_t *value_json(const struct event *event)
{
    switch (event->topic) {
    case TOPIC_CASES:
        return json_pack("{s:o,s:o,s:I,s:o}", "organizationId", guid_json(&event->c.organization_id), "caseId",
                         guid_json(&event->c.case_id), "sequence", (json_int_t)event->c.sequence, "payload",
                         case_payload_json(&event->c));
    case TOPIC_AGENTS:
        return json_pack("{s:o,s:o,s:I,s:o}", "organizationId", guid_json(&event->a.organization_id), "userId",
                         guid_json(&event->a.user_id), "sequence", (json_int_t)event->a.sequence, "payload",
                         agent_payload_json(&event->a));
    case TOPIC_DIRECTORY:
        return json_pack("{s:o,s:o,s:I,s:o}", "organizationId", guid_json(&event->d.organization_id), "entityId",
                         guid_json(&event->d.entity_id), "version", (json_int_t)event->d.version, "payload",
                         entity_payload_json(&event->d));
    case TOPIC_COUNT:
        break;
    }
    return NULL;
}

#endif
