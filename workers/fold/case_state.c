/*
 * The stored form of a case: version, flags, organization, sequence, then for each group the sequence number that set
 * it and, if it was ever set, its fields. Ids and times have a fixed size; everything else is a varint or a text.
 */
#include "workers/fold/case.h"

#include <math.h>

#define STORED_VERSION 1

/* 0001-01-01 … 9999-12-31T23:59:59.999999Z in microseconds: the range of events and of json_time(). */
#define TIME_MIN_US INT64_C(-62135596800000000)
#define TIME_MAX_US INT64_C(253402300799999999)

enum stored_flag {
    STORED_OVER = 0x01, /* nothing follows the organization */
    STORED_DATE_CLOSED = 0x02,
    STORED_TICKET = 0x04,
    STORED_LOCKED_BY = 0x08,
    STORED_WORKSTATION = 0x10,
    STORED_ASSIGNED_TO = 0x20,
    STORED_CUSTOMER = 0x40,
    STORED_PRINTED = 0x80,
};

/* Upper bound for everything of fixed size: 15 group sequences, 9 ids, 5 times, the lengths of 20 texts, the head. */
#define STORED_FIXED_MAX (32 + GROUP_COUNT * BLOB_VARINT_MAX + 9 * 16 + 6 * 8 + 20 * BLOB_VARINT_MAX)

static size_t texts_len(const struct case_fields *fields)
{
    return fields->status.len + fields->ticket.prefix.len + fields->ticket.suffix.len +
           fields->locked_by.display_name.len + fields->locked_by.initials.len + fields->locked_by.picture.len +
           fields->workstation.name.len + fields->unit.name.len + fields->inbox.name.len +
           fields->inbox.color_code.len + fields->assigned_to.display_name.len + fields->assigned_to.initials.len +
           fields->assigned_to.picture.len + fields->channel.len + fields->customer.display_name.len +
           fields->contact_phone_number.len + fields->contact_email.len + fields->online_meeting.len +
           fields->service_category.name.len + fields->service_type.name.len + fields->entry_mode.len;
}

static unsigned flags_of(const struct case_fields *fields)
{
    return (fields->has_date_closed ? STORED_DATE_CLOSED : 0) | (fields->ticket.present ? STORED_TICKET : 0) |
           (fields->locked_by.present ? STORED_LOCKED_BY : 0) | (fields->workstation.present ? STORED_WORKSTATION : 0) |
           (fields->assigned_to.present ? STORED_ASSIGNED_TO : 0) | (fields->customer.present ? STORED_CUSTOMER : 0) |
           (fields->printed_ticket ? STORED_PRINTED : 0);
}

static char *put_ref(char *at, const struct ref *ref)
{
    at = blob_put_uuid(at, &ref->id);
    return blob_put_text(at, ref->name);
}

static char *put_user(char *at, const struct user_ref *user)
{
    at = blob_put_uuid(at, &user->id);
    at = blob_put_text(at, user->display_name);
    at = blob_put_text(at, user->initials);
    return blob_put_text(at, user->picture);
}

static char *put_ticket(char *at, const struct ticket *ticket)
{
    at = blob_put_text(at, ticket->prefix);
    at = blob_put_text(at, ticket->suffix);
    return blob_put_u32(at, (uint32_t)ticket->number);
}

static char *put_place(char *at, const struct case_fields *fields)
{
    at = put_ref(at, &fields->unit);
    at = blob_put_uuid(at, &fields->inbox.id);
    at = blob_put_text(at, fields->inbox.name);
    return blob_put_text(at, fields->inbox.color_code);
}

static char *put_customer(char *at, const struct customer_ref *customer)
{
    at = blob_put_uuid(at, &customer->data_table_id);
    at = blob_put_uuid(at, &customer->record_id);
    return blob_put_text(at, customer->display_name);
}

static char *put_rest(char *at, const struct case_fields *fields)
{
    at = put_ref(at, &fields->service_category);
    at = put_ref(at, &fields->service_type);
    at = blob_put_i64(at, fields->reference_date);
    at = blob_put_i64(at, fields->date_opened);
    return blob_put_text(at, fields->entry_mode);
}

