#include "workers/source/canonical.h"

#include <stdio.h>

#define MAX_EXTERNAL_TYPES 10000

struct canon {
    const struct canonical_options *options;
    json_t *names;    /* full name in the schema → the name it is written under */
    json_t *written;  /* all names written */
    json_t *wrappers; /* around primitives with a logical type, which are defined once */
    unsigned types;   /* named types so far, for avro-c's namespaces */
    struct buf *out;
    struct err *err;
    unsigned depth;
    unsigned all_types; /* written so far, references too */
};

static bool write_type(struct canon *canon, const json_t *type, const char *space);

static bool fail(struct canon *canon, const char *what, const char *name)
{
    err_set(canon->err, "not an Avro schema: %s%s%.200s", what, name != NULL ? " " : "", name != NULL ? name : "");
    return false;
}

/* The part of a full name after its last dot. */
static const char *short_name_of(const char *full_name)
{
    const char *dot = strrchr(full_name, '.');
    return dot != NULL ? dot + 1 : full_name;
}

static bool is_primitive(const char *name)
{
    static const char *const primitives[] = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"};
    for (size_t i = 0; i < ARRAY_LEN(primitives); i++)
        if (strcmp(name, primitives[i]) == 0)
            return true;
    return false;
}

/* True for a name that the specification and avro-c accept. */
static bool is_strict_name(const char *name)
{
    if (*name >= '0' && *name <= '9')
        return false;
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_'))
            return false;
    return *name != '\0';
}

static bool for_avro_c(const struct canon *canon)
{
    return canon->options->form == CANONICAL_FOR_AVRO_C;
}

/* A name without dots is in the namespace around it; space "" is the null namespace. */
static char *full_name(const char *name, const char *space)
{
    struct buf full;
    buf_init(&full, SIZE_MAX);
    if (*space && strchr(name, '.') == NULL)
        buf_printf(&full, "%s.", space);
    buf_puts(&full, name);
    return full.data;
}

static void quote(struct canon *canon, const char *text)
{
    buf_byte(canon->out, '"');
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20) {
            buf_printf(canon->out, "\\u%04x", (unsigned)*text);
            continue;
        }
        if (*text == '"' || *text == '\\')
            buf_byte(canon->out, '\\');
        buf_byte(canon->out, *text);
    }
    buf_byte(canon->out, '"');
}

/* Logical types. */

#define LOGICAL_MAX 64

/* The name of a wrapper is the logical type's, then two underscores and what is wrapped. */
bool canonical_is_logical(const char *wrapper, const char *logical)
{
    size_t len = strlen(logical);
    return strncmp(wrapper, logical, len) == 0 && strncmp(wrapper + len, "__", 2) == 0;
}

static char *wrapper_name(const char *logical, const char *wrapped)
{
    struct buf name;
    buf_init(&name, SIZE_MAX);
    buf_puts(&name, CANONICAL_LOGICAL ".");
    if (*logical >= '0' && *logical <= '9')
        buf_byte(&name, '_');
    for (size_t i = 0; logical[i] && i < LOGICAL_MAX; i++) {
        char c[2] = {logical[i], '\0'};
        buf_byte(&name, is_strict_name(c) || (*c >= '0' && *c <= '9') ? *c : '_');
    }
    buf_printf(&name, "__%s", wrapped);
    return name.data;
}

/* Opens a wrapper's only field; the caller writes its type and `}]}`. */
static void open_wrapper(struct canon *canon, const char *name)
{
    json_object_set_new(canon->wrappers, name, json_true());
    buf_puts(canon->out, "{\"name\":");
    quote(canon, name);
    buf_puts(canon->out, ",\"type\":\"record\",\"fields\":[{\"name\":\"value\",\"type\":");
}

static void write_logical(struct canon *canon, const char *primitive, const char *logical)
{
    if (!for_avro_c(canon)) {
        buf_puts(canon->out, "{\"type\":");
        quote(canon, primitive);
        buf_puts(canon->out, ",\"logicalType\":");
        quote(canon, logical);
        buf_byte(canon->out, '}');
        return;
    }
    CV_CLEANUP(cv_free_ptr) char *name = wrapper_name(logical, primitive);
    if (json_object_get(canon->wrappers, name) != NULL) {
        quote(canon, name);
        return;
    }
    open_wrapper(canon, name);
    quote(canon, primitive);
    buf_puts(canon->out, "}]}");
}

/* NULL: no logical type, or none that this form keeps. */
static const char *logical_type(const struct canon *canon, const json_t *type)
{
    if (canon->options->form == CANONICAL_FINGERPRINT)
        return NULL;
    return json_string_value(json_object_get(type, "logicalType"));
}

