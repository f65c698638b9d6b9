#include "workers/source/reader_schema.h"

#define FLAG(offset) ((offset) + 1)

/* Limits of texts, in bytes (contract, section 3). */
#define MAX_TEXT    (1u << 10)
#define MAX_EMAIL   (2u << 10)
#define MAX_PICTURE (4u << 10)
#define MAX_MEETING (64u << 10)

/* An initializer. With its braces in the macros below, clang-format would give each of them four lines. */
#define INIT(...)   \
    {               \
        __VA_ARGS__ \
    }

#define RECORD(record_name, fields_, present_) \
    INIT(.name = (record_name), .present = (present_), .fields = (fields_), .field_count = ARRAY_LEN(fields_))

/* Parts of records. */

#define REF(member) offsetof(struct ref, member)
static const struct reader_field ref_fields[] = {
    {"id", FIELD_GUID, .offset = REF(id)},
    {"name", FIELD_TEXT, true, .offset = REF(name), .max = MAX_TEXT},
};
static const struct reader_record ref_record = RECORD("Ref", ref_fields, FLAG(REF(present)));

#define INBOX(member) offsetof(struct inbox_ref, member)
static const struct reader_field inbox_fields[] = {
    {"id", FIELD_GUID, .offset = INBOX(id)},
    {"name", FIELD_TEXT, true, .offset = INBOX(name), .max = MAX_TEXT},
    {"colorCode", FIELD_TEXT, true, .offset = INBOX(color_code), .max = MAX_TEXT},
};
static const struct reader_record inbox_record = RECORD("InboxRef", inbox_fields, 0);

#define USER(member) offsetof(struct user_ref, member)
static const struct reader_field user_fields[] = {
    {"userId", FIELD_GUID, .offset = USER(id)},
    {"displayName", FIELD_TEXT, true, .offset = USER(display_name), .max = MAX_TEXT},
    {"initials", FIELD_TEXT, true, .offset = USER(initials), .max = MAX_TEXT},
    {"picture", FIELD_TEXT, true, .offset = USER(picture), .max = MAX_PICTURE},
};
static const struct reader_record user_record = RECORD("UserRef", user_fields, FLAG(USER(present)));

#define TICKET(member) offsetof(struct ticket, member)
static const struct reader_field ticket_fields[] = {
    {"prefix", FIELD_TEXT, true, .offset = TICKET(prefix), .max = MAX_TEXT},
    {"suffix", FIELD_TEXT, true, .offset = TICKET(suffix), .max = MAX_TEXT},
    {"number", FIELD_INT, .offset = TICKET(number)},
};
static const struct reader_record ticket_record = RECORD("Ticket", ticket_fields, FLAG(TICKET(present)));

#define CUSTOMER(member) offsetof(struct customer_ref, member)
static const struct reader_field customer_fields[] = {
    {"dataTableId", FIELD_GUID, .offset = CUSTOMER(data_table_id)},
    {"recordId", FIELD_GUID, .offset = CUSTOMER(record_id)},
    {"displayName", FIELD_TEXT, true, .offset = CUSTOMER(display_name), .max = MAX_TEXT},
};
static const struct reader_record customer_record = RECORD("CustomerRef", customer_fields, FLAG(CUSTOMER(present)));

/* A Set… record is where its value is. */
static const struct reader_field set_phone_fields[] = {{"value", FIELD_TEXT, true, .max = MAX_TEXT}};
static const struct reader_record set_phone_record = RECORD("SetText", set_phone_fields, 0);
static const struct reader_field set_email_fields[] = {{"value", FIELD_TEXT, true, .max = MAX_EMAIL}};
static const struct reader_record set_email_record = RECORD("SetText", set_email_fields, 0);
static const struct reader_field set_customer_fields[] = {{"value", FIELD_RECORD, true, .record = &customer_record}};
static const struct reader_record set_customer_record = RECORD("SetCustomer", set_customer_fields, 0);

/* Fields of a case, as often as payloads have them. */

