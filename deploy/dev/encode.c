#include "deploy/dev/encode.h"

#include <avro.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "caseview/fetch.h"
#include "caseview/uuid.h"
#include "workers/source/fingerprint.h"

#define SCHEMA_MAX          (1u << 20)
#define REGISTRY_TIMEOUT_MS 10000
#define REGISTRY_TYPE       "application/vnd.schemaregistry.v1+json"
#define FRAME_MAX           10

struct topic_schema {
    avro_schema_t schema;
    avro_value_iface_t *class;
    avro_value_t value; /* reused for each event */
    char frame[FRAME_MAX];
    size_t frame_len;
};

struct encoder {
    struct topic_schema topics[TOPIC_COUNT];
    avro_writer_t writer;
};

static const char *const topic_files[TOPIC_COUNT] = {
    [TOPIC_CASES] = "case-event.avsc",
    [TOPIC_AGENTS] = "agent-event.avsc",
    [TOPIC_DIRECTORY] = "directory-event.avsc",
};

static enum cv_status put(avro_value_t *value, const json_t *json, struct err *err);

static enum cv_status bad(struct err *err, const char *what)
{
    err_set(err, "%s", what);
    return CV_PARK;
}

/* Converts ISO 8601 in UTC with up to six fraction digits to microseconds. */
static bool parse_time(const char *text, int64_t *out_us)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL)
        return false;
    int64_t fraction = 0;
    if (*rest == '.') {
        int64_t unit = 100000;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            fraction += (*rest - '0') * unit;
    }
    if (strcmp(rest, "Z") != 0)
        return false;
    *out_us = (int64_t)timegm(&tm) * 1000000 + fraction;
    return true;
}

static enum cv_status put_long(avro_value_t *value, const json_t *json, struct err *err)
{
    int64_t number;
    if (json_is_integer(json))
        number = json_integer_value(json);
    else if (!json_is_string(json) || !parse_time(json_string_value(json), &number))
        return bad(err, "needs a whole number, or a time as 2024-04-11T11:13:38.008222Z");
    avro_value_set_long(value, number);
    return CV_OK;
}

static enum cv_status put_int(avro_value_t *value, const json_t *json, struct err *err)
{
    json_int_t number = json_integer_value(json);
    if (!json_is_integer(json) || number < INT32_MIN || number > INT32_MAX)
        return bad(err, "needs a whole number of 32 bits");
    avro_value_set_int(value, (int32_t)number);
    return CV_OK;
}

/* Sets a float. NaN and infinity, which tests send to the worker and JSON cannot express, come as text. */
static enum cv_status put_float(avro_value_t *value, const json_t *json, struct err *err)
{
    const char *text = json_string_value(json);
    float number;
    if (json_is_number(json))
        number = (float)json_number_value(json);
    else if (text && strcmp(text, "NaN") == 0)
        number = NAN;
    else if (text && (strcmp(text, "Infinity") == 0 || strcmp(text, "-Infinity") == 0))
        number = *text == '-' ? -INFINITY : INFINITY;
    else
        return bad(err, "needs a number");
    avro_value_set_float(value, number);
    return CV_OK;
}

static enum cv_status put_string(avro_value_t *value, const json_t *json, struct err *err)
{
    if (!json_is_string(json))
        return bad(err, "needs a text");
    /* The library counts the NUL and does not change the text, but takes it without const. */
    char *text = (char *)(uintptr_t)json_string_value(json);
    avro_value_set_string_len(value, text, json_string_length(json) + 1);
    return CV_OK;
}

static enum cv_status put_array(avro_value_t *value, const json_t *json, struct err *err)
{
    if (!json_is_array(json))
        return bad(err, "needs an array");
    size_t i;
    json_t *item;
    json_array_foreach(json, i, item)
    {
        avro_value_t element;
        if (avro_value_append(value, &element, NULL))
            return bad(err, avro_strerror());
        enum cv_status status = put(&element, item, err);
        if (status != CV_OK) {
            err_prefix(err, "%zu", i);
            return status;
        }
    }
    return CV_OK;
}