/* Names. */

static bool write_reference(struct canon *canon, const char *name, const char *space)
{
    if (is_primitive(name)) {
        quote(canon, name);
        return true;
    }
    CV_CLEANUP(cv_free_ptr) char *full = full_name(name, space);
    const char *written = json_string_value(json_object_get(canon->names, full));
    if (written != NULL) {
        quote(canon, written);
        return true;
    }
    const json_t *external = json_object_get(canon->options->externals, full);
    if (external != NULL)
        return write_type(canon, external, "");
    return fail(canon, "an unknown type is named:", full);
}

/* The alias of `own` that the reader knows, or own itself. record: the field's record; NULL: own names a record. */
static const char *known_as(struct canon *canon, const json_t *definition, const char *own, const char *record)
{
    const struct canonical_options *options = canon->options;
    if (options->knows_record == NULL)
        return own;
    if (record != NULL ? options->knows_field(record, own) : options->knows_record(short_name_of(own)))
        return own;
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(definition, "aliases"), i, alias)
    {
        const char *name = json_string_value(alias);
        if (name == NULL)
            continue;
        if (record != NULL ? options->knows_field(record, name) : options->knows_record(short_name_of(name)))
            return name;
    }
    return own;
}

static bool has_field(const json_t *fields, const char *name)
{
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field)
    {
        const char *own = json_string_value(json_object_get(field, "name"));
        if (own != NULL && strcmp(own, name) == 0)
            return true;
    }
    return false;
}

/* "_3" and, while another field has that name, with more underscores: no name of the reader's begins with one. */
static char *free_field_name(const json_t *fields, size_t i)
{
    struct buf name;
    buf_init(&name, SIZE_MAX);
    buf_printf(&name, "_%zu", i);
    while (has_field(fields, name.data))
        buf_byte(&name, '_');
    return name.data;
}

static bool write_fields(struct canon *canon, const json_t *fields, const char *record, const char *space)
{
    if (!json_is_array(fields))
        return fail(canon, "no fields in record", record);
    json_t *seen = json_object();
    buf_puts(canon->out, ",\"fields\":[");
    bool ok = true;
    size_t i;
    json_t *field;
    json_array_foreach(fields, i, field)
    {
        const char *name = json_string_value(json_object_get(field, "name"));
        if (name == NULL || *name == '\0') {
            ok = fail(canon, "a field without a name in record", record);
            break;
        }
        const char *known = known_as(canon, field, name, short_name_of(record));
        if (strcmp(known, name) != 0 && !has_field(fields, known) && json_object_get(seen, known) == NULL)
            name = known;
        if (json_object_get(seen, name) != NULL) {
            ok = fail(canon, "two fields have one name in record", record);
            break;
        }
        json_object_set_new(seen, name, json_true());
        buf_puts(canon->out, i ? ",{\"name\":" : "{\"name\":");
        if (for_avro_c(canon) && !is_strict_name(name)) {
            CV_CLEANUP(cv_free_ptr) char *replaced = free_field_name(fields, i);
            quote(canon, replaced);
        } else {
            quote(canon, name);
        }
        buf_puts(canon->out, ",\"type\":");
        if (!write_type(canon, json_object_get(field, "type"), space)) {
            err_prefix(canon->err, "%.100s", name);
            ok = false;
            break;
        }
        buf_byte(canon->out, '}');
    }
    buf_byte(canon->out, ']');
    json_decref(seen);
    return ok;
}

static bool write_symbols(struct canon *canon, const json_t *symbols, const char *name)
{
    if (!json_is_array(symbols))
        return fail(canon, "no symbols in enum", name);
    buf_puts(canon->out, ",\"symbols\":[");
    size_t i;
    json_t *symbol;
    json_array_foreach(symbols, i, symbol)
    {
        const char *text = json_string_value(symbol);
        if (text == NULL || *text == '\0')
            return fail(canon, "a symbol without a name in enum", name);
        if (i)
            buf_byte(canon->out, ',');
        if (for_avro_c(canon))
            buf_printf(canon->out, "\"_%zu\"", i); /* only their number is used */
        else
            quote(canon, text);
    }
    buf_byte(canon->out, ']');
    return true;
}

