/*
 * Compares the compiled plan with the Avro library's generic reader: both refuse the bytes, or both read the same
 * values. The first byte chooses a schema. The second decides whether the rest is a body, or the source of a generated
 * body, since random bytes are hardly ever a valid event. The plan also refuses indexes, counts and depths that the
 * library does not check; these inputs are not compared.
 */
#include <assert.h>
#include <avro.h>
#include <stdio.h>
#include <stdlib.h>

#include "caseview/buf.h"
#include "workers/source/avro_decoder.h"
#include "workers/source/body_input.h"
#include "workers/source/plan.h"
#include "workers/source/value_skip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FOLDER CASEVIEW_SOURCE_DIR "/schemas/avro"

/* clang-format off */
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define FIELD(name, type)    "{\"name\":\"" name "\",\"type\":" type "}"
#define STRING(name)         FIELD(name, "\"string\"")
#define ARRAY(items)         "{\"type\":\"array\",\"items\":" items "}"
#define MAP(values)          "{\"type\":\"map\",\"values\":" values "}"
#define LOGICAL(type, name)  "{\"type\":\"" type "\",\"logicalType\":\"" name "\"}"
#define RAW_ID               "{\"type\":\"fixed\",\"name\":\"Id\",\"size\":16,\"logicalType\":\"uuid\"}"

/* All types that the reader does not use, nested. */
#define TREE RECORD("Tree",                                                                     \
    FIELD("left", "[\"null\",\"Tree\"]") ","                                                    \
    FIELD("branches", ARRAY("[\"Tree\",\"null\"]")) ","                                         \
    FIELD("leaves", MAP("[\"null\",\"double\",\"float\",\"boolean\",\"int\",\"long\","          \
                        ARRAY("\"bytes\"") "]")) ","                                            \
    FIELD("hash", "{\"type\":\"fixed\",\"name\":\"Hash\",\"size\":3}") ","                      \
    FIELD("mode", "{\"type\":\"enum\",\"name\":\"Mode\",\"symbols\":[\"A\",\"B\",\"C\"]}") ","  \
    FIELD("modes", ARRAY("\"Mode\"")) ","                                                       \
    FIELD("nothing", "\"null\""))

#define AGENT_HEAD(id, time)                                      \
    FIELD("eventId", id) ","                                      \
    FIELD("organizationId", "[\"null\",\"string\",\"bytes\"]") "," \
    FIELD("userId", "\"bytes\"") ","                              \
    FIELD("sequence", "[\"int\",\"long\",\"string\"]") ","        \
    FIELD("occurredAt", time) ","
#define SELECTED         RECORD("AgentCurrentUnitSelected", STRING("unitId"))
#define CLEARED          RECORD("AgentCurrentUnitCleared", "")
#define WORKSPACES(item) RECORD("AgentWorkspacesSelected",   \
    FIELD("unitId", "[\"bytes\",\"string\"]") ","            \
    FIELD("workspaceIds", ARRAY(item)))

#define CASE(time) RECORD("CaseEvent",                                   \
    FIELD("eventId", "\"bytes\"") ","                                    \
    STRING("organizationId") ","                                         \
    FIELD("caseId", RAW_ID) ","                                          \
    FIELD("sequence", "\"long\"") ","                                    \
    FIELD("occurredAt", "\"long\"") ","                                  \
    FIELD("payload", "[" RECORD("CasePositionChanged",                   \
        FIELD("rank", "[\"int\",\"long\",\"float\",\"double\"]") ","     \
        FIELD("x", MAP(MAP("\"string\""))) ","                           \
        FIELD("caseTimestamp", time)) "]"))

static const struct {
    const char *text; /* or the name of a file */
    enum plan_time unit;
} sources[] = {
    {FOLDER "/case-event.avsc", TIME_MICROS},
    {FOLDER "/agent-event.avsc", TIME_MICROS},
    {FOLDER "/directory-event.avsc", TIME_MICROS},
    {RECORD("AgentEvent", FIELD("tree", TREE) "," AGENT_HEAD("\"string\"", "\"int\"") FIELD("more", "\"Tree\"") ","
        FIELD("payload", "[" WORKSPACES("\"bytes\"") "," CLEARED ",\"Tree\"]")), TIME_MICROS},
    {"[\"null\"," TREE "," RECORD("AgentEvent", AGENT_HEAD("\"string\"", LOGICAL("long", "timestamp-millis"))
        FIELD("payload", "[" SELECTED "," CLEARED "]")) ",\"string\"]", TIME_MILLIS},
    {RECORD("AgentEvent", AGENT_HEAD(RAW_ID, "\"long\"") FIELD("payload", "[" WORKSPACES("\"Id\"") "]")), TIME_MICROS},
    {CASE(LOGICAL("long", "local-timestamp-nanos")), TIME_NANOS},
    {CASE(LOGICAL("long", "timestamp-millis")), TIME_MILLIS},
    {CASE("\"int\""), TIME_MICROS},
};
/* clang-format on */

