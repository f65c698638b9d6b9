#include "workers/source/plan.h"

#include <stdarg.h>
#include <stdio.h>

#define ARENA_BLOCK (64u << 10)
/* Far above what a schema of SCHEMA_MAX_BYTES takes in the library, which does not check all of its allocations. */
#define ARENA_MAX (512u << 20)
/* Our own part: a schema whose nodes need more is refused. */
#define NODES_MAX (64u << 20)

struct seen_record {
    struct seen_record *next;
    avro_schema_t schema;
    struct plan_node *node;
};

struct compiler {
    struct arena *arena;
    size_t nodes_bytes;
    bool too_big;
    struct seen_record *ignored; /* records on the way or done: a recursive type comes back to its node */
    const struct reader_topic *topic;
    struct err *err;
};

static struct plan_node *compile_field(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path);

/* NULL: the plan is too big; all callers pass that on. */
static void *alloc(struct compiler *compiler, size_t size)
{
    compiler->nodes_bytes += size;
    if (compiler->nodes_bytes > NODES_MAX) {
        compiler->too_big = true;
        err_set(compiler->err, "the schema is too big");
        return NULL;
    }
    return arena_zalloc(compiler->arena, size);
}

static const char *join(struct compiler *compiler, const char *path, const char *name)
{
    size_t size = strlen(path) + strlen(name) + 2;
    char *joined = alloc(compiler, size);
    if (joined)
        snprintf(joined, size, "%s%s%s", path, *path ? "." : "", name);
    return joined;
}

static avro_schema_t follow(avro_schema_t schema)
{
    return is_avro_link(schema) ? avro_schema_link_target(schema) : schema;
}

static const char *type_name(avro_schema_t schema)
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

static struct plan_node *new_node(struct compiler *compiler, avro_schema_t schema, const char *path)
{
    struct plan_node *node = alloc(compiler, sizeof *node);
    if (!node)
        return NULL;
    node->consumer.schema = schema;
    node->path = path;
    return node;
}

static bool add_children(struct compiler *compiler, struct plan_node *node, size_t count)
{
    node->children = alloc(compiler, (count ? count : 1) * sizeof *node->children);
    node->child_count = count;
    return node->children != NULL;
}

static CV_PRINTF(3, 4) struct plan_node *incompatible(struct compiler *compiler, const char *path, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(compiler->err, "%.200s: %s", *path ? path : compiler->topic->record->name, text);
    return NULL;
}

/* What the reader does not know. Never left to the library's own skipping, which has no limits. */
static struct plan_node *compile_ignored(struct compiler *compiler, avro_schema_t writer)
{
    avro_schema_t schema = follow(writer);
    for (struct seen_record *seen = is_avro_record(schema) ? compiler->ignored : NULL; seen; seen = seen->next)
        if (seen->schema == schema)
            return seen->node;
    struct plan_node *node = new_node(compiler, schema, NULL);
    if (!node)
        return NULL;
    size_t count = 0;
    switch (avro_typeof(schema)) {
    case AVRO_RECORD: {
        struct seen_record *seen = alloc(compiler, sizeof *seen);
        if (!seen)
            return NULL;
        *seen = (struct seen_record){compiler->ignored, schema, node};
        compiler->ignored = seen;
        count = avro_schema_record_size(schema);
        break;
    }
    case AVRO_UNION:
        count = avro_schema_union_size(schema);
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        count = 1;
        break;
    default:
        break;
    }
    if (!add_children(compiler, node, count))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        avro_schema_t child;
        if (is_avro_record(schema))
            child = avro_schema_record_field_get_by_index(schema, (int)i);
        else if (is_avro_union(schema))
            child = avro_schema_union_branch(schema, (int)i);
        else
            child = is_avro_array(schema) ? avro_schema_array_items(schema) : avro_schema_map_values(schema);
        node->children[i] = compile_ignored(compiler, child);
        if (!node->children[i])
            return NULL;
    }
    if (is_avro_enum(schema))
        node->child_count = (size_t)avro_schema_enum_number_of_symbols(schema);
    consume_ignored(node);
    return node;
}

