#include "workers/source/plan.h"

#include <stdarg.h>
#include <stdio.h>

#include "workers/source/canonical.h"
#include "workers/source/writer_type.h"

#define ARENA_BLOCK (64u << 10)
/* Far above what a schema of SCHEMA_MAX_BYTES takes in the library, which does not check all of its allocations. */
#define ARENA_MAX (512u << 20)
/* Ceiling of our nodes: a schema that needs more is refused. */
#define NODES_MAX (64u << 20)

/* Ranges of a payload's fields that are cleared apart, and what must be between two of them. */
#define CLEAR_MAX 16
#define CLEAR_GAP 32

struct seen_record {
    struct seen_record *next;
    avro_schema_t schema;
    struct plan_node *node;
};

struct compiler {
    struct arena *arena;
    size_t nodes_bytes;
    bool too_big;
    struct seen_record *ignored; /* records in progress or done: a recursive type comes back to its node */
    const struct reader_topic *topic;
    struct err *err;
};

static struct plan_node *compile_field(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path);

/* NULL: the plan is too big; all callers propagate it. */
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
    if (joined != NULL)
        snprintf(joined, size, "%s%s%s", path, *path ? "." : "", name);
    return joined;
}

static struct plan_node *new_node(struct compiler *compiler, enum plan_op op, const char *path)
{
    struct plan_node *node = alloc(compiler, sizeof *node);
    if (node == NULL)
        return NULL;
    node->op = op;
    node->path = path;
    return node;
}

static bool add_children(struct compiler *compiler, struct plan_node *node, size_t count)
{
    node->children = alloc(compiler, (count ? count : 1) * sizeof *node->children);
    node->child_count = (uint32_t)count;
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

/*
 * Without this, skipping a record of zero bytes could take exponential time: two fields that are records of two fields
 * each, and so on. A record of zero bytes becomes null, and a record with one other field becomes that field.
 */
static void simplify_ignored(struct plan_node *node)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (node->children[i]->skip != SKIP_NULL)
            node->children[kept++] = node->children[i];
    node->child_count = kept;
    if (kept == 0 && node->size == 0)
        node->skip = SKIP_NULL;
    else if (kept == 1 && node->children[0]->complete) /* else it has itself as its field, and no value */
        *node = *node->children[0];
}

/* Compiles types that the reader does not use. */
static struct plan_node *compile_ignored(struct compiler *compiler, avro_schema_t writer)
{
    avro_schema_t schema = writer_type_of(writer).schema;
    for (struct seen_record *seen = is_avro_record(schema) ? compiler->ignored : NULL; seen != NULL; seen = seen->next)
        if (seen->schema == schema)
            return seen->node;
    struct plan_node *node = new_node(compiler, PLAN_SKIP, NULL);
    if (node == NULL)
        return NULL;
    node->skip = writer_type_skip(schema);
    node->size = writer_type_skip_size(schema);
    if (is_avro_record(schema)) {
        struct seen_record *seen = alloc(compiler, sizeof *seen);
        if (seen == NULL)
            return NULL;
        *seen = (struct seen_record){compiler->ignored, schema, node};
        compiler->ignored = seen;
    }
    size_t count = writer_type_children(schema);
    if (!add_children(compiler, node, count))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        node->children[i] = compile_ignored(compiler, writer_type_child(schema, i));
        if (node->children[i] == NULL)
            return NULL;
    }
    if (is_avro_record(schema) || node->skip == SKIP_FIXED)
        simplify_ignored(node);
    node->complete = true;
    return node;
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
    struct plan_node *node = new_node(compiler, PLAN_RECORD, path);
    size_t count = avro_schema_record_size(writer);
    if (node == NULL || !add_children(compiler, node, count))
        return NULL;
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        avro_schema_t type = avro_schema_record_field_get_by_index(writer, (int)i);
        const struct reader_field *field = reader_field_find(record, avro_schema_record_field_name(writer, (int)i));
        if (field != NULL) {
            found |= UINT64_C(1) << (field - record->fields);
            const char *inner = join(compiler, path, field->name);
            node->children[i] = inner != NULL ? compile_field(compiler, type, field, base, inner) : NULL;
        } else {
            node->children[i] = compile_ignored(compiler, type);
        }
        if (node->children[i] == NULL)
            return NULL;
    }
    for (size_t i = 0; i < record->field_count; i++) {
        const struct reader_field *field = &record->fields[i];
        if (!field->nullable && !(found >> i & 1))
            return incompatible(compiler, path, "the writer's schema has no field %s", field->name);
    }
    node->flag = record->present ? base + record->present : 0;
    return node;
}