static struct writer {
    avro_schema_t schema;
    struct schema_plan *plan;
    avro_value_iface_t *class;
} writers[ARRAY_LEN(sources)];
static struct arena *arena; /* of the library, for one input */
static struct arena *lists;

static void *allocate(void *context, void *ptr, size_t old_size, size_t new_size)
{
    if (new_size == 0)
        return NULL;
    void *fresh = arena_alloc(context, new_size);
    if (fresh != NULL && ptr != NULL)
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
    return fresh;
}

static void open_all(void)
{
    static char file_text[1 << 16];
    arena = arena_new(1 << 20, 256u << 20);
    lists = arena_new(1 << 16, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct err err = ERR_INIT;
        struct str text = str_of(sources[i].text);
        if (text.ptr[0] == '/') {
            FILE *file = fopen(text.ptr, "re");
            assert(file != NULL);
            text = (struct str){file_text, fread(file_text, 1, sizeof file_text, file)};
            fclose(file);
        }
        avro_schema_t *schema = &writers[i].schema;
        if (plan_compile(text, NULL, &writers[i].plan, &err) != CV_OK ||
            avro_schema_from_json_length(text.ptr, text.len, schema) != 0) {
            fprintf(stderr, "schema %zu: %s%s\n", i, err.text, avro_strerror());
            abort();
        }
        writers[i].class = avro_generic_class_from_schema(*schema);
    }
}

/* Generates a body from the input. */

struct maker {
    const uint8_t *next, *end;
    struct buf out;
};

static uint8_t take(struct maker *maker)
{
    return maker->next < maker->end ? *maker->next++ : 0;
}

static void make_long(struct maker *maker, int64_t number)
{
    uint64_t n = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    for (; n > 0x7f; n >>= 7)
        buf_byte(&maker->out, (char)(n | 0x80));
    buf_byte(&maker->out, (char)n);
}

static void make_integer(struct maker *maker, bool narrow)
{
    static const int64_t numbers[] = {
        1, 0, -1, 7, 1712834018008222, -62135596800000, 1712834018008222333, INT64_MAX, INT64_MIN, 1 << 20};
    uint8_t chosen = take(maker);
    int64_t number = chosen < 200 ? numbers[chosen % ARRAY_LEN(numbers)] : chosen * 1000003;
    make_long(maker, narrow ? (int32_t)number : number);
}

static void make_string(struct maker *maker)
{
    static const char *const strings[] = {"0b6e2f3a-2222-4a5b-8c9d-000000000002",
                                          "0B6E2F3A-2222-4A5B-8C9D-00000000ABCD",
                                          "0b6e2f3a-3333-4a5b-8c9d-0000000000ff",
                                          "{\"a\": [1, \"x\"]}",
                                          "0123456789abcdef",
                                          "caf\xc3\xa9",
                                          ""};
    uint8_t chosen = take(maker);
    /* An event has many ids and must have them all. */
    const char *string = strings[chosen < 192 ? chosen % 3 : chosen % ARRAY_LEN(strings)];
    make_long(maker, (int64_t)strlen(string));
    buf_puts(&maker->out, string);
}

static void make_raw(struct maker *maker, int64_t size)
{
    for (int64_t i = 0; i < size; i++)
        buf_byte(&maker->out, (char)take(maker));
}

static void make(struct maker *maker, avro_schema_t schema, unsigned depth);