#define CASE(member)     offsetof(struct case_fields, member)
#define F_STATUS         INIT("status", FIELD_TEXT, .offset = CASE(status), .max = MAX_TEXT)
#define F_STATUS_DATE    INIT("statusDate", FIELD_TIME, .offset = CASE(status_date))
#define F_CASE_TIMESTAMP INIT("caseTimestamp", FIELD_TIME, .offset = CASE(case_timestamp))
#define F_RANK           INIT("rank", FIELD_RANK, .offset = CASE(rank))
#define F_UNIT           INIT("unit", FIELD_RECORD, .offset = CASE(unit), .record = &ref_record)
#define F_INBOX          INIT("inbox", FIELD_RECORD, .offset = CASE(inbox), .record = &inbox_record)
#define F_WORKSTATION    INIT("workstation", FIELD_RECORD, true, .offset = CASE(workstation), .record = &ref_record)
#define F_ONLINE_MEETING INIT("onlineMeeting", FIELD_MEETING, true, .offset = CASE(online_meeting), .max = MAX_MEETING)
#define F_DATE_CLOSED(may_be_null) \
    INIT("dateClosed", FIELD_TIME, (may_be_null), .offset = CASE(date_closed), .flag = FLAG(CASE(has_date_closed)))
#define F_USER(field_name, may_be_null, member) \
    INIT((field_name), FIELD_RECORD, (may_be_null), .offset = CASE(member), .record = &user_record)
#define F_TICKET(given_) \
    INIT("ticket", FIELD_RECORD, true, .offset = CASE(ticket), .given = (given_), .record = &ticket_record)

static const struct reader_field snapshot_fields[] = {
    F_TICKET(0),
    {"serviceCategory", FIELD_RECORD, .offset = CASE(service_category), .record = &ref_record},
    {"serviceType", FIELD_RECORD, .offset = CASE(service_type), .record = &ref_record},
    F_STATUS,
    F_STATUS_DATE,
    {"referenceDate", FIELD_TIME, .offset = CASE(reference_date)},
    {"dateOpened", FIELD_TIME, .offset = CASE(date_opened)},
    F_DATE_CLOSED(true),
    F_USER("assignedTo", true, assigned_to),
    F_USER("lockedBy", true, locked_by),
    {"channel", FIELD_TEXT, .offset = CASE(channel), .max = MAX_TEXT},
    F_RANK,
    F_UNIT,
    F_INBOX,
    F_CASE_TIMESTAMP,
    F_WORKSTATION,
    {"customer", FIELD_RECORD, true, .offset = CASE(customer), .record = &customer_record},
    F_ONLINE_MEETING,
    {"printedTicket", FIELD_BOOL, .offset = CASE(printed_ticket)},
    {"contactPhoneNumber", FIELD_TEXT, true, .offset = CASE(contact_phone_number), .max = MAX_TEXT},
    {"contactEmail", FIELD_TEXT, true, .offset = CASE(contact_email), .max = MAX_EMAIL},
    {"entryMode", FIELD_TEXT, .offset = CASE(entry_mode), .max = MAX_TEXT},
};
static const struct reader_record snapshot_record = RECORD("CaseSnapshot", snapshot_fields, 0);

/* Payloads of the case topic. Some have the same fields. */

static const struct reader_field with_snapshot[] = {{"case", FIELD_RECORD, .record = &snapshot_record}};
static const struct reader_field checked_in[] = {F_STATUS, F_STATUS_DATE, F_RANK, F_TICKET(GROUP_BIT(GROUP_TICKET)),
                                                 F_CASE_TIMESTAMP};
static const struct reader_field over[] = {F_STATUS, F_STATUS_DATE, F_DATE_CLOSED(false), F_CASE_TIMESTAMP};
static const struct reader_field status_changed[] = {F_STATUS, F_STATUS_DATE, F_CASE_TIMESTAMP};
static const struct reader_field service_started[] = {F_STATUS, F_STATUS_DATE, F_USER("lockedBy", false, locked_by),
                                                      F_WORKSTATION, F_CASE_TIMESTAMP};
static const struct reader_field back_in_queue[] = {F_STATUS, F_STATUS_DATE, F_RANK, F_CASE_TIMESTAMP};
static const struct reader_field moved[] = {F_STATUS,      F_STATUS_DATE,   F_INBOX,
                                            F_UNIT,        F_RANK,          F_USER("lockedBy", true, locked_by),
                                            F_WORKSTATION, F_CASE_TIMESTAMP};