/* The form writes the size as a bare number, even where the schema has it in quotes. */
static bool write_size(struct canon *canon, const json_t *size, const char *name)
{
    int64_t number = -1;
    if (json_is_integer(size)) {
        number = json_integer_value(size);
    } else if (json_is_string(size)) {
        const char *text = json_string_value(size);
        size_t digits = strspn(text, "0123456789");
        if (digits > 0 && digits < 10 && !text[digits]) {
            number = 0;
            for (; *text; text++)
                number = number * 10 + (*text - '0');
        }
    }
    if (number < 0 || number > INT32_MAX)
        return fail(canon, "an invalid size in fixed", name);
    buf_printf(canon->out, ",\"size\":%lld", (long long)number);
    return true;
}

/* The namespace that a definition opens for the names in it: the part of its full name before the last dot. */
static char *namespace_of(const char *full)
{
    const char *dot = strrchr(full, '.');
    return cv_strndup(full, dot != NULL ? (size_t)(dot - full) : 0);
}

/* The name for avro-c, in a namespace of its own. Valid short names are kept, so the reader's names are. */
static char *avro_c_name(struct canon *canon, const char *full)
{
    struct buf name;
    const char *short_name = short_name_of(full);
    buf_init(&name, SIZE_MAX);
    buf_printf(&name, "n%u.%s", ++canon->types, is_strict_name(short_name) ? short_name : "_");
    return name.data;
}

/*
 * The name under which a type is written; NULL: it is already in use. Two types with the same name are refused. An
 * alias is used only if no type has that name.
 */
static char *take_name(struct canon *canon, const json_t *type, const char *own, bool record)
{
    CV_CLEANUP(cv_free_ptr) char *space = namespace_of(own);
    CV_CLEANUP(cv_free_ptr) char *known = full_name(record ? known_as(canon, type, own, NULL) : own, space);
    const char *taken = json_object_get(canon->written, known) != NULL ? own : known;
    if (json_object_get(canon->names, own) != NULL || json_object_get(canon->written, taken) != NULL)
        return NULL;
    json_object_set_new(canon->written, taken, json_true());
    return for_avro_c(canon) ? avro_c_name(canon, taken) : cv_strdup(taken);
}

static bool write_definition(struct canon *canon, const json_t *type, const char *kind, const char *own,
                             const char *written)
{
    CV_CLEANUP(cv_free_ptr) char *space = namespace_of(own);
    buf_puts(canon->out, "{\"name\":");
    quote(canon, written);
    buf_puts(canon->out, ",\"type\":");
    quote(canon, kind);
    bool ok;
    if (strcmp(kind, "record") == 0)
        ok = write_fields(canon, json_object_get(type, "fields"), written, space);
    else if (strcmp(kind, "enum") == 0)
        ok = write_symbols(canon, json_object_get(type, "symbols"), own);
    else
        ok = write_size(canon, json_object_get(type, "size"), own);
    return ok;
}

/* Writes a fixed with a logical type. Later references name its wrapper. */
static bool write_logical_fixed(struct canon *canon, const json_t *type, const char *own, const char *written)
{
    const char *logical = logical_type(canon, type);
    if (!for_avro_c(canon)) {
        bool ok = write_definition(canon, type, "fixed", own, written);
        buf_puts(canon->out, ",\"logicalType\":");
        quote(canon, logical);
        buf_byte(canon->out, '}');
        return ok;
    }
    char wrapped[32];
    snprintf(wrapped, sizeof wrapped, "fixed_%u", canon->types);
    CV_CLEANUP(cv_free_ptr) char *name = wrapper_name(logical, wrapped);
    json_object_set_new(canon->names, own, json_string(name));
    open_wrapper(canon, name);
    bool ok = write_definition(canon, type, "fixed", own, written);
    buf_puts(canon->out, "}}]}");
    return ok;
}

static bool write_named(struct canon *canon, const json_t *type, const char *kind, const char *space)
{
    const char *name = json_string_value(json_object_get(type, "name"));
    if (name == NULL || *short_name_of(name) == '\0')
        return fail(canon, "a named type without a name:", name != NULL ? name : kind);
    const char *own_space = json_string_value(json_object_get(type, "namespace"));
    CV_CLEANUP(cv_free_ptr) char *own = full_name(name, own_space != NULL ? own_space : space);
    if (is_primitive(own))
        return fail(canon, "a type has the name of a primitive one:", own);
    CV_CLEANUP(cv_free_ptr) char *written = take_name(canon, type, own, strcmp(kind, "record") == 0);
    if (written == NULL)
        return fail(canon, "defined twice:", own);
    json_object_set_new(canon->names, own, json_string(written));
    if (strcmp(kind, "fixed") == 0 && logical_type(canon, type) != NULL)
        return write_logical_fixed(canon, type, own, written);
    bool ok = write_definition(canon, type, kind, own, written);
    buf_byte(canon->out, '}');
    return ok;
}