static void make_items(struct maker *maker, avro_schema_t items, bool keys, unsigned depth)
{
    for (uint8_t count = depth > 8 ? 0 : take(maker) % 4; count > 0; count = take(maker) % 3) {
        bool sized = take(maker) % 2;
        make_long(maker, sized ? -(int64_t)count : count);
        if (sized)
            make_long(maker, take(maker)); /* readers that do not use it for skipping ignore it */
        for (uint8_t i = 0; i < count; i++) {
            if (keys)
                make_string(maker);
            make(maker, items, depth);
        }
    }
    make_long(maker, 0);
}

/* Ends recursive types with the null branch. */
static size_t make_branch(struct maker *maker, avro_schema_t schema, unsigned depth)
{
    size_t count = avro_schema_union_size(schema), branch = take(maker) % count;
    for (size_t i = 0; depth > 8 && i < count; i++)
        if (is_avro_null(avro_schema_union_branch(schema, (int)i)))
            branch = i;
    make_long(maker, (int64_t)branch);
    return branch;
}

static void make(struct maker *maker, avro_schema_t schema, unsigned depth)
{
    if (is_avro_link(schema))
        schema = avro_schema_link_target(schema);
    depth++;
    switch (avro_typeof(schema)) {
    case AVRO_STRING:
    case AVRO_BYTES:
        make_string(maker);
        break;
    case AVRO_INT32:
    case AVRO_INT64:
        make_integer(maker, is_avro_int32(schema));
        break;
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        make_raw(maker, is_avro_float(schema) ? 4 : 8);
        break;
    case AVRO_FIXED:
        make_raw(maker, avro_schema_fixed_size(schema));
        break;
    case AVRO_BOOLEAN:
        buf_byte(&maker->out, take(maker) % 2);
        break;
    case AVRO_ENUM:
        make_long(maker, take(maker) % avro_schema_enum_number_of_symbols(schema));
        break;
    case AVRO_RECORD:
        for (int i = 0; i < (int)avro_schema_record_size(schema); i++)
            make(maker, avro_schema_record_field_get_by_index(schema, i), depth);
        break;
    case AVRO_MAP:
        make_items(maker, avro_schema_map_values(schema), true, depth);
        break;
    case AVRO_ARRAY:
        make_items(maker, avro_schema_array_items(schema), false, depth);
        break;
    case AVRO_UNION:
        make(maker, avro_schema_union_branch(schema, (int)make_branch(maker, schema, depth)), depth);
        break;
    case AVRO_NULL:
    case AVRO_LINK:
        break;
    }
}

/* The values. */

static void compare_record(const struct reader_record *record, const char *ours, avro_value_t *theirs,
                           enum plan_time unit);

static struct str bytes_of(avro_value_t *value)
{
    const void *bytes = "";
    size_t len = 0;
    switch (avro_value_get_type(value)) {
    case AVRO_STRING: {
        const char *string = "";
        avro_value_get_string(value, &string, &len);
        return (struct str){string, len - 1}; /* with its NUL */
    }
    case AVRO_FIXED:
        avro_value_get_fixed(value, &bytes, &len);
        break;
    default:
        avro_value_get_bytes(value, &bytes, &len);
        break;
    }
    return (struct str){bytes, len};
}

static int64_t integer_of(avro_value_t *value)
{
    int32_t narrow = 0;
    int64_t number = 0;
    if (avro_value_get_type(value) == AVRO_INT32) {
        avro_value_get_int(value, &narrow);
        return narrow;
    }
    avro_value_get_long(value, &number);
    return number;
}

static void compare_guid(const struct uuid *ours, avro_value_t *theirs)
{
    struct str text = bytes_of(theirs);
    char own[UUID_TEXT_LEN + 1];
    if (text.len == sizeof *ours) {
        assert(memcmp(text.ptr, ours, sizeof *ours) == 0);
        return;
    }
    uuid_format(ours, own);
    assert(text.len == UUID_TEXT_LEN && strncasecmp(own, text.ptr, UUID_TEXT_LEN) == 0);
}

static void compare_time(int64_t ours, int64_t theirs, enum plan_time unit)
{
    if (unit == TIME_MILLIS)
        assert(ours % 1000 == 0 && ours / 1000 == theirs);
    else if (unit == TIME_NANOS)
        assert((__int128)theirs - (__int128)ours * 1000 >= 0 && (__int128)theirs - (__int128)ours * 1000 < 1000);
    else
        assert(ours == theirs);
}