static const struct reader_field resolved[] = {F_STATUS_DATE, F_CASE_TIMESTAMP};
static const struct reader_field closed[] = {F_STATUS_DATE, F_DATE_CLOSED(false), F_CASE_TIMESTAMP};
static const struct reader_field position_changed[] = {F_RANK, F_CASE_TIMESTAMP};
static const struct reader_field user_assigned[] = {F_USER("assignedTo", false, assigned_to), F_CASE_TIMESTAMP};
static const struct reader_field timestamp_only[] = {F_CASE_TIMESTAMP};
static const struct reader_field updated[] = {
    {"channel", FIELD_TEXT, true, .offset = CASE(channel), .given = GROUP_BIT(GROUP_CHANNEL), .max = MAX_TEXT},
    {"customer", FIELD_RECORD, true, .offset = CASE(customer), .given = GROUP_BIT(GROUP_CUSTOMER),
     .record = &set_customer_record},
    {"contactPhoneNumber", FIELD_RECORD, true, .offset = CASE(contact_phone_number), .given = GROUP_BIT(GROUP_PHONE),
     .record = &set_phone_record},
    {"contactEmail", FIELD_RECORD, true, .offset = CASE(contact_email), .given = GROUP_BIT(GROUP_EMAIL),
     .record = &set_email_record},
    F_CASE_TIMESTAMP,
};
static const struct reader_field online_meeting_set[] = {F_ONLINE_MEETING, F_CASE_TIMESTAMP};

#define PAYLOAD(record_name, fields_, type_, kind_, base_)                                                         \
    INIT(.record = &(const struct reader_record)RECORD(record_name, fields_, 0), .type = (type_), .kind = (kind_), \
         .base = (base_))
#define CASE_PAYLOAD(record_name, fields_, type_) \
    PAYLOAD(record_name, fields_, type_, 0, offsetof(struct event, c.fields))

static const struct reader_payload case_payloads[] = {
    CASE_PAYLOAD("CaseQueued", with_snapshot, CASE_QUEUED),
    CASE_PAYLOAD("AppointmentBooked", with_snapshot, CASE_APPOINTMENT_BOOKED),
    CASE_PAYLOAD("AppointmentCheckedIn", checked_in, CASE_APPOINTMENT_CHECKED_IN),
    CASE_PAYLOAD("AppointmentCancelled", over, CASE_APPOINTMENT_CANCELLED),
    CASE_PAYLOAD("QueueAbandoned", over, CASE_QUEUE_ABANDONED),
    CASE_PAYLOAD("CaseStatusChanged", status_changed, CASE_STATUS_CHANGED),
    CASE_PAYLOAD("CaseServiceStarted", service_started, CASE_SERVICE_STARTED),
    CASE_PAYLOAD("CaseReturnedToQueue", back_in_queue, CASE_RETURNED_TO_QUEUE),
    CASE_PAYLOAD("CaseMoved", moved, CASE_MOVED),
    CASE_PAYLOAD("CaseResolved", resolved, CASE_RESOLVED),
    CASE_PAYLOAD("CaseReopened", back_in_queue, CASE_REOPENED),
    CASE_PAYLOAD("CaseClosed", closed, CASE_CLOSED),
    CASE_PAYLOAD("CasePositionChanged", position_changed, CASE_POSITION_CHANGED),
    CASE_PAYLOAD("CaseUserAssigned", user_assigned, CASE_USER_ASSIGNED),
    CASE_PAYLOAD("CaseUserUnassigned", timestamp_only, CASE_USER_UNASSIGNED),
    CASE_PAYLOAD("CaseUpdated", updated, CASE_UPDATED),
    CASE_PAYLOAD("CaseTicketPrinted", timestamp_only, CASE_TICKET_PRINTED),
    CASE_PAYLOAD("CaseOnlineMeetingSet", online_meeting_set, CASE_ONLINE_MEETING_SET),
};

/* Payloads of the agent topic. */

#define AGENT(member) offsetof(struct agent_event, member)
#define F_AGENT_UNIT  INIT("unitId", FIELD_GUID, .offset = AGENT(unit_id))

static const struct reader_field agent_unit[] = {F_AGENT_UNIT};
static const struct reader_field workspaces_selected[] = {F_AGENT_UNIT, {"workspaceIds", FIELD_GUIDS}};

#define AGENT_PAYLOAD(record_name, fields_, type_) PAYLOAD(record_name, fields_, type_, 0, offsetof(struct event, a))

static const struct reader_payload agent_payloads[] = {
    AGENT_PAYLOAD("AgentCurrentUnitSelected", agent_unit, AGENT_CURRENT_UNIT_SELECTED),
    {.record = &(const struct reader_record){.name = "AgentCurrentUnitCleared"}, .type = AGENT_CURRENT_UNIT_CLEARED},
    AGENT_PAYLOAD("AgentWorkspacesSelected", workspaces_selected, AGENT_WORKSPACES_SELECTED),
    AGENT_PAYLOAD("AgentUnitAccessRevoked", agent_unit, AGENT_UNIT_ACCESS_REVOKED),
};

