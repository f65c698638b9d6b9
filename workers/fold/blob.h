/*
 * blob.h: how fold/ stores its states: varints (LEB128), little-endian numbers, ids, texts. Private to fold/. Writers
 * do not check the space that their caller reserved. The reader checks everything and accepts only the writers' form
 * (shortest varints), so that equal states have equal bytes.
 */
#ifndef CASEVIEW_FOLD_BLOB_H
#define CASEVIEW_FOLD_BLOB_H

#include <endian.h>

#include "caseview/uuid.h"

#define BLOB_VARINT_MAX 10

static inline char *blob_put_byte(char *at, unsigned byte)
{
    *at = (char)byte;
    return at + 1;
}

static inline char *blob_put_bytes(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static inline char *blob_put_varint(char *at, uint64_t number)
{
    while (number >= 0x80) {
        *at++ = (char)(number | 0x80);
        number >>= 7;
    }
    *at++ = (char)number;
    return at;
}

static inline char *blob_put_u32(char *at, uint32_t number)
{
    number = htole32(number);
    return blob_put_bytes(at, &number, sizeof number);
}

static inline char *blob_put_i64(char *at, int64_t number)
{
    uint64_t wire = htole64((uint64_t)number);
    return blob_put_bytes(at, &wire, sizeof wire);
}

static inline char *blob_put_uuid(char *at, const struct uuid *uuid)
{
    return blob_put_bytes(at, uuid->b, sizeof uuid->b);
}

/* Null is stored as 0, a text of n bytes as n + 1 followed by the bytes. */
static inline char *blob_put_text(char *at, struct str text)
{
    if (text.ptr == NULL)
        return blob_put_byte(at, 0);
    at = blob_put_varint(at, (uint64_t)text.len + 1);
    return blob_put_bytes(at, text.ptr, text.len);
}

/* After the first malformed item ok is false, and every further read returns zero. */
struct blob_reader {
    const char *at;
    const char *end;
    bool ok;
};

static inline struct blob_reader blob_reader(struct str blob)
{
    const char *at = blob.ptr != NULL ? blob.ptr : "";
    return (struct blob_reader){.at = at, .end = at + blob.len, .ok = true};
}

static inline void blob_bad(struct blob_reader *reader)
{
    reader->ok = false;
    reader->at = reader->end;
}

/* True when everything was well-formed and no bytes are left. */
static inline bool blob_finished(const struct blob_reader *reader)
{
    return reader->ok && reader->at == reader->end;
}

static inline size_t blob_left(const struct blob_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* NULL when fewer than len bytes are left. */
static inline const char *blob_get_bytes(struct blob_reader *reader, size_t len)
{
    if (blob_left(reader) < len) {
        blob_bad(reader);
        return NULL;
    }
    const char *at = reader->at;
    reader->at += len;
    return at;
}

static inline unsigned blob_get_byte(struct blob_reader *reader)
{
    const char *at = blob_get_bytes(reader, 1);
    return at != NULL ? (unsigned char)*at : 0;
}

static inline uint64_t blob_get_varint(struct blob_reader *reader)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at == reader->end)
            break;
        uint64_t byte = (unsigned char)*reader->at++;
        if (shift == 63 && byte > 1)
            break;
        number |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0)
                break;
            return number;
        }
    }
    blob_bad(reader);
    return 0;
}

/* A varint that must be within 0 … max. */
static inline int64_t blob_get_upto(struct blob_reader *reader, int64_t max)
{
    uint64_t number = blob_get_varint(reader);
    if (number > (uint64_t)max) {
        blob_bad(reader);
        return 0;
    }
    return (int64_t)number;
}

static inline uint32_t blob_get_u32(struct blob_reader *reader)
{
    const char *at = blob_get_bytes(reader, sizeof(uint32_t));
    uint32_t number = 0;
    if (at != NULL)
        memcpy(&number, at, sizeof number);
    return le32toh(number);
}

static inline int64_t blob_get_i64(struct blob_reader *reader)
{
    const char *at = blob_get_bytes(reader, sizeof(uint64_t));
    uint64_t number = 0;
    if (at != NULL)
        memcpy(&number, at, sizeof number);
    return (int64_t)le64toh(number);
}

static inline struct uuid blob_get_uuid(struct blob_reader *reader)
{
    struct uuid uuid = {{0}};
    const char *at = blob_get_bytes(reader, sizeof uuid.b);
    if (at != NULL)
        memcpy(uuid.b, at, sizeof uuid.b);
    return uuid;
}

/* Borrowed from the blob. */
static inline struct str blob_get_text(struct blob_reader *reader)
{
    uint64_t len = blob_get_varint(reader);
    if (len == 0)
        return STR_NULL;
    const char *at = blob_get_bytes(reader, (size_t)(len - 1));
    return (struct str){at, at != NULL ? (size_t)(len - 1) : 0};
}

/*
 * The sequence that set a group, as its distance from the highest one seen (a small number); 0: never set.
 */
static inline char *blob_put_sequence(char *at, int64_t highest, int64_t sequence)
{
    return blob_put_varint(at, sequence ? (uint64_t)(highest - sequence) + 1 : 0);
}

static inline int64_t blob_get_sequence(struct blob_reader *reader, int64_t highest)
{
    int64_t distance = blob_get_upto(reader, highest);
    return distance ? highest - distance + 1 : 0;
}

#endif