static void compare_rank(float ours, avro_value_t *theirs)
{
    float rank = 0;
    if (avro_value_get_type(theirs) == AVRO_FLOAT)
        avro_value_get_float(theirs, &rank);
    else
        rank = (float)integer_of(theirs);
    assert(memcmp(&ours, &rank, sizeof rank) == 0);
}

static void compare_list(const struct reader_field *field, const struct event *event, avro_value_t *theirs)
{
    size_t count = 0;
    avro_value_get_size(theirs, &count);
    assert(count == (field->type == FIELD_GUIDS ? event->a.workspace_count : event->d.fields.role_count));
    for (size_t i = 0; i < count; i++) {
        avro_value_t item;
        avro_value_get_by_index(theirs, i, &item, NULL);
        if (field->type == FIELD_GUIDS)
            compare_guid(&event->a.workspace_ids[i], &item);
        else
            assert(str_eq(event->d.fields.roles[i], bytes_of(&item)));
    }
}

/* The value of a union's branch, or the value itself. */
static avro_value_t branch_of(avro_value_t *value)
{
    avro_value_t branch = *value;
    if (avro_value_get_type(value) == AVRO_UNION)
        avro_value_get_current_branch(value, &branch);
    return branch;
}

static void compare_null(const struct reader_field *field, const char *ours)
{
    static const struct str null_text;
    if (field->type == FIELD_TEXT || field->type == FIELD_MEETING)
        assert(memcmp(ours, &null_text, sizeof null_text) == 0);
    if (field->record != NULL && field->record->present != 0)
        assert(!*(const bool *)(ours + field->record->present - 1));
}

static void compare_field(const struct reader_field *field, const char *ours, avro_value_t *theirs, enum plan_time unit)
{
    struct str text;
    int boolean = 0;
    switch (field->type) {
    case FIELD_GUID:
        compare_guid((const struct uuid *)ours, theirs);
        break;
    case FIELD_TEXT:
        assert(str_eq(*(const struct str *)ours, bytes_of(theirs)));
        break;
    case FIELD_MEETING:
        text = *(const struct str *)ours;
        assert(memmem(bytes_of(theirs).ptr, bytes_of(theirs).len, text.ptr, text.len) != NULL);
        break;
    case FIELD_TIME:
        compare_time(*(const int64_t *)ours, integer_of(theirs), unit);
        break;
    case FIELD_SEQUENCE:
        assert(*(const int64_t *)ours == integer_of(theirs));
        break;
    case FIELD_INT:
        assert(*(const int32_t *)ours == integer_of(theirs));
        break;
    case FIELD_RANK:
        compare_rank(*(const float *)ours, theirs);
        break;
    case FIELD_BOOL:
        avro_value_get_boolean(theirs, &boolean);
        assert(*(const bool *)ours == (boolean != 0));
        break;
    case FIELD_RECORD:
        compare_record(field->record, ours, theirs, unit);
        break;
    case FIELD_GUIDS:
    case FIELD_TEXTS:
    case FIELD_PAYLOAD:
        break; /* compared with the event */
    }
}

static void compare_record(const struct reader_record *record, const char *ours, avro_value_t *theirs,
                           enum plan_time unit)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct reader_field *field = &record->fields[i];
        avro_value_t value;
        if (field->offset == READER_NOWHERE || field->type >= FIELD_GUIDS)
            continue;
        if (avro_value_get_by_name(theirs, field->name, &value, NULL) != 0) {
            compare_null(field, ours + field->offset);
            continue;
        }
        value = branch_of(&value);
        if (avro_value_get_type(&value) == AVRO_NULL)
            compare_null(field, ours + field->offset);
        else
            compare_field(field, ours + field->offset, &value, unit);
    }
}

static void compare_payload(const struct reader_topic *topic, const struct avro_decoder *decoder,
                            const struct event *event, avro_value_t *record, enum plan_time unit)
{
    avro_value_t payload, list;
    assert(avro_value_get_by_name(record, "payload", &payload, NULL) == 0);
    payload = branch_of(&payload);
    const struct reader_payload *known = reader_payload_find(topic, avro_schema_name(avro_value_get_schema(&payload)));
    assert(decoder->payload == known);
    if (known == NULL)
        return;
    compare_record(known->record, (const char *)event + known->base, &payload, unit);
    for (size_t i = 0; i < known->record->field_count; i++) {
        const struct reader_field *field = &known->record->fields[i];
        if (field->type == FIELD_GUIDS || field->type == FIELD_TEXTS) {
            assert(avro_value_get_by_name(&payload, field->name, &list, NULL) == 0);
            compare_list(field, event, &list);
        }
    }
}