/* Payloads of the directory topic. */

#define ENTITY(member)       offsetof(struct entity_fields, member)
#define F_NAME(field_name)   INIT((field_name), FIELD_TEXT, .offset = ENTITY(name), .max = MAX_TEXT)
#define F_DETAIL(field_name) INIT((field_name), FIELD_TEXT, true, .offset = ENTITY(detail), .max = MAX_TEXT)
#define F_PARENT(field_name) \
    INIT((field_name), FIELD_GUID, .offset = ENTITY(parent_id), .flag = FLAG(ENTITY(has_parent)))

static const struct reader_field named[] = {F_NAME("name")};
static const struct reader_field service_type[] = {F_PARENT("serviceCategoryId"), F_NAME("name")};
static const struct reader_field inbox[] = {F_PARENT("unitId"), F_NAME("name"), F_DETAIL("colorCode")};
static const struct reader_field in_unit[] = {F_PARENT("unitId"), F_NAME("name")};
static const struct reader_field user[] = {
    F_NAME("displayName"),
    F_DETAIL("initials"),
    {"picture", FIELD_TEXT, true, .offset = ENTITY(picture), .max = MAX_PICTURE}};
static const struct reader_field customer[] = {F_PARENT("dataTableId"), F_NAME("displayName")};
static const struct reader_field application[] = {
    {"clientId", FIELD_TEXT, .offset = ENTITY(detail), .max = MAX_TEXT},
    F_NAME("name"),
    {"roles", FIELD_TEXTS, .max = MAX_TEXT},
    {"enabled", FIELD_BOOL, .offset = ENTITY(enabled)},
};
/* The removed kind is checked against the key's, for which it is kept as the name that a removal does not have. */
static const struct reader_field removed[] = {{"kind", FIELD_TEXT, .offset = ENTITY(name), .max = MAX_TEXT}};

#define ENTITY_PAYLOAD(record_name, fields_, kind_) \
    PAYLOAD(record_name, fields_, DIRECTORY_UPSERTED, kind_, offsetof(struct event, d.fields))

static const struct reader_payload directory_payloads[] = {
    ENTITY_PAYLOAD("UnitUpserted", named, ENTITY_UNIT),
    ENTITY_PAYLOAD("ServiceCategoryUpserted", named, ENTITY_SERVICE_CATEGORY),
    ENTITY_PAYLOAD("ServiceTypeUpserted", service_type, ENTITY_SERVICE_TYPE),
    ENTITY_PAYLOAD("InboxUpserted", inbox, ENTITY_INBOX),
    ENTITY_PAYLOAD("WorkstationUpserted", in_unit, ENTITY_WORKSTATION),
    ENTITY_PAYLOAD("WorkspaceUpserted", in_unit, ENTITY_WORKSPACE),
    ENTITY_PAYLOAD("UserUpserted", user, ENTITY_USER),
    ENTITY_PAYLOAD("CustomerUpserted", customer, ENTITY_CUSTOMER),
    ENTITY_PAYLOAD("ApplicationUpserted", application, ENTITY_APPLICATION),
    PAYLOAD("EntityRemoved", removed, DIRECTORY_REMOVED, 0, offsetof(struct event, d.fields)),
};

/* The records of the topics. */

#define AT(member) offsetof(struct event, member)
static const struct reader_field actor_fields[] = {
    {"kind", FIELD_TEXT, .offset = READER_NOWHERE, .max = MAX_TEXT},
    {"userId", FIELD_GUID, true, .offset = READER_NOWHERE},
};
static const struct reader_record actor_record = RECORD("Actor", actor_fields, 0);

#define F_EVENT_ID    INIT("eventId", FIELD_GUID, .offset = READER_NOWHERE)
#define F_OCCURRED_AT INIT("occurredAt", FIELD_TIME, .offset = READER_NOWHERE)
#define F_ACTOR       INIT("actor", FIELD_RECORD, true, .record = &actor_record)
#define F_PAYLOAD     INIT("payload", FIELD_PAYLOAD)

