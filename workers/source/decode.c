#include "workers/source/decode.h"

#include "workers/source/avro_decoder.h"
#include "workers/source/body_input.h"
#include "workers/source/plan.h"
#include "workers/source/value_skip.h"

/* Single-object encoding: marker and fingerprint. The registry's framing: a zero byte and the id. */
#define SINGLE_OBJECT_HEADER 10
#define REGISTRY_HEADER      5

/* A record's body: which type its bytes are of, and where they begin. */
struct body {
    const struct schema_plan *plan;
    const struct plan_branch *branch;
    struct str bytes;
};

static enum decode_outcome park(struct decode_result *out, enum park_reason reason, const char *text, struct err *err)
{
    out->reason = reason;
    err_set(err, "%s", text);
    return DECODE_PARK;
}

/* The body. */

static uint64_t little_endian_64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value); /* little-endian, as this machine is */
    return value;
}

static uint32_t big_endian_32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* DECODE_EVENT: out_body has the plan, and the bytes after the framing. */
static enum decode_outcome read_framing(struct schemas *schemas, struct str value, struct body *out_body,
                                        struct decode_result *out, struct err *err)
{
    const uint8_t *p = (const uint8_t *)value.ptr;
    size_t header;
    enum cv_status status;
    if (value.len >= SINGLE_OBJECT_HEADER && p[0] == 0xc3 && p[1] == 0x01) {
        header = SINGLE_OBJECT_HEADER;
        status = schemas_by_fingerprint(schemas, little_endian_64(p + 2), &out_body->plan, err);
    } else if (value.len >= REGISTRY_HEADER && p[0] == 0) {
        header = REGISTRY_HEADER;
        status = schemas_by_id(schemas, big_endian_32(p + 1), &out_body->plan, err);
    } else {
        return park(out, PARK_NOT_AVRO, "the value begins with neither of Avro's framings", err);
    }
    out_body->bytes = (struct str){value.ptr + header, value.len - header};
    if (status == CV_RETRY)
        return DECODE_WAIT;
    if (status == CV_OK)
        return DECODE_EVENT;
    out->reason = PARK_UNKNOWN_SCHEMA;
    return DECODE_PARK;
}

static enum decode_outcome choose_branch(struct body *body, struct decode_result *out, struct err *err)
{
    size_t branch = 0;
    if (body->plan->is_union) {
        const uint8_t *p = (const uint8_t *)body->bytes.ptr;
        struct body_input in = {.next = p, .end = p + body->bytes.len};
        if (!input_index(&in, body->plan->branch_count, &branch))
            return park(out, PARK_NOT_AVRO, in.broken, err);
        body->bytes = (struct str){(const char *)in.next, input_left(&in)};
    }
    body->branch = &body->plan->branches[branch];
    return DECODE_EVENT;
}

static enum decode_outcome open_body(struct schemas *schemas, const struct record *record, struct body *out_body,
                                     struct decode_result *out, struct err *err)
{
    enum decode_outcome outcome = read_framing(schemas, record->value, out_body, out, err);
    return outcome == DECODE_EVENT ? choose_branch(out_body, out, err) : outcome;
}

static void set_organization(struct decode_result *out, const struct uuid *organization_id)
{
    out->has_organization = true;
    out->organization_id = *organization_id;
}

/* For a parked record: decodes the organization of the body, even if other values are invalid. */
static void find_organization(const struct body *body, struct decode_result *out)
{
    struct avro_decoder decoder;
    struct uuid organization_id;
    if (body->branch->organization != NULL &&
        avro_decoder_run(&decoder, body->branch->organization, body->bytes, &organization_id, NULL) == CV_OK)
        set_organization(out, &organization_id);
}

/* Skips the body of a branch that is not the topic's record. */
static enum decode_outcome skip_body(const struct body *body, struct decode_result *out, struct err *err)
{
    struct avro_decoder decoder;
    if (avro_decoder_run(&decoder, body->branch->ignored, body->bytes, NULL, err) == CV_OK)
        return DECODE_SKIP;
    out->reason = decoder.reason;
    return DECODE_PARK;
}

/* Keys. */

/* kind:organization:entity. kind 0: one that this reader does not know. */
struct directory_key {
    struct str kind_text;
    enum entity_kind kind;
    bool has_organization;
    struct uuid organization_id;
    struct uuid entity_id;
};