static enum cv_status put_record(avro_value_t *value, const json_t *json, struct err *err)
{
    if (!json_is_object(json))
        return bad(err, "needs an object");
    size_t fields = 0, found = 0;
    avro_value_get_size(value, &fields);
    for (size_t i = 0; i < fields; i++) {
        avro_value_t field;
        const char *name;
        avro_value_get_by_index(value, i, &field, &name);
        const json_t *member = json_object_get(json, name);
        found += member != NULL;
        enum cv_status status = CV_OK;
        if (!member && avro_value_get_type(&field) != AVRO_UNION)
            status = bad(err, "is missing");
        else
            status = put(&field, member, err);
        if (status != CV_OK) {
            err_prefix(err, "%s", name);
            return status;
        }
    }
    if (found == json_object_size(json))
        return CV_OK;
    avro_schema_t schema = avro_value_get_schema(value);
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        if (avro_schema_record_field_get_index(schema, name) < 0) {
            err_set(err, "%.100s: no such field in %s", name, avro_schema_name(schema));
            return CV_PARK;
        }
    }
    return CV_OK;
}

/* Picks the branch of a value: in a nullable type the one that is not null, in another union the one that is named. */
static enum cv_status put_union(avro_value_t *value, const json_t *json, struct err *err)
{
    avro_schema_t schema = avro_value_get_schema(value);
    size_t branches = avro_schema_union_size(schema);
    bool nullable = false;
    for (size_t i = 0; i < branches; i++)
        nullable = nullable || is_avro_null(avro_schema_union_branch(schema, (int)i));
    const char *wanted = NULL;
    const json_t *content = json;
    if (!nullable) {
        if (!json_is_object(json) || json_object_size(json) != 1)
            return bad(err, json ? "needs an object with one member, the name of its type" : "is missing");
        void *only = json_object_iter((json_t *)(uintptr_t)json);
        wanted = json_object_iter_key(only);
        content = json_object_iter_value(only);
    }
    bool null = nullable && (!json || json_is_null(json));
    for (size_t i = 0; i < branches; i++) {
        avro_schema_t branch = avro_schema_union_branch(schema, (int)i);
        if (wanted ? strcmp(avro_schema_type_name(branch), wanted) != 0 : is_avro_null(branch) != null)
            continue;
        avro_value_t chosen;
        avro_value_set_branch(value, (int)i, &chosen);
        enum cv_status status = put(&chosen, content, err);
        if (status != CV_OK && wanted)
            err_prefix(err, "%s", wanted);
        return status;
    }
    err_set(err, "%.100s: no such type", wanted ? wanted : "?");
    return CV_PARK;
}

static enum cv_status put(avro_value_t *value, const json_t *json, struct err *err)
{
    switch (avro_value_get_type(value)) {
    case AVRO_RECORD:
        return put_record(value, json, err);
    case AVRO_UNION:
        return put_union(value, json, err);
    case AVRO_ARRAY:
        return put_array(value, json, err);
    case AVRO_STRING:
        return put_string(value, json, err);
    case AVRO_INT64:
        return put_long(value, json, err);
    case AVRO_INT32:
        return put_int(value, json, err);
    case AVRO_FLOAT:
        return put_float(value, json, err);
    case AVRO_BOOLEAN:
        if (!json_is_boolean(json))
            return bad(err, "needs true or false");
        avro_value_set_boolean(value, json_is_true(json));
        return CV_OK;
    case AVRO_NULL:
        avro_value_set_null(value);
        return CV_OK;
    default:
        return bad(err, "has a type that no event uses");
    }
}

/* Appends a GUID in lower case. Other text, which only tests send, is appended unchanged. */
static void put_key_part(struct buf *key, const json_t *value, const char *field)
{
    const json_t *member = json_object_get(value, field);
    struct str text = {json_string_value(member), json_string_length(member)};
    struct uuid uuid;
    if (uuid_parse(text, &uuid)) {
        char lower[UUID_TEXT_LEN + 1];
        uuid_format(&uuid, lower);
        buf_puts(key, lower);
    } else {
        buf_str(key, text);
    }
}

/* Returns "service-type" for "ServiceTypeUpserted"; a removal carries its kind. */
static void put_key_kind(struct buf *key, json_t *payload)
{
    void *only = json_object_iter(payload);
    const char *name = json_object_iter_key(only);
    if (strcmp(name, "EntityRemoved") == 0) {
        const char *kind = json_string_value(json_object_get(json_object_iter_value(only), "kind"));
        buf_puts(key, kind ? kind : "");
        return;
    }
    const char *end = strstr(name, "Upserted");
    for (const char *c = name; *c && c != end; c++) {
        bool capital = *c >= 'A' && *c <= 'Z';
        if (capital && c != name)
            buf_byte(key, '-');
        buf_byte(key, (char)(capital ? *c - 'A' + 'a' : *c));
    }
}

