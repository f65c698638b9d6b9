#include "workers/source/decode.h"

#include "workers/source/consume.h"
#include "workers/source/plan.h"

/* Single-object encoding: marker and fingerprint. The registry's framing: a zero byte and the id. */
#define SINGLE_OBJECT_HEADER 10
#define REGISTRY_HEADER      5

static enum cv_status park(enum park_reason reason, const char *text, enum park_reason *out_reason, struct err *err)
{
    *out_reason = reason;
    err_set(err, "%s", text);
    return CV_PARK;
}

static uint64_t little_endian_64(const uint8_t *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static uint32_t big_endian_32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Which schema, and where the body begins. */
static enum cv_status read_framing(struct schemas *schemas, struct str value, const struct schema_plan **out_plan,
                                   struct str *out_body, enum park_reason *out_reason, struct err *err)
{
    const uint8_t *p = (const uint8_t *)value.ptr;
    size_t header;
    enum cv_status status;
    if (value.len >= SINGLE_OBJECT_HEADER && p[0] == 0xc3 && p[1] == 0x01) {
        header = SINGLE_OBJECT_HEADER;
        status = schemas_by_fingerprint(schemas, little_endian_64(p + 2), out_plan, err);
    } else if (value.len >= REGISTRY_HEADER && p[0] == 0) {
        header = REGISTRY_HEADER;
        status = schemas_by_id(schemas, big_endian_32(p + 1), out_plan, err);
    } else {
        return park(PARK_NOT_AVRO, "it begins with neither framing of Avro", out_reason, err);
    }
    if (status == CV_PARK)
        *out_reason = PARK_UNKNOWN_SCHEMA;
    *out_body = (struct str){value.ptr + header, value.len - header};
    return status;
}

static enum cv_status check_plan(const struct schema_plan *plan, enum topic topic, enum park_reason *out_reason,
                                 struct err *err)
{
    if (plan->topic == topic && !plan->incompatible)
        return CV_OK;
    *out_reason = PARK_WRONG_TYPE;
    if (plan->topic == topic)
        err_set(err, "%s", plan->incompatible);
    else
        err_set(err, "a %.200s, not a %s", plan->name, reader_topics[topic].record->name);
    return CV_PARK;
}

/* kind:organization:entity. kind 0: one that this reader does not know. */
struct directory_key {
    struct str kind_text;
    enum entity_kind kind;
    struct uuid organization_id;
    struct uuid entity_id;
};

static bool split_directory_key(struct str key, struct directory_key *out, struct str *out_organization,
                                struct str *out_entity)
{
    const char *end = key.ptr + key.len;
    const char *first = memchr(key.ptr, ':', key.len);
    const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return false;
    out->kind_text = (struct str){key.ptr, (size_t)(first - key.ptr)};
    if (!entity_kind_parse(out->kind_text, &out->kind))
        out->kind = 0;
    *out_organization = (struct str){first + 1, (size_t)(second - first - 1)};
    *out_entity = (struct str){second + 1, (size_t)(end - second - 1)};
    return true;
}

static enum cv_status parse_directory_key(struct str key, struct directory_key *out, struct decoder *decoder,
                                          enum park_reason *out_reason, struct err *err)
{
    struct str organization, entity;
    if (!split_directory_key(key, out, &organization, &entity))
        return park(PARK_KEY_MISMATCH, "the key is not kind:organizationId:entityId", out_reason, err);
    if (!uuid_parse(organization, &out->organization_id))
        return park(PARK_BAD_GUID, "the key's organization is no GUID", out_reason, err);
    decoder_set_organization(decoder, &out->organization_id);
    if (!uuid_parse(entity, &out->entity_id))
        return park(PARK_BAD_GUID, "the key's entity is no GUID", out_reason, err);
    return CV_OK;
}

/* A null value forgets the entity. A kind that only a newer writer knows has nothing to forget. */
static enum cv_status forget(struct str key, struct decoder *decoder, struct event *out_event,
                             enum park_reason *out_reason, struct err *err)
{
    struct directory_key parsed;
    enum cv_status status = parse_directory_key(key, &parsed, decoder, out_reason, err);
    if (status != CV_OK)
        return status;
    *out_event = (struct event){
        .topic = TOPIC_DIRECTORY,
        .d = {.type = parsed.kind ? DIRECTORY_FORGOTTEN : DIRECTORY_UNKNOWN_TYPE,
              .kind = parsed.kind,
              .organization_id = parsed.organization_id,
              .entity_id = parsed.entity_id},
    };
    return CV_OK;
}

static enum cv_status check_guid_key(struct str key, const struct uuid *id, const char *mismatch,
                                     enum park_reason *out_reason, struct err *err)
{
    struct uuid own;
    if (uuid_parse(key, &own) && uuid_eq(&own, id))
        return CV_OK;
    return park(PARK_KEY_MISMATCH, mismatch, out_reason, err);
}

static enum cv_status check_directory_key(struct str key, struct decoder *decoder, struct decoded *decoded,
                                          enum park_reason *out_reason, struct err *err)
{
    struct directory_event *event = &decoded->event.d;
    struct directory_key own;
    struct uuid organization_id = event->organization_id;
    enum cv_status status = parse_directory_key(key, &own, decoder, out_reason, err);
    decoder_set_organization(decoder, &organization_id); /* the body's counts, where there is one */
    if (status != CV_OK) {
        *out_reason = PARK_KEY_MISMATCH; /* whatever is wrong with it, it differs from the body */
        return status;
    }
    if (!uuid_eq(&own.organization_id, &event->organization_id))
        return park(PARK_KEY_MISMATCH, "the key names another organizationId", out_reason, err);
    if (!uuid_eq(&own.entity_id, &event->entity_id))
        return park(PARK_KEY_MISMATCH, "the key names another entityId", out_reason, err);
    const struct reader_payload *payload = decoded->payload;
    if (payload && payload->kind && payload->kind != own.kind)
        return park(PARK_KEY_MISMATCH, "the payload is not of the key's kind", out_reason, err);
    if (payload && !payload->kind && !str_eq(decoded->removed_kind, own.kind_text))
        return park(PARK_KEY_MISMATCH, "the removed kind is not the key's", out_reason, err);
    event->kind = own.kind;
    return CV_OK;
}

static enum cv_status check_key(struct str key, struct decoder *decoder, struct decoded *decoded,
                                enum park_reason *out_reason, struct err *err)
{
    struct event *event = &decoded->event;
    switch (event->topic) {
    case TOPIC_CASES:
        return check_guid_key(key, &event->c.case_id, "the key is not the caseId", out_reason, err);
    case TOPIC_AGENTS:
        return check_guid_key(key, &event->a.user_id, "the key is not the userId", out_reason, err);
    case TOPIC_DIRECTORY:
        return check_directory_key(key, decoder, decoded, out_reason, err);
    case TOPIC_COUNT:
        break;
    }
    return CV_OK;
}

static const struct uuid *organization_of(const struct event *event)
{
    switch (event->topic) {
    case TOPIC_CASES:
        return &event->c.organization_id;
    case TOPIC_AGENTS:
        return &event->a.organization_id;
    case TOPIC_DIRECTORY:
        return &event->d.organization_id;
    case TOPIC_COUNT:
        break;
    }
    return NULL;
}

/* The event's type is the payload's; a removal of a kind that the reader does not know is of no known type either. */
static void set_type(struct decoded *decoded)
{
    struct event *event = &decoded->event;
    int type = decoded->payload ? decoded->payload->type : 0;
    switch (event->topic) {
    case TOPIC_CASES:
        event->c.type = (enum case_event_type)type;
        break;
    case TOPIC_AGENTS:
        event->a.type = (enum agent_event_type)type;
        break;
    case TOPIC_DIRECTORY:
        event->d.type = event->d.kind ? (enum directory_event_type)type : DIRECTORY_UNKNOWN_TYPE;
        break;
    case TOPIC_COUNT:
        break;
    }
}

static enum cv_status decode_value(struct schemas *schemas, const struct record *record, struct arena *arena,
                                   struct event *out_event, enum park_reason *out_reason, struct err *err)
{
    const struct schema_plan *plan = NULL;
    struct str body;
    enum cv_status status = read_framing(schemas, record->value, &plan, &body, out_reason, err);
    if (status == CV_OK)
        status = check_plan(plan, record->topic, out_reason, err);
    if (status != CV_OK)
        return status;
    struct decoder *decoder = schemas_decoder(schemas);
    struct decoded *decoded = NULL;
    status = decoder_run(decoder, plan->root, plan->topic, body, &decoded, out_reason, err);
    if (status != CV_OK) {
        static const struct uuid none;
        const struct uuid *organization = decoded ? organization_of(&decoded->event) : NULL;
        if (organization && !uuid_eq(organization, &none))
            decoder_set_organization(decoder, organization);
        return status;
    }
    status = check_key(record->key, decoder, decoded, out_reason, err);
    if (status != CV_OK) {
        decoder_set_organization(decoder, organization_of(&decoded->event));
        return status;
    }
    if (!decoder_keep(decoder, arena)) {
        err_set(err, "the arena is full");
        return CV_RETRY;
    }
    set_type(decoded);
    *out_event = decoded->event;
    return CV_OK;
}

enum cv_status decode_record(struct schemas *schemas, const struct record *record, struct arena *arena,
                             struct event *out_event, enum park_reason *out_reason, struct err *err)
{
    struct decoder *decoder = schemas_decoder(schemas);
    decoder_set_organization(decoder, NULL);
    if (!record->value.ptr && record->topic != TOPIC_DIRECTORY)
        return park(PARK_NO_VALUE, "there is no value", out_reason, err);
    if (!record->key.ptr || record->key.len == 0)
        return park(PARK_MISSING_KEY, "there is no key", out_reason, err);
    if (record->key.len > RECORD_MAX_BYTES || record->value.len > RECORD_MAX_BYTES)
        return park(PARK_TOO_LARGE,
                    record->key.len > RECORD_MAX_BYTES ? "its key is larger than 1 MiB"
                                                       : "its value is larger than 1 MiB",
                    out_reason, err);
    if (!record->value.ptr)
        return forget(record->key, decoder, out_event, out_reason, err);
    return decode_value(schemas, record, arena, out_event, out_reason, err);
}

const struct uuid *decode_organization(const struct schemas *schemas)
{
    return decoder_organization(schemas_decoder_const(schemas));
}
