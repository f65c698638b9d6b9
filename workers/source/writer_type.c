#include "workers/source/writer_type.h"

#include "workers/source/canonical.h"

static avro_schema_t follow(avro_schema_t schema)
{
    return is_avro_link(schema) ? avro_schema_link_target(schema) : schema;
}

struct writer_type writer_type_of(avro_schema_t schema)
{
    schema = follow(schema);
    if (!is_avro_record(schema))
        return (struct writer_type){schema, NULL};
    const char *space = avro_schema_namespace(schema);
    if (space == NULL || strcmp(space, CANONICAL_LOGICAL) != 0)
        return (struct writer_type){schema, NULL};
    return (struct writer_type){follow(avro_schema_record_field_get_by_index(schema, 0)), avro_schema_name(schema)};
}

const char *writer_type_name(avro_schema_t schema)
{
    switch (avro_typeof(schema)) {
    case AVRO_INT32:
        return "int";
    case AVRO_INT64:
        return "long";
    case AVRO_NULL:
        return "null";
    case AVRO_UNION:
        return "a union";
    default:
        return avro_schema_type_name(schema);
    }
}

enum skip_op writer_type_skip(avro_schema_t schema)
{
    switch (avro_typeof(schema)) {
    case AVRO_STRING:
    case AVRO_BYTES:
        return SKIP_STRING;
    case AVRO_INT32:
        return SKIP_INT;
    case AVRO_INT64:
        return SKIP_LONG;
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
    case AVRO_FIXED:
        return SKIP_FIXED;
    case AVRO_BOOLEAN:
        return SKIP_BOOLEAN;
    case AVRO_RECORD:
        return SKIP_RECORD;
    case AVRO_ENUM:
        return SKIP_ENUM;
    case AVRO_MAP:
        return SKIP_MAP;
    case AVRO_ARRAY:
        return SKIP_ARRAY;
    case AVRO_UNION:
        return SKIP_UNION;
    case AVRO_NULL:
    case AVRO_LINK: /* followed */
    default:        /* what later versions of the library name, and never return */
        return SKIP_NULL;
    }
}

uint32_t writer_type_skip_size(avro_schema_t schema)
{
    switch (avro_typeof(schema)) {
    case AVRO_FLOAT:
        return sizeof(float);
    case AVRO_DOUBLE:
        return sizeof(double);
    case AVRO_FIXED:
        return (uint32_t)avro_schema_fixed_size(schema);
    case AVRO_ENUM:
        return (uint32_t)avro_schema_enum_number_of_symbols(schema);
    default:
        return 0;
    }
}

size_t writer_type_children(avro_schema_t schema)
{
    if (is_avro_record(schema))
        return avro_schema_record_size(schema);
    if (is_avro_union(schema))
        return avro_schema_union_size(schema);
    return is_avro_array(schema) || is_avro_map(schema) ? 1 : 0;
}

avro_schema_t writer_type_child(avro_schema_t schema, size_t child)
{
    int i = (int)child;
    if (is_avro_record(schema))
        return avro_schema_record_field_get_by_index(schema, i);
    if (is_avro_union(schema))
        return avro_schema_union_branch(schema, i);
    return is_avro_array(schema) ? avro_schema_array_items(schema) : avro_schema_map_values(schema);
}

/* The 16 bytes of a GUID as they are. */
static bool is_raw_guid(avro_schema_t schema)
{
    return is_avro_fixed(schema) && avro_schema_fixed_size(schema) == sizeof(struct uuid);
}

bool writer_type_fits(const struct writer_type *type, enum field_type field)
{
    avro_type_t writer = avro_typeof(type->schema);
    switch (field) {
    case FIELD_GUID:
        return writer == AVRO_STRING || writer == AVRO_BYTES || is_raw_guid(type->schema);
    case FIELD_TEXT:
    case FIELD_MEETING:
        return writer == AVRO_STRING || writer == AVRO_BYTES;
    case FIELD_TIME:
    case FIELD_SEQUENCE:
        return writer == AVRO_INT64 || writer == AVRO_INT32;
    case FIELD_INT:
        return writer == AVRO_INT32;
    case FIELD_RANK:
        return writer == AVRO_FLOAT || writer == AVRO_INT32 || writer == AVRO_INT64;
    case FIELD_BOOL:
        return writer == AVRO_BOOLEAN;
    case FIELD_RECORD:
    case FIELD_PAYLOAD:
        return writer == AVRO_RECORD;
    case FIELD_GUIDS:
    case FIELD_TEXTS:
        return writer == AVRO_ARRAY;
    }
    return false;
}

/* "timestamp_millis" is the name of its wrapper: canonical.h. */
static bool time_unit(const char *logical, enum plan_time *out_unit)
{
    static const struct {
        const char *logical;
        enum plan_time unit;
    } units[] = {
        {"timestamp_micros", TIME_MICROS}, {"local_timestamp_micros", TIME_MICROS},
        {"timestamp_millis", TIME_MILLIS}, {"local_timestamp_millis", TIME_MILLIS},
        {"timestamp_nanos", TIME_NANOS},   {"local_timestamp_nanos", TIME_NANOS},
    };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (canonical_is_logical(logical, units[i].logical)) {
            *out_unit = units[i].unit;
            return true;
        }
    }
    return false;
}

bool writer_type_logical_fits(const struct writer_type *type, enum field_type field)
{
    enum plan_time unit;
    if (type->logical == NULL)
        return true;
    if (field == FIELD_TIME)
        return time_unit(type->logical, &unit);
    if (field == FIELD_GUID)
        return canonical_is_logical(type->logical, "uuid");
    return true;
}

int writer_type_logical_len(const struct writer_type *type)
{
    const char *end = strstr(type->logical, "__");
    return (int)(end != NULL ? (size_t)(end - type->logical) : strlen(type->logical));
}

enum plan_time writer_type_time(const struct writer_type *type)
{
    enum plan_time unit = TIME_MICROS;
    return type->logical != NULL && time_unit(type->logical, &unit) ? unit : TIME_MICROS;
}

static enum plan_op guid_op(avro_schema_t schema)
{
    if (is_avro_fixed(schema))
        return PLAN_GUID_FIXED;
    return is_avro_bytes(schema) ? PLAN_GUID_BYTES : PLAN_GUID;
}

enum plan_op writer_type_op(const struct writer_type *type, enum field_type field)
{
    switch (field) {
    case FIELD_GUID:
        return guid_op(type->schema);
    case FIELD_TEXT:
        return PLAN_TEXT;
    case FIELD_MEETING:
        return PLAN_MEETING;
    case FIELD_TIME:
        return PLAN_TIME;
    case FIELD_SEQUENCE:
        return PLAN_SEQUENCE;
    case FIELD_INT:
        return PLAN_INT;
    case FIELD_RANK:
        return is_avro_float(type->schema) ? PLAN_RANK : PLAN_RANK_INTEGER;
    case FIELD_BOOL:
        return PLAN_BOOL;
    case FIELD_GUIDS:
        return PLAN_GUIDS;
    case FIELD_TEXTS:
        return PLAN_TEXTS;
    case FIELD_RECORD:
    case FIELD_PAYLOAD:
        return PLAN_RECORD;
    }
    return PLAN_SKIP;
}