/* NULL: out is filled. Otherwise the fault of the key, and out_reason for a record without a body. */
static const char *parse_directory_key(struct str key, struct directory_key *out, enum park_reason *out_reason)
{
    const char *end = key.ptr + key.len;
    const char *first = memchr(key.ptr, ':', key.len);
    const char *second = first != NULL ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    out->has_organization = false;
    *out_reason = PARK_KEY_MISMATCH;
    if (second == NULL)
        return "the key is not kind:organizationId:entityId";
    out->kind_text = (struct str){key.ptr, (size_t)(first - key.ptr)};
    if (!entity_kind_parse(out->kind_text, &out->kind))
        out->kind = 0;
    *out_reason = PARK_BAD_GUID;
    if (!uuid_parse((struct str){first + 1, (size_t)(second - first - 1)}, &out->organization_id))
        return "the key's organization is not a GUID";
    out->has_organization = true;
    if (!uuid_parse((struct str){second + 1, (size_t)(end - second - 1)}, &out->entity_id))
        return "the key's entity is not a GUID";
    return NULL;
}

/* A null value forgets the entity. For an unknown kind there is nothing to forget. */
static enum decode_outcome forget(struct str key, struct decode_result *out, struct err *err)
{
    struct directory_key parsed;
    enum park_reason reason;
    const char *wrong = parse_directory_key(key, &parsed, &reason);
    if (parsed.has_organization)
        set_organization(out, &parsed.organization_id);
    if (wrong != NULL)
        return park(out, reason, wrong, err);
    out->event.topic = TOPIC_DIRECTORY;
    out->event.d = (struct directory_event){
        .type = parsed.kind ? DIRECTORY_FORGOTTEN : DIRECTORY_UNKNOWN_TYPE,
        .kind = parsed.kind,
        .organization_id = parsed.organization_id,
        .entity_id = parsed.entity_id,
    };
    return DECODE_EVENT;
}

/* Each returns NULL, or how the key differs from the body. */

static const char *check_guid_key(struct str key, const struct uuid *id, const char *mismatch)
{
    struct uuid own;
    return uuid_parse(key, &own) && uuid_eq(&own, id) ? NULL : mismatch;
}

static const char *check_directory_key(struct str key, struct directory_event *event,
                                       const struct reader_payload *payload)
{
    struct directory_key own;
    enum park_reason reason;
    const char *wrong = parse_directory_key(key, &own, &reason);
    if (wrong != NULL)
        return wrong;
    if (!uuid_eq(&own.organization_id, &event->organization_id))
        return "the key names another organizationId";
    if (!uuid_eq(&own.entity_id, &event->entity_id))
        return "the key names another entityId";
    if (payload != NULL && payload->kind != 0 && payload->kind != own.kind)
        return "the payload is not of the key's kind";
    if (payload != NULL && payload->kind == 0 && !str_eq(event->fields.name, own.kind_text))
        return "the removed kind is not the key's";
    event->kind = own.kind;
    return NULL;
}

static const char *check_key(struct str key, struct event *event, const struct reader_payload *payload)
{
    switch (event->topic) {
    case TOPIC_CASES:
        return check_guid_key(key, &event->c.case_id, "the key is not the caseId");
    case TOPIC_AGENTS:
        return check_guid_key(key, &event->a.user_id, "the key is not the userId");
    case TOPIC_DIRECTORY:
        return check_directory_key(key, &event->d, payload);
    case TOPIC_COUNT:
        break;
    }
    return NULL;
}

/* The event. */

/* Initialises what decoding does not set. Fields of a case event are cleared per payload, because they are many. */
static void clear_event(struct event *event, enum topic topic)
{
    event->topic = topic;
    switch (topic) {
    case TOPIC_CASES:
        event->c.given = 0;
        break;
    case TOPIC_AGENTS:
        event->a = (struct agent_event){0};
        break;
    case TOPIC_DIRECTORY:
        event->d = (struct directory_event){0};
        break;
    case TOPIC_COUNT:
        break;
    }
}