static void make_key(struct buf *key, enum topic topic, const json_t *value)
{
    if (topic != TOPIC_DIRECTORY) {
        put_key_part(key, value, topic == TOPIC_CASES ? "caseId" : "userId");
        return;
    }
    put_key_kind(key, json_object_get(value, "payload"));
    buf_byte(key, ':');
    put_key_part(key, value, "organizationId");
    buf_byte(key, ':');
    put_key_part(key, value, "entityId");
}

static bool parse_topic(const char *text, enum topic *out_topic)
{
    static const char *const names[TOPIC_COUNT] = {
        [TOPIC_CASES] = "case", [TOPIC_AGENTS] = "agent", [TOPIC_DIRECTORY] = "directory"};
    for (int i = 0; text && i < TOPIC_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out_topic = (enum topic)i;
            return true;
        }
    }
    return false;
}

static enum cv_status write_value(struct encoder *encoder, struct topic_schema *topic, const json_t *json,
                                  struct buf *out, struct err *err)
{
    avro_value_reset(&topic->value);
    enum cv_status status = put(&topic->value, json, err);
    if (status != CV_OK)
        return status;
    size_t size;
    if (avro_value_sizeof(&topic->value, &size))
        return bad(err, avro_strerror());
    char *to = buf_reserve(out, topic->frame_len + size);
    if (to == NULL)
        return bad(err, "the record is too big");
    memcpy(to, topic->frame, topic->frame_len);
    avro_writer_memory_set_dest(encoder->writer, to + topic->frame_len, (int64_t)size);
    if (avro_value_write(encoder->writer, &topic->value))
        return bad(err, avro_strerror());
    out->len += topic->frame_len + size;
    return CV_OK;
}

enum cv_status encoder_encode(struct encoder *encoder, const json_t *event, enum topic *out_topic, struct buf *key,
                              struct buf *value, bool *out_null, struct err *err)
{
    enum topic topic;
    if (!json_is_object(event))
        return bad(err, "an event is a JSON object");
    if (!parse_topic(json_string_value(json_object_get(event, "topic")), &topic))
        return bad(err, "topic: needs \"case\", \"agent\" or \"directory\"");
    const json_t *own_key = json_object_get(event, "key");
    if (own_key && !json_is_string(own_key))
        return bad(err, "key: needs a text");
    const json_t *content = json_object_get(event, "value");
    if (content == NULL)
        return bad(err, "value: is missing");
    if (json_object_size(event) != (own_key ? 3u : 2u))
        return bad(err, "an event has topic, key and value, nothing else");
    bool null = json_is_null(content);
    if (null && !own_key)
        return bad(err, "key: is missing, and a null value gives none");
    if (!null) {
        enum cv_status status = write_value(encoder, &encoder->topics[topic], content, value, err);
        if (status != CV_OK) {
            err_prefix(err, "value");
            return status;
        }
    }
    if (own_key)
        buf_append(key, json_string_value(own_key), json_string_length(own_key));
    else
        make_key(key, topic, content);
    *out_topic = topic;
    *out_null = null;
    return CV_OK;
}

static enum cv_status read_file(const char *path, struct buf *out, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        err_set(err, "%s: %s", path, strerror(errno));
        return CV_FATAL;
    }
    char chunk[8192];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_append(out, chunk, got);
    bool failed = ferror(file) || out->overflow;
    fclose(file);
    if (failed) {
        err_set(err, "%s: cannot be read, or is longer than %u bytes", path, SCHEMA_MAX);
        return CV_FATAL;
    }
    return CV_OK;
}