static const struct reader_field case_event_fields[] = {
    F_EVENT_ID,
    {"organizationId", FIELD_GUID, .offset = AT(c.organization_id)},
    {"caseId", FIELD_GUID, .offset = AT(c.case_id)},
    {"sequence", FIELD_SEQUENCE, .offset = AT(c.sequence)},
    F_OCCURRED_AT,
    F_ACTOR,
    F_PAYLOAD,
};
static const struct reader_field agent_event_fields[] = {
    F_EVENT_ID,
    {"organizationId", FIELD_GUID, .offset = AT(a.organization_id)},
    {"userId", FIELD_GUID, .offset = AT(a.user_id)},
    {"sequence", FIELD_SEQUENCE, .offset = AT(a.sequence)},
    F_OCCURRED_AT,
    F_ACTOR,
    F_PAYLOAD,
};
static const struct reader_field directory_event_fields[] = {
    F_EVENT_ID,
    {"organizationId", FIELD_GUID, .offset = AT(d.organization_id)},
    {"entityId", FIELD_GUID, .offset = AT(d.entity_id)},
    {"version", FIELD_SEQUENCE, .offset = AT(d.version)},
    F_OCCURRED_AT,
    F_PAYLOAD,
};
static const struct reader_record case_event_record = RECORD("CaseEvent", case_event_fields, 0);
static const struct reader_record agent_event_record = RECORD("AgentEvent", agent_event_fields, 0);
static const struct reader_record directory_event_record = RECORD("DirectoryEvent", directory_event_fields, 0);

static const struct reader_field organization_fields[] = {{"organizationId", FIELD_GUID}};
const struct reader_record reader_organization = RECORD("record", organization_fields, 0);

const struct reader_topic reader_topics[TOPIC_COUNT] = {
    [TOPIC_CASES] = {&case_event_record, case_payloads, ARRAY_LEN(case_payloads)},
    [TOPIC_AGENTS] = {&agent_event_record, agent_payloads, ARRAY_LEN(agent_payloads)},
    [TOPIC_DIRECTORY] = {&directory_event_record, directory_payloads, ARRAY_LEN(directory_payloads)},
};

const struct reader_payload *reader_payload_find(const struct reader_topic *topic, const char *name)
{
    for (size_t i = 0; i < topic->payload_count; i++)
        if (strcmp(topic->payloads[i].record->name, name) == 0)
            return &topic->payloads[i];
    return NULL;
}

const char *reader_event_name(enum topic topic, int type)
{
    for (size_t i = 0; i < reader_topics[topic].payload_count; i++)
        if (reader_topics[topic].payloads[i].type == type)
            return reader_topics[topic].payloads[i].record->name;
    return "unknown";
}

const struct reader_field *reader_field_find(const struct reader_record *record, const char *name)
{
    for (size_t i = 0; i < record->field_count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

size_t reader_field_size(enum field_type type)
{
    switch (type) {
    case FIELD_GUID:
        return sizeof(struct uuid);
    case FIELD_TEXT:
    case FIELD_MEETING:
        return sizeof(struct str);
    case FIELD_TIME:
    case FIELD_SEQUENCE:
        return sizeof(int64_t);
    case FIELD_INT:
        return sizeof(int32_t);
    case FIELD_RANK:
        return sizeof(float);
    case FIELD_BOOL:
        return sizeof(bool);
    case FIELD_RECORD:
    case FIELD_GUIDS:
    case FIELD_TEXTS:
    case FIELD_PAYLOAD:
        break;
    }
    return 0;
}

/* The record of that name in this one or in one of its fields. */
static const struct reader_record *find_in(const struct reader_record *record, const char *name)
{
    if (strcmp(record->name, name) == 0)
        return record;
    for (size_t i = 0; i < record->field_count; i++) {
        const struct reader_record *inner = record->fields[i].record;
        const struct reader_record *found = inner != NULL ? find_in(inner, name) : NULL;
        if (found != NULL)
            return found;
    }
    return NULL;
}

static const struct reader_record *find_record(const char *name)
{
    for (size_t t = 0; t < TOPIC_COUNT; t++) {
        const struct reader_record *found = find_in(reader_topics[t].record, name);
        for (size_t i = 0; i < reader_topics[t].payload_count && found == NULL; i++)
            found = find_in(reader_topics[t].payloads[i].record, name);
        if (found != NULL)
            return found;
    }
    return NULL;
}

bool reader_knows_record(const char *name)
{
    return find_record(name) != NULL;
}

bool reader_knows_field(const char *record, const char *field)
{
    const struct reader_record *known = find_record(record);
    return known != NULL && reader_field_find(known, field) != NULL;
}
