/* Writes parameters in PostgreSQL's binary format: big-endian numbers; arrays start with five 4-byte fields. */
#include "db_internal.h"

#include <endian.h>

/* Half of the largest message that the server accepts: the other parameters need room, too. */
#define VALUE_MAX ((size_t)1 << 29)

/* PostgreSQL counts timestamps from 2000-01-01. */
#define EPOCH_OFFSET_US INT64_C(946684800000000)

void db_args_init(struct db_args *args, struct arena *arena)
{
    args->arena = arena;
    args->count = 0;
    args->comment = NULL;
    args->failed = false;
}

/* Allocates the next parameter, `size` bytes that the caller fills. NULL: the call has failed. */
static char *add(struct db_args *args, unsigned type, size_t size)
{
    if (args->count == (int)ARRAY_LEN(args->values) || size > VALUE_MAX) {
        args->failed = true;
        return NULL;
    }
    char *value = arena_alloc(args->arena, size);
    if (value == NULL) {
        args->failed = true;
        return NULL;
    }
    int i = args->count++;
    args->types[i] = type;
    args->values[i] = value;
    args->lengths[i] = (int)size;
    return value;
}

static char *put2(char *p, uint16_t value)
{
    value = htobe16(value);
    memcpy(p, &value, sizeof value);
    return p + sizeof value;
}

static char *put4(char *p, uint32_t value)
{
    value = htobe32(value);
    memcpy(p, &value, sizeof value);
    return p + sizeof value;
}

static char *put8(char *p, uint64_t value)
{
    value = htobe64(value);
    memcpy(p, &value, sizeof value);
    return p + sizeof value;
}

void db_arg_null(struct db_args *args, unsigned type_oid)
{
    if (args->count == (int)ARRAY_LEN(args->values)) {
        args->failed = true;
        return;
    }
    int i = args->count++;
    args->types[i] = type_oid;
    args->values[i] = NULL;
    args->lengths[i] = 0;
}

void db_arg_int4(struct db_args *args, int32_t value)
{
    char *p = add(args, DB_INT4, 4);
    if (p != NULL)
        put4(p, (uint32_t)value);
}

void db_arg_int8(struct db_args *args, int64_t value)
{
    char *p = add(args, DB_INT8, 8);
    if (p != NULL)
        put8(p, (uint64_t)value);
}

void db_arg_bool(struct db_args *args, bool value)
{
    char *p = add(args, DB_BOOL, 1);
    if (p != NULL)
        *p = value ? 1 : 0;
}

static void arg_bytes(struct db_args *args, unsigned type, struct str value)
{
    if (value.ptr == NULL) {
        db_arg_null(args, type);
        return;
    }
    char *p = add(args, type, value.len);
    if (p != NULL && value.len > 0)
        memcpy(p, value.ptr, value.len);
}

void db_arg_text(struct db_args *args, struct str value)
{
    arg_bytes(args, DB_TEXT, value);
}

void db_arg_bytea(struct db_args *args, struct str value)
{
    arg_bytes(args, DB_BYTEA, value);
}

void db_arg_uuid(struct db_args *args, const struct uuid *value)
{
    struct str bytes = STR_NULL;
    if (value != NULL)
        bytes = (struct str){(const char *)value->b, sizeof value->b};
    arg_bytes(args, DB_UUID, bytes);
}

enum { ARRAY_HEAD = 20, EMPTY_ARRAY_HEAD = 12 };

/* Allocates an array parameter and writes its head. body: bytes of all items with their length fields. */
static char *add_array(struct db_args *args, unsigned array_type, unsigned item_type, size_t n, size_t body,
                       bool has_nulls)
{
    if (n > VALUE_MAX) {
        args->failed = true;
        return NULL;
    }
    char *p = add(args, array_type, n > 0 ? ARRAY_HEAD + body : EMPTY_ARRAY_HEAD);
    if (p == NULL)
        return NULL;
    p = put4(p, n > 0 ? 1 : 0); /* dimensions */
    p = put4(p, has_nulls);
    p = put4(p, item_type);
    if (n > 0) {
        p = put4(p, (uint32_t)n);
        p = put4(p, 1); /* lower bound */
    }
    return p;
}

static const void *item_at(const void *base, size_t stride, size_t i)
{
    return (const char *)base + i * stride;
}

void db_arg_int2_array(struct db_args *args, const int16_t *base, size_t stride, size_t n)
{
    char *p = add_array(args, DB_INT2_ARRAY, DB_INT2, n, n * 6, false);
    for (size_t i = 0; p != NULL && i < n; i++) {
        const int16_t *item = item_at(base, stride, i);
        p = put2(put4(p, 2), (uint16_t)*item);
    }
}