/* Adds to `map` the bytes of struct event that the record's fields set. */
static void map_fields(const struct reader_record *record, uint32_t base, bool *map)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct reader_field *field = &record->fields[i];
        if (field->record != NULL) {
            map_fields(field->record, base + field->offset, map);
            if (field->record->present != 0)
                map[base + field->offset + field->record->present - 1] = true;
        } else {
            memset(map + base + field->offset, true, reader_field_size(field->type));
        }
        if (field->flag != 0)
            map[base + field->flag - 1] = true;
    }
}

/*
 * A payload's fields that the record leaves out are zero. Only they are cleared: the whole of a case event would be
 * more than half a KiB for a payload of three fields.
 */
static bool add_clear(struct compiler *compiler, struct plan_node *node, const struct reader_payload *payload)
{
    if (compiler->topic != &reader_topics[TOPIC_CASES])
        return true; /* other events are small and cleared as a whole (decode.c) */
    bool map[sizeof(struct event)] = {false};
    map_fields(payload->record, payload->base, map);
    struct plan_range ranges[CLEAR_MAX];
    size_t count = 0;
    for (uint32_t at = 0; at < sizeof map; at++) {
        if (!map[at])
            continue;
        struct plan_range *last = count > 0 ? &ranges[count - 1] : NULL;
        if (last != NULL && (at - last->offset - last->len < CLEAR_GAP || count == CLEAR_MAX))
            last->len = at + 1 - last->offset;
        else
            ranges[count++] = (struct plan_range){at, 1};
    }
    struct plan_range *clear = alloc(compiler, (count ? count : 1) * sizeof *clear);
    if (clear == NULL)
        return false;
    memcpy(clear, ranges, count * sizeof *clear);
    node->clear = clear;
    node->clear_count = count;
    return true;
}

/* A record that the reader knows under another name, or does not know at all, is an unknown type. */
static struct plan_node *compile_payload(struct compiler *compiler, avro_schema_t writer, const char *path)
{
    if (!is_avro_record(writer))
        return incompatible(compiler, path, "the writer has %s, not a record", writer_type_name(writer));
    const char *name = avro_schema_name(writer);
    const struct reader_payload *payload = reader_payload_find(compiler->topic, name);
    if (payload == NULL)
        return compile_ignored(compiler, writer);
    const char *inner = join(compiler, path, name);
    if (inner == NULL)
        return NULL;
    struct plan_node *node = compile_record(compiler, writer, payload->record, payload->base, inner);
    if (node == NULL)
        return NULL;
    node->payload = payload;
    return add_clear(compiler, node, payload) ? node : NULL;
}

static struct plan_node *compile_list(struct compiler *compiler, avro_schema_t writer, const struct reader_field *field,
                                      const char *path)
{
    struct writer_type items = writer_type_of(avro_schema_array_items(writer));
    enum field_type type = field->type == FIELD_GUIDS ? FIELD_GUID : FIELD_TEXT;
    if (!writer_type_fits(&items, type) || !writer_type_logical_fits(&items, type))
        return incompatible(compiler, path, "the writer has an array of %s, not of string",
                            writer_type_name(items.schema));
    struct plan_node *node = new_node(compiler, field->type == FIELD_GUIDS ? PLAN_GUIDS : PLAN_TEXTS, path);
    struct plan_node *item = new_node(compiler, writer_type_op(&items, type), path);
    if (node == NULL || item == NULL || !add_children(compiler, node, 1))
        return NULL;
    item->max = field->max;
    node->children[0] = item;
    return node;
}

