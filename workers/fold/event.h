/*
 * event.h: decoded events, the interface between source and fold. Plain data: every struct str points into the arena
 * that the decoder was given. Ids are binary, texts are valid UTF-8 without U+0000, times are within years 1–9999, rank
 * is finite, sequence and version are ≥ 1, onlineMeeting is a JSON object trimmed to its braces.
 */
#ifndef CASEVIEW_FOLD_EVENT_H
#define CASEVIEW_FOLD_EVENT_H

#include "caseview/uuid.h"
#include "workers/fold/record.h"

struct ref {
    bool present;
    struct uuid id;
    struct str name; /* may be null */
};

struct inbox_ref {
    struct uuid id;
    struct str name;
    struct str color_code;
};

struct user_ref {
    bool present;
    struct uuid id;
    struct str display_name;
    struct str initials;
    struct str picture;
};

struct customer_ref {
    bool present;
    struct uuid data_table_id;
    struct uuid record_id;
    struct str display_name;
};

struct ticket {
    bool present;
    struct str prefix;
    struct str suffix;
    int32_t number;
};

/* The groups of a case's fields. The state keeps for each the sequence that set it (contract, section 4). */
enum case_group {
    GROUP_STATUS,      /* status, status_date */
    GROUP_DATE_CLOSED, /* date_closed */
    GROUP_RANK,
    GROUP_TICKET,
    GROUP_LOCK,  /* locked_by, workstation */
    GROUP_PLACE, /* unit, inbox */
    GROUP_ASSIGNED,
    GROUP_CHANNEL,
    GROUP_CUSTOMER,
    GROUP_PHONE,
    GROUP_EMAIL,
    GROUP_PRINTED,
    GROUP_MEETING,
    GROUP_TIMESTAMP, /* case_timestamp */
    GROUP_REST,      /* service category and type, reference_date, date_opened, entry_mode; only snapshots set it */
    GROUP_COUNT,
};

#define GROUP_BIT(group) (1u << (group))
#define GROUP_ALL        ((1u << GROUP_COUNT) - 1)

/* All fields of a case, in the state and in an event. In an event only the groups that its type sets are valid. */
struct case_fields {
    struct str status;
    int64_t status_date;
    bool has_date_closed;
    int64_t date_closed;
    float rank;
    struct ticket ticket;
    struct user_ref locked_by;
    struct ref workstation;
    struct ref unit; /* always present */
    struct inbox_ref inbox;
    struct user_ref assigned_to;
    struct str channel;
    struct customer_ref customer;
    struct str contact_phone_number;
    struct str contact_email;
    bool printed_ticket;
    struct str online_meeting; /* JSON object, byte for byte, or null */
    int64_t case_timestamp;
    struct ref service_category; /* always present */
    struct ref service_type;     /* always present */
    int64_t reference_date;
    int64_t date_opened;
    struct str entry_mode;
};

enum case_event_type {
    CASE_UNKNOWN_TYPE, /* a payload that this version does not know: counts as seen, without effect */
    CASE_QUEUED,
    CASE_APPOINTMENT_BOOKED,
    CASE_APPOINTMENT_CHECKED_IN,
    CASE_APPOINTMENT_CANCELLED,
    CASE_QUEUE_ABANDONED,
    CASE_STATUS_CHANGED,
    CASE_SERVICE_STARTED,
    CASE_RETURNED_TO_QUEUE,
    CASE_MOVED,
    CASE_RESOLVED,
    CASE_REOPENED,
    CASE_CLOSED,
    CASE_POSITION_CHANGED,
    CASE_USER_ASSIGNED,
    CASE_USER_UNASSIGNED,
    CASE_UPDATED,
    CASE_TICKET_PRINTED,
    CASE_ONLINE_MEETING_SET,
    CASE_EVENT_TYPE_COUNT,
};

struct case_event {
    enum case_event_type type;
    struct uuid organization_id;
    struct uuid case_id;
    int64_t sequence;
    /*
     * The optional groups that the payload contains: GROUP_TICKET of AppointmentCheckedIn; GROUP_CHANNEL, _CUSTOMER,
     * _PHONE and _EMAIL of CaseUpdated (a Set… record with a null value counts too). Otherwise 0.
     */
    uint32_t given;
    struct case_fields fields;
};

enum agent_event_type {
    AGENT_UNKNOWN_TYPE,
    AGENT_CURRENT_UNIT_SELECTED,
    AGENT_CURRENT_UNIT_CLEARED,
    AGENT_WORKSPACES_SELECTED,
    AGENT_UNIT_ACCESS_REVOKED,
    AGENT_EVENT_TYPE_COUNT,
};

struct agent_event {
    enum agent_event_type type;
    struct uuid organization_id;
    struct uuid user_id;
    int64_t sequence;
    struct uuid unit_id;              /* all but Cleared */
    const struct uuid *workspace_ids; /* WorkspacesSelected */
    size_t workspace_count;
};

/* Kinds of directory entities; the numbers are stored. */
enum entity_kind {
    ENTITY_UNIT = 1,
    ENTITY_SERVICE_CATEGORY = 2,
    ENTITY_SERVICE_TYPE = 3,
    ENTITY_INBOX = 4,
    ENTITY_WORKSTATION = 5,
    ENTITY_WORKSPACE = 6,
    ENTITY_USER = 7,
    ENTITY_CUSTOMER = 8,
    ENTITY_APPLICATION = 9,
};

/* "unit", "service-category" … as in keys; NULL for an invalid number. */
const char *entity_kind_name(enum entity_kind kind);
/* False when the text names no kind. */
bool entity_kind_parse(struct str text, enum entity_kind *out_kind) CV_MUST_CHECK;

enum directory_event_type {
    DIRECTORY_UNKNOWN_TYPE,
    DIRECTORY_UPSERTED,
    DIRECTORY_REMOVED,
    DIRECTORY_FORGOTTEN, /* the record's value is null: only the key is known */
};

/* The texts and ids of an entity; each names the kinds that use it. */
struct entity_fields {
    struct str name;    /* all; displayName of users and customers */
    struct str detail;  /* inbox: colorCode; user: initials; application: clientId */
    struct str picture; /* user */
    bool has_parent;
    struct uuid
        parent_id; /* service type: serviceCategoryId; inbox, workstation, workspace: unitId; customer: dataTableId */
    const struct str *roles; /* application */
    size_t role_count;
    bool enabled; /* application */
};

struct directory_event {
    enum directory_event_type type;
    enum entity_kind kind;
    struct uuid organization_id;
    struct uuid entity_id;
    int64_t version;             /* 0 for FORGOTTEN */
    struct entity_fields fields; /* UPSERTED only */
};

struct event {
    enum topic topic; /* selects the member */
    union {
        struct case_event c;
        struct agent_event a;
        struct directory_event d;
    };
};

const struct uuid *event_organization(const struct event *event);

/* The effect of folding an event. */
enum fold_outcome {
    FOLD_APPLIED,      /* seen for the first time (it may still have lost to a greater sequence in every group) */
    FOLD_DUPLICATE,    /* its sequence number was seen before; directory: stale version */
    FOLD_UNKNOWN_TYPE, /* counts as seen, without effect */
    FOLD_OVER,         /* the case is over: without effect */
    FOLD_KEY_MISMATCH, /* belongs to another organization: park it; the state is unchanged */
};

#endif