/* Registers a schema and returns its id. Registering it again gives the same id. */
static enum cv_status register_schema(const char *registry, const char *subject, struct str schema, uint32_t *out_id,
                                      struct err *err)
{
    CV_CLEANUP(buf_done) struct buf url, answer;
    buf_init(&url, 4096);
    buf_init(&answer, SCHEMA_MAX);
    size_t base = strlen(registry);
    while (base && registry[base - 1] == '/')
        base--;
    buf_printf(&url, "%.*s/subjects/%s/versions", (int)base, registry, subject);
    json_t *request = json_pack("{s:s%}", "schema", schema.ptr, schema.len);
    CV_CLEANUP(cv_free_ptr) char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (url.overflow || !body) {
        err_set(err, "subject %.100s: registry URL is too long, or the schema is not UTF-8", subject);
        return CV_FATAL;
    }
    int http;
    enum cv_status status = fetch_post(url.data, REGISTRY_TYPE, str_of(body), REGISTRY_TIMEOUT_MS, &http, &answer, err);
    if (status != CV_OK)
        return status;
    json_t *json = json_loadb(answer.data ? answer.data : "", answer.len, 0, NULL);
    const json_t *id = json_object_get(json, "id");
    bool ok = http == 200 && json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) <= UINT32_MAX;
    if (ok)
        *out_id = (uint32_t)json_integer_value(id);
    else
        err_set(err, "subject %.100s: schema registry answered %d: %.200s", subject, http,
                answer.data ? answer.data : "");
    json_decref(json);
    return ok ? CV_OK : http >= 500 ? CV_RETRY : CV_FATAL;
}

static enum cv_status make_frame(struct topic_schema *topic, struct str schema, const char *registry,
                                 const char *subject, struct err *err)
{
    if (registry) {
        uint32_t id;
        enum cv_status status = register_schema(registry, subject, schema, &id, err);
        if (status != CV_OK)
            return status;
        for (int i = 0; i < 4; i++)
            topic->frame[1 + i] = (char)(id >> (24 - 8 * i));
        topic->frame_len = 5;
        return CV_OK;
    }
    uint64_t fingerprint;
    if (fingerprint_of(schema, &fingerprint, err) != CV_OK)
        return CV_FATAL;
    topic->frame[0] = (char)0xc3;
    topic->frame[1] = 1;
    for (int i = 0; i < 8; i++)
        topic->frame[2 + i] = (char)(fingerprint >> (8 * i));
    topic->frame_len = 10;
    return CV_OK;
}

static enum cv_status open_topic(const struct encoder_options *options, enum topic which, struct topic_schema *topic,
                                 struct err *err)
{
    CV_CLEANUP(buf_done) struct buf path, text;
    buf_init(&path, 4096);
    buf_init(&text, SCHEMA_MAX);
    buf_printf(&path, "%s/%s", options->schema_dir, topic_files[which]);
    if (path.overflow) {
        err_set(err, "schema folder name is too long");
        return CV_FATAL;
    }
    enum cv_status status = read_file(path.data, &text, err);
    if (status != CV_OK)
        return status;
    status = make_frame(topic, (struct str){text.data, text.len}, options->registry, options->subjects[which], err);
    if (status == CV_OK && avro_schema_from_json_length(text.data ? text.data : "", text.len, &topic->schema)) {
        err_set(err, "%s", avro_strerror());
        status = CV_FATAL;
    }
    if (status == CV_OK) {
        topic->class = avro_generic_class_from_schema(topic->schema);
        if (!topic->class || avro_generic_value_new(topic->class, &topic->value)) {
            err_set(err, "%s", avro_strerror());
            status = CV_FATAL;
        }
    }
    if (status != CV_OK)
        err_prefix(err, "%s", path.data);
    return status;
}

enum cv_status encoder_open(const struct encoder_options *options, struct encoder **out_encoder, struct err *err)
{
    struct encoder *encoder = cv_zalloc(sizeof *encoder);
    encoder->writer = avro_writer_memory(NULL, 0);
    enum cv_status status = CV_OK;
    for (int i = 0; i < TOPIC_COUNT && status == CV_OK; i++)
        status = open_topic(options, (enum topic)i, &encoder->topics[i], err);
    if (status != CV_OK) {
        encoder_close(encoder);
        return status;
    }
    *out_encoder = encoder;
    return CV_OK;
}

void encoder_close(struct encoder *encoder)
{
    if (encoder == NULL)
        return;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        struct topic_schema *topic = &encoder->topics[i];
        if (topic->value.iface)
            avro_value_decref(&topic->value);
        if (topic->class)
            avro_value_iface_decref(topic->class);
        if (topic->schema)
            avro_schema_decref(topic->schema);
    }
    avro_writer_free(encoder->writer);
    free(encoder);
}