static struct plan_node *compile_value(struct compiler *compiler, const struct writer_type *writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    struct plan_node *node = new_node(compiler, writer_type_op(writer, field->type), path);
    if (node == NULL)
        return NULL;
    node->time_unit = writer_type_time(writer);
    node->is_int = is_avro_int32(writer->schema);
    node->offset = field->offset == READER_NOWHERE ? READER_NOWHERE : base + field->offset;
    node->flag = field->flag ? base + field->flag : 0;
    node->max = field->max;
    return node;
}

static struct plan_node *compile_inner(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    if (strcmp(avro_schema_name(writer), field->record->name) != 0)
        return incompatible(compiler, path, "the writer has %.100s, not %s", avro_schema_name(writer),
                            field->record->name);
    return compile_record(compiler, writer, field->record, base + field->offset, path);
}

/* Compiles a type that is not a union. */
static struct plan_node *compile_plain(struct compiler *compiler, const struct writer_type *writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    avro_schema_t schema = writer->schema;
    if (is_avro_null(schema) && field->nullable)
        return compile_ignored(compiler, schema);
    if (!writer_type_fits(writer, field->type))
        return incompatible(compiler, path, "the writer has %s, not %s", writer_type_name(schema), wanted(field));
    if (!writer_type_logical_fits(writer, field->type))
        return incompatible(compiler, path, "the writer's %s has the logical type %.*s", writer_type_name(schema),
                            writer_type_logical_len(writer), writer->logical);
    struct plan_node *node;
    switch (field->type) {
    case FIELD_PAYLOAD:
        return compile_payload(compiler, schema, path);
    case FIELD_GUIDS:
    case FIELD_TEXTS:
        return compile_list(compiler, schema, field, path);
    case FIELD_RECORD:
        node = compile_inner(compiler, schema, field, base, path);
        break;
    default:
        node = compile_value(compiler, writer, field, base, path);
        break;
    }
    if (node != NULL)
        node->given = field->given;
    return node;
}

/* Compiles the branches that can be read. The others are skipped, and their records are wrong-type. */
static struct plan_node *compile_union(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    size_t count = avro_schema_union_size(writer), readable = 0;
    struct plan_node *node = new_node(compiler, PLAN_UNION, path);
    if (node == NULL || !add_children(compiler, node, count))
        return NULL;
    node->mismatches = alloc(compiler, (count ? count : 1) * sizeof *node->mismatches);
    if (node->mismatches == NULL)
        return NULL;
    if (count == 0)
        return incompatible(compiler, path, "the writer has an empty union");
    for (size_t i = 0; i < count; i++) {
        struct writer_type branch = writer_type_of(avro_schema_union_branch(writer, (int)i));
        node->children[i] = compile_plain(compiler, &branch, field, base, path);
        if (node->children[i] != NULL) {
            readable++;
            continue;
        }
        if (compiler->too_big)
            return NULL;
        node->mismatches[i] = arena_str(compiler->arena, str_of(compiler->err->text)).ptr;
        node->children[i] = compile_ignored(compiler, branch.schema);
        if (node->children[i] == NULL)
            return NULL;
    }
    if (readable == 0) {
        err_set(compiler->err, "%s", node->mismatches[0]);
        return NULL;
    }
    return node;
}

static struct plan_node *compile_field(struct compiler *compiler, avro_schema_t writer,
                                       const struct reader_field *field, uint32_t base, const char *path)
{
    struct writer_type type = writer_type_of(writer);
    if (is_avro_union(type.schema))
        return compile_union(compiler, type.schema, field, base, path);
    return compile_plain(compiler, &type, field, base, path);
}