/* The bytes. */

static const char *const unchecked[] = {
    "a boolean is neither 0 nor 1",
    "a union's branch or an enum's symbol does not exist",
    "arrays or maps have more items than a record can hold",
    "values are nested too deep",
};

static bool library_checks(const char *broken)
{
    for (size_t i = 0; broken != NULL && i < ARRAY_LEN(unchecked); i++)
        if (strcmp(broken, unchecked[i]) == 0)
            return false;
    return true;
}

static bool read_theirs(avro_value_iface_t *class, struct str body, avro_value_t *out_value)
{
    avro_reader_t reader = avro_reader_memory(body.ptr, (int64_t)body.len);
    return avro_generic_value_new(class, out_value) == 0 && avro_value_read(reader, out_value) == 0 &&
           avro_skip(reader, 1) != 0;
}

static void decode(const struct plan_branch *branch, struct str body, avro_value_t *theirs, enum plan_time unit)
{
    struct avro_decoder decoder;
    struct err err = ERR_INIT;
    struct event event;
    const struct reader_topic *topic = &reader_topics[branch->topic];
    memset(&event, 0xa5, sizeof event);
    event.a = branch->topic == TOPIC_AGENTS ? (struct agent_event){0} : event.a;
    event.d = branch->topic == TOPIC_DIRECTORY ? (struct directory_event){0} : event.d;
    if (branch->topic == TOPIC_CASES)
        event.c.given = 0;
    enum cv_status status = avro_decoder_run(&decoder, branch->root, body, &event, &err);
    assert(decoder.reason != PARK_NOT_AVRO);
    if (status != CV_OK || !avro_decoder_keep_list(&decoder, lists, &event))
        return;
    avro_value_t record = branch_of(theirs);
    compare_record(topic->record, (const char *)&event, &record, unit);
    compare_payload(topic, &decoder, &event, &record, unit);
}

static void compare(const struct writer *writer, struct str whole, enum plan_time unit)
{
    const uint8_t *bytes = (const uint8_t *)whole.ptr;
    struct body_input in = {.next = bytes, .end = bytes + whole.len};
    size_t branch = 0;
    bool ok = !writer->plan->is_union || input_index(&in, writer->plan->branch_count, &branch);
    struct str body = {(const char *)in.next, input_left(&in)};
    ok = ok && value_skip(&in, writer->plan->branches[branch].ignored);
    if (!library_checks(in.broken))
        return;
    ok = ok && in.next == in.end;

    struct avro_allocator_state outer = AVRO_CURRENT_ALLOCATOR;
    avro_value_t theirs;
    arena_reset(arena);
    arena_reset(lists);
    avro_set_allocator(allocate, arena);
    assert(read_theirs(writer->class, whole, &theirs) == ok);
    if (ok && writer->plan->branches[branch].root != NULL)
        decode(&writer->plan->branches[branch], body, &theirs, unit);
    avro_set_allocator(outer.alloc, outer.user_data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (arena == NULL)
        open_all();
    if (size < 3)
        return 0;
    size_t chosen = data[0] % ARRAY_LEN(sources);
    const struct writer *writer = &writers[chosen];
    if (data[1] % 4 == 0) {
        compare(writer, (struct str){(const char *)data + 2, size - 2}, sources[chosen].unit);
        return 0;
    }
    struct maker maker = {.next = data + 2, .end = data + size};
    buf_init(&maker.out, 1 << 20);
    make(&maker, writer->schema, 0);
    if (data[1] % 4 == 1) { /* damages a valid body */
        maker.out.data[(data[1] * 256u + take(&maker)) % maker.out.len] = (char)take(&maker);
        maker.out.len -= take(&maker) % 8 == 1;
    }
    /* Copies into a block of exactly its size, so that a sanitizer detects any read past it. */
    char *exact = malloc(maker.out.len ? maker.out.len : 1);
    memcpy(exact, maker.out.data, maker.out.len);
    compare(writer, (struct str){exact, maker.out.len}, sources[chosen].unit);
    free(exact);
    buf_done(&maker.out);
    return 0;
}
