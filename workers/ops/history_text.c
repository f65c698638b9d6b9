#include "workers/ops/history_text.h"

#include "caseview/json.h"
#include "workers/source/reader_schema.h"

static const char *const group_names[GROUP_COUNT] = {
    [GROUP_STATUS] = "status",
    [GROUP_DATE_CLOSED] = "dateClosed",
    [GROUP_RANK] = "rank",
    [GROUP_TICKET] = "ticket",
    [GROUP_LOCK] = "lockedBy",
    [GROUP_PLACE] = "unit",
    [GROUP_ASSIGNED] = "assignedTo",
    [GROUP_CHANNEL] = "channel",
    [GROUP_CUSTOMER] = "customer",
    [GROUP_PHONE] = "contactPhoneNumber",
    [GROUP_EMAIL] = "contactEmail",
    [GROUP_PRINTED] = "printedTicket",
    [GROUP_MEETING] = "onlineMeeting",
    [GROUP_TIMESTAMP] = "caseTimestamp",
    [GROUP_REST] = "rest",
};

const char *event_type_name(const struct event *event)
{
    return reader_event_name(event->topic, event->topic == TOPIC_CASES ? (int)event->c.type : (int)event->a.type);
}

int64_t event_sequence(const struct event *event)
{
    return event->topic == TOPIC_CASES ? event->c.sequence : event->a.sequence;
}

const char *group_name(enum case_group group)
{
    assert(group < GROUP_COUNT);
    return group_names[group];
}

/* ---- JSON ---- */

/* Uses the view's code: printing a double would show more digits than the view. */
static void put_rank(struct json_writer *json, float rank)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 64);
    json_float32(&text, rank);
    json_put_raw(json, "rank", (struct str){text.data, text.len});
}

static void put_ref(struct json_writer *json, const char *key, const struct ref *ref)
{
    if (!ref->present) {
        json_put_null(json, key);
        return;
    }
    json_open_object(json, key);
    json_put_uuid(json, "id", &ref->id);
    json_put_str(json, "name", ref->name);
    json_close(json);
}

static void put_user(struct json_writer *json, const char *key, const struct user_ref *user)
{
    if (!user->present) {
        json_put_null(json, key);
        return;
    }
    json_open_object(json, key);
    json_put_uuid(json, "userId", &user->id);
    json_put_str(json, "displayName", user->display_name);
    json_put_str(json, "initials", user->initials);
    json_put_str(json, "picture", user->picture);
    json_close(json);
}

static void put_ticket(struct json_writer *json, const struct ticket *ticket)
{
    if (!ticket->present) {
        json_put_null(json, "ticket");
        return;
    }
    json_open_object(json, "ticket");
    json_put_str(json, "prefix", ticket->prefix);
    json_put_str(json, "suffix", ticket->suffix);
    json_put_int(json, "number", ticket->number);
    json_close(json);
}

static void put_customer(struct json_writer *json, const struct customer_ref *customer)
{
    if (!customer->present) {
        json_put_null(json, "customer");
        return;
    }
    json_open_object(json, "customer");
    json_put_uuid(json, "dataTableId", &customer->data_table_id);
    json_put_uuid(json, "recordId", &customer->record_id);
    json_put_str(json, "displayName", customer->display_name);
    json_close(json);
}

static void put_place(struct json_writer *json, const struct case_fields *fields)
{
    put_ref(json, "unit", &fields->unit);
    json_open_object(json, "inbox");
    json_put_uuid(json, "id", &fields->inbox.id);
    json_put_str(json, "name", fields->inbox.name);
    json_put_str(json, "colorCode", fields->inbox.color_code);
    json_close(json);
}

static void put_rest(struct json_writer *json, const struct case_fields *fields)
{
    put_ref(json, "serviceCategory", &fields->service_category);
    put_ref(json, "serviceType", &fields->service_type);
    json_put_time(json, "referenceDate", fields->reference_date);
    json_put_time(json, "dateOpened", fields->date_opened);
    json_put_str(json, "entryMode", fields->entry_mode);
}

static void put_fields(struct json_writer *json, const struct case_fields *fields, enum case_group group)
{
    switch (group) {
    case GROUP_STATUS:
        json_put_str(json, "status", fields->status);
        json_put_time(json, "statusDate", fields->status_date);
        return;
    case GROUP_DATE_CLOSED:
        if (fields->has_date_closed)
            json_put_time(json, "dateClosed", fields->date_closed);
        else
            json_put_null(json, "dateClosed");
        return;
    case GROUP_RANK:
        put_rank(json, fields->rank);
        return;
    case GROUP_TICKET:
        put_ticket(json, &fields->ticket);
        return;
    case GROUP_LOCK:
        put_user(json, "lockedBy", &fields->locked_by);
        put_ref(json, "workstation", &fields->workstation);
        return;
    case GROUP_PLACE:
        put_place(json, fields);
        return;
    case GROUP_ASSIGNED:
        put_user(json, "assignedTo", &fields->assigned_to);
        return;
    case GROUP_CHANNEL:
        json_put_str(json, "channel", fields->channel);
        return;
    case GROUP_CUSTOMER:
        put_customer(json, &fields->customer);
        return;
    case GROUP_PHONE:
        json_put_str(json, "contactPhoneNumber", fields->contact_phone_number);
        return;
    case GROUP_EMAIL:
        json_put_str(json, "contactEmail", fields->contact_email);
        return;
    case GROUP_PRINTED:
        json_put_bool(json, "printedTicket", fields->printed_ticket);
        return;
    case GROUP_MEETING:
        json_put_raw(json, "onlineMeeting", fields->online_meeting.ptr != NULL ? fields->online_meeting : STR("null"));
        return;
    case GROUP_TIMESTAMP:
        json_put_time(json, "caseTimestamp", fields->case_timestamp);
        return;
    case GROUP_REST:
        put_rest(json, fields);
        return;
    case GROUP_COUNT:
        return;
    }
}

void group_put(const struct case_state *state, enum case_group group, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_object(&json, NULL);
    if (state->group_sequence[group])
        put_fields(&json, &state->fields, group);
    json_close(&json);
}

void sequence_put_text(const struct sequence *sequence, struct buf *out)
{
    buf_printf(out, "highest %" PRId64 ", snapshot %" PRId64, sequence->highest, sequence->base);
    if (sequence->many_up_to)
        buf_printf(out, ", many missing up to %" PRId64, sequence->many_up_to);
    for (unsigned i = 0; i < sequence->gap_count; i++) {
        const struct sequence_range *gap = &sequence->gaps[i];
        buf_printf(out, "%s%" PRId64, i == 0 ? ", missing " : " ", gap->first);
        if (gap->last != gap->first)
            buf_printf(out, "-%" PRId64, gap->last);
    }
}

void agent_unit_put(const struct agent_unit *unit, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_object(&json, NULL);
    json_put_int(&json, "set", unit->set_sequence);
    json_put_int(&json, "revoked", unit->revoked_sequence);
    json_open_array(&json, "workspaceIds");
    for (size_t i = 0; i < unit->workspace_count; i++)
        json_put_uuid(&json, NULL, &unit->workspace_ids[i]);
    json_close(&json);
    json_close(&json);
}

void groups_put(uint32_t groups, struct buf *out)
{
    bool first = true;
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (!(groups & GROUP_BIT(group)))
            continue;
        buf_puts(out, first ? "" : ", ");
        buf_puts(out, group_names[group]);
        first = false;
    }
}
