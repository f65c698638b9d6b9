/*
 * Everything between two values is a constant fragment: `,"key":`. A fragment and the fixed-size value after it are
 * written directly into the buffer, after one reservation for both.
 */
#include "workers/fold/render.h"

#include "caseview/json.h"

static inline char *copy(char *at, struct str text)
{
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static inline void put_fragment(struct buf *out, struct str fragment)
{
    char *at = buf_reserve(out, fragment.len);
    if (at == NULL)
        return;
    copy(at, fragment);
    out->len += fragment.len;
}

/* Repeats a byte in all bytes of a machine word. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Not zero if any byte of the word is below U+0020, a quote or a backslash. */
static inline uint64_t must_escape(uint64_t word)
{
    uint64_t quote = word ^ EACH('"');
    uint64_t backslash = word ^ EACH('\\');
    uint64_t control = (word - EACH(0x20)) & ~word;
    return (control | ((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash)) & EACH(0x80);
}

/* True when the text needs no escaping. This is the common case, checked eight bytes at a time. */
static inline bool is_plain(struct str text)
{
    size_t at = 0;
    uint64_t word;
    for (; at + sizeof word <= text.len; at += sizeof word) {
        memcpy(&word, text.ptr + at, sizeof word);
        if (must_escape(word))
            return false;
    }
    word = EACH('x');
    for (; at < text.len; at++)
        word = word << 8 | (unsigned char)text.ptr[at];
    return !must_escape(word);
}

static inline void put_text(struct buf *out, struct str fragment, struct str text)
{
    if (text.ptr == NULL || !is_plain(text)) {
        put_fragment(out, fragment);
        json_quote(out, text);
        return;
    }
    size_t len = fragment.len + text.len + 2;
    char *at = buf_reserve(out, len);
    if (at == NULL)
        return;
    at = copy(at, fragment);
    *at++ = '"';
    at = copy(at, text);
    *at = '"';
    out->len += len;
}

/* The fragment ends with the opening quote. */
static inline void put_id(struct buf *out, struct str fragment, const struct uuid *id)
{
    char *at = buf_reserve(out, fragment.len + UUID_TEXT_LEN + 1);
    if (at == NULL)
        return;
    at = copy(at, fragment);
    uuid_format(id, at);
    at[UUID_TEXT_LEN] = '"';
    out->len += fragment.len + UUID_TEXT_LEN + 1;
}

static inline void put_time(struct buf *out, struct str fragment, int64_t us)
{
    put_fragment(out, fragment);
    json_time(out, us);
}

/* A text of an entity: from the directory if it knows the entity, even when null there, otherwise from the event. */
static struct str name_of(const struct entity_names *names, struct str from_event)
{
    return names != NULL ? names->name : from_event;
}

static void render_ticket(struct buf *out, const struct ticket *ticket)
{
    if (!ticket->present) {
        put_fragment(out, STR(",\"ticket\":null"));
        return;
    }
    put_text(out, STR(",\"ticket\":{\"prefix\":"), ticket->prefix);
    put_text(out, STR(",\"suffix\":"), ticket->suffix);
    put_fragment(out, STR(",\"number\":"));
    json_int(out, ticket->number);
    put_fragment(out, STR("}"));
}

static void render_user(struct buf *out, const struct user_ref *user, const struct entity_names *names)
{
    if (!user->present) {
        put_fragment(out, STR("null"));
        return;
    }
    put_id(out, STR("{\"userId\":\""), &user->id);
    put_text(out, STR(",\"displayName\":"), names != NULL ? names->name : user->display_name);
    put_text(out, STR(",\"initials\":"), names != NULL ? names->detail : user->initials);
    put_text(out, STR(",\"picture\":"), names != NULL ? names->picture : user->picture);
    put_fragment(out, STR("}"));
}

static void render_workstation(struct buf *out, const struct ref *workstation, const struct entity_names *names)
{
    if (!workstation->present) {
        put_fragment(out, STR(",\"workstationId\":null,\"workstationName\":null"));
        return;
    }
    put_id(out, STR(",\"workstationId\":\""), &workstation->id);
    put_text(out, STR(",\"workstationName\":"), name_of(names, workstation->name));
}

/* A record of another data table may have the same id; its name must not be used for this customer. */
static void render_customer(struct buf *out, const struct customer_ref *customer, const struct entity_names *names)
{
    if (!customer->present) {
        put_fragment(out, STR(",\"customer\":null"));
        return;
    }
    if (names != NULL && !uuid_eq(&names->data_table_id, &customer->data_table_id))
        names = NULL;
    put_id(out, STR(",\"customer\":{\"dataTableId\":\""), &customer->data_table_id);
    put_id(out, STR(",\"recordId\":\""), &customer->record_id);
    put_text(out, STR(",\"displayName\":"), name_of(names, customer->display_name));
    put_fragment(out, STR("}"));
}

static void render_dates(struct buf *out, const struct case_fields *fields)
{
    put_time(out, STR(",\"statusDate\":"), fields->status_date);
    put_time(out, STR(",\"referenceDate\":"), fields->reference_date);
    put_time(out, STR(",\"dateOpened\":"), fields->date_opened);
    if (fields->has_date_closed)
        put_time(out, STR(",\"dateClosed\":"), fields->date_closed);
    else
        put_fragment(out, STR(",\"dateClosed\":null"));
}

static void render_place(struct buf *out, const struct case_fields *fields,
                         const struct entity_names *const names[NAME_SLOT_COUNT])
{
    const struct entity_names *inbox = names[NAME_INBOX];
    put_id(out, STR(",\"unitId\":\""), &fields->unit.id);
    put_text(out, STR(",\"unitName\":"), name_of(names[NAME_UNIT], fields->unit.name));
    put_id(out, STR(",\"inboxId\":\""), &fields->inbox.id);
    put_text(out, STR(",\"inboxName\":"), name_of(inbox, fields->inbox.name));
    put_text(out, STR(",\"inboxColorCode\":"), inbox != NULL ? inbox->detail : fields->inbox.color_code);
}

/* Copies the value byte for byte: it is JSON already. */
static void render_meeting(struct buf *out, struct str meeting)
{
    put_fragment(out, STR(",\"onlineMeeting\":"));
    buf_str(out, meeting.ptr != NULL ? meeting : STR("null"));
}

void render_case(const struct uuid *case_id, const struct case_state *state,
                 const struct entity_names *const names[NAME_SLOT_COUNT], struct buf *out)
{
    const struct case_fields *fields = &state->fields;

    put_id(out, STR("{\"caseId\":\""), case_id);
    render_ticket(out, &fields->ticket);
    put_id(out, STR(",\"serviceCategoryId\":\""), &fields->service_category.id);
    put_text(out, STR(",\"serviceCategoryName\":"),
             name_of(names[NAME_SERVICE_CATEGORY], fields->service_category.name));
    put_id(out, STR(",\"serviceTypeId\":\""), &fields->service_type.id);
    put_text(out, STR(",\"serviceTypeName\":"), name_of(names[NAME_SERVICE_TYPE], fields->service_type.name));
    put_text(out, STR(",\"status\":"), fields->status);
    render_dates(out, fields);
    put_fragment(out, STR(",\"assignedTo\":"));
    render_user(out, &fields->assigned_to, names[NAME_ASSIGNED_TO]);
    put_fragment(out, STR(",\"lockedBy\":"));
    render_user(out, &fields->locked_by, names[NAME_LOCKED_BY]);
    put_text(out, STR(",\"channel\":"), fields->channel);
    put_fragment(out, STR(",\"rank\":"));
    json_float32(out, fields->rank);
    render_place(out, fields, names);
    put_time(out, STR(",\"caseTimestamp\":"), fields->case_timestamp);
    render_workstation(out, &fields->workstation, names[NAME_WORKSTATION]);
    render_customer(out, &fields->customer, names[NAME_CUSTOMER]);
    render_meeting(out, fields->online_meeting);
    put_fragment(out, fields->printed_ticket ? STR(",\"printedTicket\":true") : STR(",\"printedTicket\":false"));
    put_text(out, STR(",\"contactPhoneNumber\":"), fields->contact_phone_number);
    put_text(out, STR(",\"contactEmail\":"), fields->contact_email);
    put_text(out, STR(",\"entryMode\":"), fields->entry_mode);
    buf_str(out, STR(",\"fields\":null,\"tags\":null}")); /* also appends the buffer's terminating NUL */
}