/*
 * The library's allocator while it parses. What the library leaks after an error, or in a recursive schema, is freed
 * with the arena.
 */
static void *arena_allocator(void *arena, void *ptr, size_t old_size, size_t new_size)
{
    if (new_size == 0)
        return NULL;
    void *fresh = arena_alloc(arena, new_size);
    if (fresh != NULL && ptr != NULL)
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
    if (failed || schema == NULL) {
        err_set(err, "not an Avro schema: %.300s", avro_strerror());
        return CV_PARK;
    }
    *out_schema = writer_type_of(schema).schema;
    return CV_OK;
}

/* Uses the reader's names where the writer's aliases have them, unless two things would then have the same name. */
static enum cv_status make_canonical(struct str schema_json, const json_t *externals, struct buf *out, struct err *err)
{
    json_t *json = canonical_parse(schema_json, err);
    if (json == NULL)
        return CV_PARK;
    struct canonical_options options = {.form = CANONICAL_FOR_AVRO_C,
                                        .externals = externals,
                                        .knows_record = reader_knows_record,
                                        .knows_field = reader_knows_field};
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

/* Compiles each type that a body can have three times: completely, for its organizationId alone, and for skipping. */
static bool compile_branch(struct compiler *compiler, struct plan_branch *branch, avro_schema_t schema)
{
    branch->name = arena_str(compiler->arena, str_of(writer_type_name(schema))).ptr;
    branch->topic = TOPIC_COUNT;
    branch->ignored = compile_ignored(compiler, schema);
    if (branch->ignored == NULL)
        return false;
    if (!is_avro_record(schema))
        return true;
    for (int i = 0; i < TOPIC_COUNT; i++)
        if (strcmp(avro_schema_name(schema), reader_topics[i].record->name) == 0)
            branch->topic = (enum topic)i;
    compiler->topic = &reader_topics[branch->topic == TOPIC_COUNT ? TOPIC_CASES : branch->topic];
    branch->organization = compile_record(compiler, schema, &reader_organization, 0, "");
    if (branch->topic == TOPIC_COUNT || compiler->too_big)
        return !compiler->too_big;
    branch->root = compile_record(compiler, schema, compiler->topic->record, 0, "");
    if (branch->root == NULL)
        branch->incompatible = arena_str(compiler->arena, str_of(compiler->err->text)).ptr;
    return !compiler->too_big;
}

static bool compile_branches(struct compiler *compiler, struct schema_plan *plan, avro_schema_t schema)
{
    plan->is_union = is_avro_union(schema);
    plan->branch_count = plan->is_union ? avro_schema_union_size(schema) : 1;
    plan->branches = alloc(compiler, (plan->branch_count ? plan->branch_count : 1) * sizeof *plan->branches);
    bool ok = plan->branches != NULL;
    for (size_t i = 0; ok && i < plan->branch_count; i++) {
        avro_schema_t branch = plan->is_union ? avro_schema_union_branch(schema, (int)i) : schema;
        ok = compile_branch(compiler, &plan->branches[i], writer_type_of(branch).schema);
    }
    return ok;
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
    struct compiler compiler = {.arena = arena, .err = err != NULL ? err : &compile_err};
    avro_schema_t schema;
    plan->arena = arena;
    status = parse(arena, &canonical, &schema, compiler.err);
    if (status == CV_OK && !compile_branches(&compiler, plan, schema))
        status = CV_PARK; /* too big */
    if (status != CV_OK) {
        plan_free(plan);
        return status;
    }
    *out_plan = plan;
    return CV_OK;
}

size_t plan_bytes(const struct schema_plan *plan)
{
    size_t used = arena_used(plan->arena);
    return used < ARENA_BLOCK ? ARENA_BLOCK : used;
}

void plan_free(struct schema_plan *plan)
{
    if (plan != NULL)
        arena_free(plan->arena);
}