/* The event's type is the payload's; a removal of a kind that the reader does not know is of no known type either. */
static void set_type(struct event *event, const struct reader_payload *payload)
{
    int type = payload != NULL ? payload->type : 0;
    switch (event->topic) {
    case TOPIC_CASES:
        event->c.type = (enum case_event_type)type;
        break;
    case TOPIC_AGENTS:
        event->a.type = (enum agent_event_type)type;
        break;
    case TOPIC_DIRECTORY:
        event->d.type = event->d.kind ? (enum directory_event_type)type : DIRECTORY_UNKNOWN_TYPE;
        if (event->d.type == DIRECTORY_REMOVED)
            event->d.fields.name = STR_NULL; /* the removed kind, which is the key's */
        break;
    case TOPIC_COUNT:
        break;
    }
}

static enum decode_outcome decode_body(const struct body *body, const struct record *record, struct arena *arena,
                                       struct decode_result *out, struct err *err)
{
    const struct plan_branch *branch = body->branch;
    if (branch->topic != record->topic) {
        out->reason = PARK_WRONG_TYPE;
        err_set(err, "the record is %.200s, not %s", branch->name, reader_topics[record->topic].record->name);
        return DECODE_PARK;
    }
    if (branch->incompatible != NULL)
        return park(out, PARK_WRONG_TYPE, branch->incompatible, err);
    struct avro_decoder decoder;
    clear_event(&out->event, record->topic);
    if (avro_decoder_run(&decoder, branch->root, body->bytes, &out->event, err) != CV_OK) {
        out->reason = decoder.reason;
        return DECODE_PARK;
    }
    const char *mismatch = check_key(record->key, &out->event, decoder.payload);
    if (mismatch != NULL)
        return park(out, PARK_KEY_MISMATCH, mismatch, err);
    set_type(&out->event, decoder.payload);
    if (!avro_decoder_keep_list(&decoder, arena, &out->event))
        return park(out, PARK_TOO_LARGE, "the list of an event does not fit into the memory for it", err);
    set_organization(out, event_organization(&out->event));
    return DECODE_EVENT;
}

static enum decode_outcome decode_value(struct schemas *schemas, const struct record *record, struct arena *arena,
                                        struct decode_result *out, struct err *err)
{
    struct body body;
    enum decode_outcome outcome = open_body(schemas, record, &body, out, err);
    if (outcome != DECODE_EVENT)
        return outcome;
    if (body.plan->is_union && body.branch->topic != record->topic)
        return skip_body(&body, out, err);
    outcome = decode_body(&body, record, arena, out, err);
    if (outcome == DECODE_PARK)
        find_organization(&body, out);
    return outcome;
}

/* Checks the record without decoding its value. NULL: no fault. */
static const char *unfit(const struct record *record, enum park_reason *out_reason)
{
    if (record->value.ptr == NULL && record->topic != TOPIC_DIRECTORY) {
        *out_reason = PARK_NO_VALUE;
        return "there is no value";
    }
    if (record->key.ptr == NULL || record->key.len == 0) {
        *out_reason = PARK_MISSING_KEY;
        return "there is no key";
    }
    if (record->key.len + record->value.len > RECORD_MAX_BYTES) {
        *out_reason = PARK_TOO_LARGE;
        return "key and value are larger than 1 MiB";
    }
    return NULL;
}

/* Parks the record with the organization of its body, unless the body is of a type to skip. */
static enum decode_outcome park_unfit(struct schemas *schemas, const struct record *record, const char *wrong,
                                      struct decode_result *out, struct err *err)
{
    enum park_reason reason = out->reason;
    struct body body;
    if (record->value.ptr != NULL) {
        enum decode_outcome outcome = open_body(schemas, record, &body, out, err);
        if (outcome == DECODE_WAIT)
            return outcome; /* the organization must not depend on when the registry answers */
        if (outcome == DECODE_EVENT && reason == PARK_MISSING_KEY && body.plan->is_union &&
            body.branch->topic != record->topic)
            return skip_body(&body, out, err);
        if (outcome == DECODE_EVENT)
            find_organization(&body, out);
    }
    return park(out, reason, wrong, err);
}

enum decode_outcome decode_record(struct schemas *schemas, const struct record *record, struct arena *arena,
                                  struct decode_result *out, struct err *err)
{
    out->reason = PARK_NONE;
    out->has_organization = false;
    const char *wrong = unfit(record, &out->reason);
    if (wrong != NULL)
        return park_unfit(schemas, record, wrong, out, err);
    if (record->value.ptr == NULL)
        return forget(record->key, out, err);
    return decode_value(schemas, record, arena, out, err);
}