static bool write_union(struct canon *canon, const json_t *branches, const char *space)
{
    size_t i;
    json_t *branch;
    buf_byte(canon->out, '[');
    json_array_foreach(branches, i, branch)
    {
        if (json_is_array(branch))
            return fail(canon, "a union directly in a union", NULL);
        if (i)
            buf_byte(canon->out, ',');
        if (!write_type(canon, branch, space))
            return false;
    }
    buf_byte(canon->out, ']');
    return true;
}

static bool write_object(struct canon *canon, const json_t *type, const char *space)
{
    const json_t *inner = json_object_get(type, "type");
    if (json_is_object(inner) || json_is_array(inner))
        return write_type(canon, inner, space);
    const char *kind = json_string_value(inner);
    if (kind == NULL)
        return fail(canon, "a type without \"type\"", NULL);
    if (strcmp(kind, "record") == 0 || strcmp(kind, "error") == 0)
        return write_named(canon, type, "record", space);
    if (strcmp(kind, "enum") == 0 || strcmp(kind, "fixed") == 0)
        return write_named(canon, type, kind, space);
    bool array = strcmp(kind, "array") == 0;
    const char *logical = logical_type(canon, type);
    if (logical != NULL && is_primitive(kind)) {
        write_logical(canon, kind, logical);
        return true;
    }
    if (!array && strcmp(kind, "map") != 0)
        return write_reference(canon, kind, space);
    buf_puts(canon->out, array ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":");
    bool ok = write_type(canon, json_object_get(type, array ? "items" : "values"), space);
    buf_byte(canon->out, '}');
    return ok;
}

static bool write_type(struct canon *canon, const json_t *type, const char *space)
{
    if (canon->depth == SCHEMA_MAX_DEPTH)
        return fail(canon, "nested too deep", NULL);
    if (canon->all_types++ == SCHEMA_MAX_TYPES)
        return fail(canon, "too many types", NULL);
    canon->depth++;
    bool ok;
    if (json_is_string(type))
        ok = write_reference(canon, json_string_value(type), space);
    else if (json_is_array(type))
        ok = write_union(canon, type, space);
    else if (json_is_object(type))
        ok = write_object(canon, type, space);
    else
        ok = fail(canon, "a type is missing", NULL);
    canon->depth--;
    return ok;
}

enum cv_status canonical_write(const json_t *schema, const struct canonical_options *options, struct buf *out,
                               struct err *err)
{
    static const struct canonical_options none = {0};
    struct canon canon = {.options = options != NULL ? options : &none,
                          .names = json_object(),
                          .written = json_object(),
                          .wrappers = json_object(),
                          .out = out,
                          .err = err};
    bool ok = write_type(&canon, schema, "");
    json_decref(canon.names);
    json_decref(canon.written);
    json_decref(canon.wrappers);
    if (ok && out->overflow) {
        err_set(err, "the schema is too long");
        ok = false;
    }
    return ok ? CV_OK : CV_PARK;
}

/* Only definitions of named types have one of these members. */
static bool defines_type(const json_t *object)
{
    return json_object_get(object, "fields") != NULL || json_object_get(object, "symbols") != NULL ||
           json_object_get(object, "size") != NULL;
}

enum cv_status canonical_collect(json_t *canonical, json_t *externals, struct err *err)
{
    const char *name = json_string_value(json_object_get(canonical, "name"));
    if (name != NULL && defines_type(canonical) && json_object_get(externals, name) == NULL) {
        if (json_object_size(externals) >= MAX_EXTERNAL_TYPES || json_object_set(externals, name, canonical)) {
            err_set(err, "too many types in referenced schemas");
            return CV_PARK;
        }
    }
    const char *key;
    json_t *value;
    json_object_foreach(canonical, key, value)
    {
        if (canonical_collect(value, externals, err) != CV_OK)
            return CV_PARK;
    }
    size_t i;
    json_array_foreach(canonical, i, value)
    {
        if (canonical_collect(value, externals, err) != CV_OK)
            return CV_PARK;
    }
    return CV_OK;
}

json_t *canonical_parse(struct str text, struct err *err)
{
    json_error_t where;
    json_t *json = json_loadb(text.ptr != NULL ? text.ptr : "", text.len, JSON_DECODE_ANY, &where);
    if (json == NULL)
        err_set(err, "no JSON: line %d, column %d: %s", where.line, where.column, where.text);
    return json;
}