/* Avro's promotions: int → long → float, bytes ↔ string. */
static bool can_read(enum field_type type, avro_type_t writer)
{
    switch (type) {
    case FIELD_GUID:
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

static const char *wanted(const struct reader_field *field)
{
    switch (field->type) {
    case FIELD_GUID:
    case FIELD_TEXT:
    case FIELD_MEETING:
        return "string";
    case FIELD_TIME:
    case FIELD_SEQUENCE:
        return "long";
    case FIELD_INT:
        return "int";
    case FIELD_RANK:
        return "float";
    case FIELD_BOOL:
        return "boolean";
    case FIELD_RECORD:
        return field->record->name;
    case FIELD_PAYLOAD:
        return "a record";
    case FIELD_GUIDS:
    case FIELD_TEXTS:
        return "an array of strings";
    }
    return "?";
}

static struct plan_node *compile_record(struct compiler *compiler, avro_schema_t writer,
                                        const struct reader_record *record, uint32_t base, const char *path)
{
    struct plan_node *node = new_node(compiler, writer, path);
    size_t count = avro_schema_record_size(writer);
    if (!node || !add_children(compiler, node, count))
        return NULL;
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        avro_schema_t type = avro_schema_record_field_get_by_index(writer, (int)i);
        const struct reader_field *field = reader_field_find(record, avro_schema_record_field_name(writer, (int)i));
        if (field) {
            found |= UINT64_C(1) << (field - record->fields);
            const char *inner = join(compiler, path, field->name);
            node->children[i] = inner ? compile_field(compiler, type, field, base, inner) : NULL;
        } else {
            node->children[i] = compile_ignored(compiler, type);
        }
        if (!node->children[i])
            return NULL;
    }
    for (size_t i = 0; i < record->field_count; i++) {
        const struct reader_field *field = &record->fields[i];
        if (!field->nullable && !(found >> i & 1))
            return incompatible(compiler, path, "the writer's schema has no field %s", field->name);
    }
    node->flag = record->present ? base + record->present : 0;
    consume_record(node);
    return node;
}

/* A record that the reader knows under another name, or does not know at all, is an unknown type. */
static struct plan_node *compile_payload(struct compiler *compiler, avro_schema_t writer, const char *path)
{
    if (!is_avro_record(writer))
        return incompatible(compiler, path, "the writer has %s, not a record", type_name(writer));
    const char *name = avro_schema_name(writer);
    const struct reader_payload *payload = reader_payload_find(compiler->topic, name);
    if (!payload)
        return compile_ignored(compiler, writer);
    const char *inner = join(compiler, path, name);
    if (!inner)
        return NULL;
    struct plan_node *node = compile_record(compiler, writer, payload->record, payload->base, inner);
    if (node) {
        node->payload = payload;
        consume_payload(node);
    }
    return node;
}

static struct plan_node *compile_list(struct compiler *compiler, avro_schema_t writer, const struct reader_field *field,
                                      const char *path)
{
    avro_schema_t items = follow(avro_schema_array_items(writer));
    if (!can_read(FIELD_TEXT, avro_typeof(items)))
        return incompatible(compiler, path, "the writer has an array of %s, not of string", type_name(items));
    struct plan_node *node = new_node(compiler, writer, path);
    struct plan_node *item = new_node(compiler, items, path);
    if (!node || !item || !add_children(compiler, node, 1))
        return NULL;
    node->children[0] = item;
    consume_list_item(item, field->type);
    consume_list(node);
    return node;
}

/* A type that is no union; links are already followed. */
static struct plan_node *compile_plain(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    if (is_avro_null(writer) && field->nullable)
        return compile_ignored(compiler, writer);
    if (!can_read(field->type, avro_typeof(writer)))
        return incompatible(compiler, path, "the writer has %s, not %s", type_name(writer), wanted(field));
    struct plan_node *node;
    switch (field->type) {
    case FIELD_PAYLOAD:
        return compile_payload(compiler, writer, path);
    case FIELD_GUIDS:
    case FIELD_TEXTS:
        return compile_list(compiler, writer, field, path);
    case FIELD_RECORD:
        if (strcmp(avro_schema_name(writer), field->record->name) != 0)
            return incompatible(compiler, path, "the writer has %.100s, not %s", avro_schema_name(writer),
                                field->record->name);
        node = compile_record(compiler, writer, field->record, base + field->offset, path);
        break;
    default:
        node = new_node(compiler, writer, path);
        if (node) {
            node->offset = base + field->offset;
            node->flag = field->flag ? base + field->flag : 0;
            consume_value(node, field->type);
        }
        break;
    }
    if (node)
        node->given = field->given;
    return node;
}

/* Only the branches that can be read are; the others are skipped over and make their records wrong-type. */
static struct plan_node *compile_union(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    size_t count = avro_schema_union_size(writer), readable = 0;
    struct plan_node *node = new_node(compiler, writer, path);
    if (!node || !add_children(compiler, node, count))
        return NULL;
    node->mismatches = alloc(compiler, (count ? count : 1) * sizeof *node->mismatches);
    if (!node->mismatches)
        return NULL;
    if (count == 0)
        return incompatible(compiler, path, "the writer has an empty union");
    for (size_t i = 0; i < count; i++) {
        avro_schema_t branch = follow(avro_schema_union_branch(writer, (int)i));
        node->children[i] = compile_plain(compiler, branch, field, base, path);
        if (node->children[i]) {
            readable++;
            continue;
        }
        if (compiler->too_big)
            return NULL;
        node->mismatches[i] = arena_str(compiler->arena, str_of(compiler->err->text)).ptr;
        node->children[i] = compile_ignored(compiler, branch);
        if (!node->children[i])
            return NULL;
    }
    if (readable == 0) {
        err_set(compiler->err, "%s", node->mismatches[0]);
        return NULL;
    }
    consume_union(node);
    return node;
}

static struct plan_node *compile_field(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    avro_schema_t schema = follow(writer);
    if (is_avro_union(schema))
        return compile_union(compiler, schema, field, base, path);
    return compile_plain(compiler, schema, field, base, path);
}

/* The library's allocator while it parses: what it leaks on the way of an error, or in a recursive schema, goes with
 * the arena. */
static void *arena_allocator(void *arena, void *ptr, size_t old_size, size_t new_size)
{
    if (new_size == 0)
        return NULL;
    void *fresh = arena_alloc(arena, new_size);
    if (fresh && ptr)
        memcpy(fresh, ptr, old_size < new_size ? old_size : new_size);
    return fresh;
}

static enum cv_status parse(struct arena *arena, const struct buf *canonical, avro_schema_t *out_schema,
                            struct err *err)
{
    struct avro_allocator_state outer = AVRO_CURRENT_ALLOCATOR;
    avro_schema_t schema = NULL;
    avro_set_error("%s", "");
    avro_set_allocator(arena_allocator, arena);
    int failed = avro_schema_from_json_length(canonical->data, canonical->len, &schema);
    avro_set_allocator(outer.alloc, outer.user_data);
    if (failed || !schema) {
        err_set(err, "no Avro schema: %.300s", avro_strerror());
        return CV_PARK;
    }
    *out_schema = follow(schema);
    return CV_OK;
}

/* With the reader's names where the writer's aliases give them; a schema in which that names two things alike, without.
 */
static enum cv_status make_canonical(struct str schema_json, const json_t *externals, struct buf *out, struct err *err)
{
    json_t *json = canonical_parse(schema_json, err);
    if (!json)
        return CV_PARK;
    struct canonical_options options = {
        .externals = externals, .knows_record = reader_knows_record, .knows_field = reader_knows_field};
    enum cv_status status = canonical_write(json, &options, out, err);
    if (status != CV_OK) {
        options.knows_record = NULL;
        options.knows_field = NULL;
        buf_reset(out);
        status = canonical_write(json, &options, out, err);
    }
    json_decref(json);
    return status;
}

static enum cv_status compile_root(struct compiler *compiler, struct schema_plan *plan, avro_schema_t schema)
{
    plan->name = arena_str(plan->arena, str_of(type_name(schema))).ptr;
    plan->topic = TOPIC_COUNT;
    for (int i = 0; i < TOPIC_COUNT; i++)
        if (is_avro_record(schema) && strcmp(avro_schema_name(schema), reader_topics[i].record->name) == 0)
            plan->topic = (enum topic)i;
    if (plan->topic == TOPIC_COUNT)
        return CV_OK;
    compiler->topic = &reader_topics[plan->topic];
    plan->root = compile_record(compiler, schema, compiler->topic->record, 0, "");
    if (compiler->too_big)
        return CV_PARK;
    if (!plan->root)
        plan->incompatible = arena_str(plan->arena, str_of(compiler->err->text)).ptr;
    return CV_OK;
}

enum cv_status plan_compile(struct str schema_json, const json_t *externals, struct schema_plan **out_plan,
                            struct err *err)
{
    CV_CLEANUP(buf_done) struct buf canonical;
    buf_init(&canonical, SCHEMA_MAX_BYTES);
    enum cv_status status = make_canonical(schema_json, externals, &canonical, err);
    if (status != CV_OK)
        return status;
    struct arena *arena = arena_new(ARENA_BLOCK, ARENA_MAX);
    struct schema_plan *plan = arena_zalloc(arena, sizeof *plan);
    struct err compile_err = ERR_INIT;
    struct compiler compiler = {.arena = arena, .err = err ? err : &compile_err};
    avro_schema_t schema;
    plan->arena = arena;
    status = parse(arena, &canonical, &schema, compiler.err);
    if (status == CV_OK)
        status = compile_root(&compiler, plan, schema);
    if (status != CV_OK) {
        plan_free(plan);
        return status;
    }
    *out_plan = plan;
    return CV_OK;
}

void plan_free(struct schema_plan *plan)
{
    if (plan)
        arena_free(plan->arena);
}