static char *put_rank(char *at, float rank)
{
    uint32_t bits;
    memcpy(&bits, &rank, sizeof bits);
    return blob_put_u32(at, bits);
}

static char *put_fields(char *at, const struct case_fields *fields, const int64_t set[GROUP_COUNT])
{
    if (set[GROUP_STATUS]) {
        at = blob_put_text(at, fields->status);
        at = blob_put_i64(at, fields->status_date);
    }
    if (fields->has_date_closed)
        at = blob_put_i64(at, fields->date_closed);
    if (set[GROUP_RANK])
        at = put_rank(at, fields->rank);
    if (fields->ticket.present)
        at = put_ticket(at, &fields->ticket);
    if (fields->locked_by.present)
        at = put_user(at, &fields->locked_by);
    if (fields->workstation.present)
        at = put_ref(at, &fields->workstation);
    if (set[GROUP_PLACE])
        at = put_place(at, fields);
    if (fields->assigned_to.present)
        at = put_user(at, &fields->assigned_to);
    if (set[GROUP_CHANNEL])
        at = blob_put_text(at, fields->channel);
    if (fields->customer.present)
        at = put_customer(at, &fields->customer);
    if (set[GROUP_PHONE])
        at = blob_put_text(at, fields->contact_phone_number);
    if (set[GROUP_EMAIL])
        at = blob_put_text(at, fields->contact_email);
    if (set[GROUP_MEETING])
        at = blob_put_text(at, fields->online_meeting);
    if (set[GROUP_TIMESTAMP])
        at = blob_put_i64(at, fields->case_timestamp);
    if (set[GROUP_REST])
        at = put_rest(at, fields);
    return at;
}

void case_store(const struct case_state *state, struct buf *out)
{
    const struct sequence *sequence = &state->sequence;
    size_t max = STORED_FIXED_MAX + sequence_stored_max(sequence) + texts_len(&state->fields);
    char *start = buf_reserve(out, max);
    if (start == NULL)
        return;
    char *at = blob_put_byte(start, STORED_VERSION);
    at = blob_put_byte(at, state->over ? STORED_OVER : flags_of(&state->fields));
    at = blob_put_uuid(at, &state->organization_id);
    if (!state->over) {
        at = sequence_put(sequence, at);
        for (unsigned group = 0; group < GROUP_COUNT; group++)
            at = blob_put_sequence(at, sequence->highest, state->group_sequence[group]);
        at = put_fields(at, &state->fields, state->group_sequence);
    }
    *at = '\0';
    out->len += (size_t)(at - start);
}

static struct ref get_ref(struct blob_reader *reader)
{
    struct ref ref = {.present = true};
    ref.id = blob_get_uuid(reader);
    ref.name = blob_get_text(reader);
    return ref;
}

static struct user_ref get_user(struct blob_reader *reader)
{
    struct user_ref user = {.present = true};
    user.id = blob_get_uuid(reader);
    user.display_name = blob_get_text(reader);
    user.initials = blob_get_text(reader);
    user.picture = blob_get_text(reader);
    return user;
}

static struct ticket get_ticket(struct blob_reader *reader)
{
    struct ticket ticket = {.present = true};
    ticket.prefix = blob_get_text(reader);
    ticket.suffix = blob_get_text(reader);
    ticket.number = (int32_t)blob_get_u32(reader);
    return ticket;
}

static struct customer_ref get_customer(struct blob_reader *reader)
{
    struct customer_ref customer = {.present = true};
    customer.data_table_id = blob_get_uuid(reader);
    customer.record_id = blob_get_uuid(reader);
    customer.display_name = blob_get_text(reader);
    return customer;
}

static int64_t get_time(struct blob_reader *reader)
{
    int64_t time = blob_get_i64(reader);
    if (time < TIME_MIN_US || time > TIME_MAX_US)
        blob_bad(reader);
    return time;
}

static float get_rank(struct blob_reader *reader)
{
    uint32_t bits = blob_get_u32(reader);
    float rank;
    memcpy(&rank, &bits, sizeof rank);
    if (!isfinite(rank))
        blob_bad(reader);
    return rank;
}