void db_arg_int4_array(struct db_args *args, const int32_t *base, size_t stride, size_t n)
{
    char *p = add_array(args, DB_INT4_ARRAY, DB_INT4, n, n * 8, false);
    for (size_t i = 0; p != NULL && i < n; i++) {
        const int32_t *item = item_at(base, stride, i);
        p = put4(put4(p, 4), (uint32_t)*item);
    }
}

void db_arg_int8_array(struct db_args *args, const int64_t *base, size_t stride, size_t n)
{
    char *p = add_array(args, DB_INT8_ARRAY, DB_INT8, n, n * 12, false);
    for (size_t i = 0; p != NULL && i < n; i++) {
        const int64_t *item = item_at(base, stride, i);
        p = put8(put4(p, 8), (uint64_t)*item);
    }
}

void db_arg_bool_array(struct db_args *args, const bool *base, size_t stride, size_t n)
{
    char *p = add_array(args, DB_BOOL_ARRAY, DB_BOOL, n, n * 5, false);
    for (size_t i = 0; p != NULL && i < n; i++) {
        const bool *item = item_at(base, stride, i);
        p = put4(p, 1);
        *p++ = *item ? 1 : 0;
    }
}

void db_arg_time_array(struct db_args *args, const int64_t *base, size_t stride, size_t n)
{
    size_t nulls = 0;
    for (size_t i = 0; i < n; i++)
        nulls += *(const int64_t *)item_at(base, stride, i) == INT64_MIN;
    char *p = add_array(args, DB_TIMESTAMPTZ_ARRAY, DB_TIMESTAMPTZ, n, n * 12 - nulls * 8, nulls > 0);
    for (size_t i = 0; p != NULL && i < n; i++) {
        int64_t us = *(const int64_t *)item_at(base, stride, i);
        if (us == INT64_MIN)
            p = put4(p, UINT32_MAX);
        else
            p = put8(put4(p, 8), (uint64_t)(us - EPOCH_OFFSET_US));
    }
}

void db_arg_uuid_array(struct db_args *args, const struct uuid *base, size_t stride, size_t n)
{
    char *p = add_array(args, DB_UUID_ARRAY, DB_UUID, n, n * 20, false);
    for (size_t i = 0; p != NULL && i < n; i++) {
        p = put4(p, 16);
        memcpy(p, item_at(base, stride, i), 16);
        p += 16;
    }
}

void db_arg_uuid_null_array(struct db_args *args, const struct uuid *base, const bool *present, size_t stride, size_t n)
{
    size_t nulls = 0;
    for (size_t i = 0; i < n; i++)
        nulls += !*(const bool *)item_at(present, stride, i);
    char *p = add_array(args, DB_UUID_ARRAY, DB_UUID, n, n * 20 - nulls * 16, nulls > 0);
    for (size_t i = 0; p != NULL && i < n; i++) {
        if (!*(const bool *)item_at(present, stride, i)) {
            p = put4(p, UINT32_MAX);
            continue;
        }
        p = put4(p, 16);
        memcpy(p, item_at(base, stride, i), 16);
        p += 16;
    }
}

static void arg_bytes_array(struct db_args *args, unsigned array_type, unsigned item_type, const struct str *base,
                            size_t stride, size_t n)
{
    size_t body = 0;
    bool has_nulls = false;
    for (size_t i = 0; i < n; i++) {
        const struct str *item = item_at(base, stride, i);
        has_nulls = has_nulls || item->ptr == NULL;
        body += 4 + (item->ptr != NULL ? item->len : 0);
        if (item->len > VALUE_MAX || body > VALUE_MAX) {
            args->failed = true;
            return;
        }
    }
    char *p = add_array(args, array_type, item_type, n, body, has_nulls);
    for (size_t i = 0; p != NULL && i < n; i++) {
        const struct str *item = item_at(base, stride, i);
        p = put4(p, item->ptr != NULL ? (uint32_t)item->len : UINT32_MAX);
        if (item->ptr != NULL && item->len > 0) {
            memcpy(p, item->ptr, item->len);
            p += item->len;
        }
    }
}

void db_arg_text_array(struct db_args *args, const struct str *base, size_t stride, size_t n)
{
    arg_bytes_array(args, DB_TEXT_ARRAY, DB_TEXT, base, stride, n);
}

void db_arg_bytea_array(struct db_args *args, const struct str *base, size_t stride, size_t n)
{
    arg_bytes_array(args, DB_BYTEA_ARRAY, DB_BYTEA, base, stride, n);
}