static void get_place(struct blob_reader *reader, struct case_fields *fields)
{
    fields->unit = get_ref(reader);
    fields->inbox.id = blob_get_uuid(reader);
    fields->inbox.name = blob_get_text(reader);
    fields->inbox.color_code = blob_get_text(reader);
}

static void get_rest(struct blob_reader *reader, struct case_fields *fields)
{
    fields->service_category = get_ref(reader);
    fields->service_type = get_ref(reader);
    fields->reference_date = get_time(reader);
    fields->date_opened = get_time(reader);
    fields->entry_mode = blob_get_text(reader);
}

/* Reads what put_fields() wrote, in the same order. */
static void get_fields(struct blob_reader *reader, unsigned flags, const int64_t set[GROUP_COUNT],
                       struct case_fields *fields)
{
    if (set[GROUP_STATUS]) {
        fields->status = blob_get_text(reader);
        fields->status_date = get_time(reader);
    }
    fields->has_date_closed = flags & STORED_DATE_CLOSED;
    if (fields->has_date_closed)
        fields->date_closed = get_time(reader);
    if (set[GROUP_RANK])
        fields->rank = get_rank(reader);
    if (flags & STORED_TICKET)
        fields->ticket = get_ticket(reader);
    if (flags & STORED_LOCKED_BY)
        fields->locked_by = get_user(reader);
    if (flags & STORED_WORKSTATION)
        fields->workstation = get_ref(reader);
    if (set[GROUP_PLACE])
        get_place(reader, fields);
    if (flags & STORED_ASSIGNED_TO)
        fields->assigned_to = get_user(reader);
    if (set[GROUP_CHANNEL])
        fields->channel = blob_get_text(reader);
    if (flags & STORED_CUSTOMER)
        fields->customer = get_customer(reader);
    if (set[GROUP_PHONE])
        fields->contact_phone_number = blob_get_text(reader);
    if (set[GROUP_EMAIL])
        fields->contact_email = blob_get_text(reader);
    if (set[GROUP_MEETING])
        fields->online_meeting = blob_get_text(reader);
    if (set[GROUP_TIMESTAMP])
        fields->case_timestamp = get_time(reader);
    if (set[GROUP_REST])
        get_rest(reader, fields);
    fields->printed_ticket = flags & STORED_PRINTED;
}

/* A value is only valid if its group was set. */
static bool flags_fit(unsigned flags, const int64_t set[GROUP_COUNT])
{
    return (set[GROUP_DATE_CLOSED] || !(flags & STORED_DATE_CLOSED)) &&
           (set[GROUP_TICKET] || !(flags & STORED_TICKET)) &&
           (set[GROUP_LOCK] || !(flags & (STORED_LOCKED_BY | STORED_WORKSTATION))) &&
           (set[GROUP_ASSIGNED] || !(flags & STORED_ASSIGNED_TO)) &&
           (set[GROUP_CUSTOMER] || !(flags & STORED_CUSTOMER)) && (set[GROUP_PRINTED] || !(flags & STORED_PRINTED));
}

bool case_load(struct str blob, struct case_state *out_state)
{
    struct blob_reader reader = blob_reader(blob);
    if (blob_get_byte(&reader) != STORED_VERSION)
        return false;
    unsigned flags = blob_get_byte(&reader);
    struct uuid organization_id = blob_get_uuid(&reader);
    case_init(out_state, &organization_id);
    if (flags & STORED_OVER) {
        out_state->over = true;
        return flags == STORED_OVER && blob_finished(&reader);
    }
    sequence_get(&reader, &out_state->sequence);
    const struct sequence *sequence = &out_state->sequence;
    out_state->has_snapshot = sequence->base > 0;
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        int64_t set = blob_get_sequence(&reader, sequence->highest);
        if (set < sequence->base) /* the snapshot at base set every group */
            blob_bad(&reader);
        out_state->group_sequence[group] = set;
    }
    if (!reader.ok || !flags_fit(flags, out_state->group_sequence))
        return false;
    get_fields(&reader, flags, out_state->group_sequence, &out_state->fields);
    return blob_finished(&reader);
}
