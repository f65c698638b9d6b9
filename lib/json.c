#include "caseview/json.h"

#include "caseview/clock.h"

#include <math.h>
#include <stdio.h>

/* How a byte is written in a string: 0: unchanged, 'u': as \u00xx, otherwise as a backslash and this letter. */
static const char escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    [0x00] = 'u', [0x01] = 'u',  [0x02] = 'u', [0x03] = 'u', [0x04] = 'u', [0x05] = 'u', [0x06] = 'u',
    [0x07] = 'u', [0x0b] = 'u',  [0x0e] = 'u', [0x0f] = 'u', [0x10] = 'u', [0x11] = 'u', [0x12] = 'u',
    [0x13] = 'u', [0x14] = 'u',  [0x15] = 'u', [0x16] = 'u', [0x17] = 'u', [0x18] = 'u', [0x19] = 'u',
    [0x1a] = 'u', [0x1b] = 'u',  [0x1c] = 'u', [0x1d] = 'u', [0x1e] = 'u', [0x1f] = 'u',
};

static void put_escape(struct buf *out, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    if (escapes[byte] == 'u') {
        char text[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
        buf_append(out, text, sizeof text);
    } else {
        char text[2] = {'\\', escapes[byte]};
        buf_append(out, text, sizeof text);
    }
}

void json_quote(struct buf *out, struct str text)
{
    if (text.ptr == NULL) {
        buf_append(out, "null", 4);
        return;
    }
    buf_byte(out, '"');
    const char *end = text.ptr + text.len;
    for (const char *run = text.ptr; run < end;) {
        const char *p = run;
        while (p < end && !escapes[(unsigned char)*p])
            p++;
        buf_append(out, run, (size_t)(p - run));
        if (p < end)
            put_escape(out, (unsigned char)*p++);
        run = p;
    }
    buf_byte(out, '"');
}

void json_uuid(struct buf *out, const struct uuid *uuid)
{
    if (uuid == NULL) {
        buf_append(out, "null", 4);
        return;
    }
    char text[UUID_TEXT_LEN + 3];
    text[0] = '"';
    uuid_format(uuid, text + 1);
    text[UUID_TEXT_LEN + 1] = '"';
    buf_append(out, text, UUID_TEXT_LEN + 2);
}

void json_time(struct buf *out, int64_t us)
{
    char text[CLOCK_ISO_MAX + 2];
    text[0] = '"';
    size_t len = clock_iso(us, text + 1);
    text[len + 1] = '"';
    buf_append(out, text, len + 2);
}

void json_int(struct buf *out, int64_t number)
{
    char text[20];
    char *p = text + sizeof text;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        *--p = '-';
    buf_append(out, p, (size_t)(text + sizeof text - p));
}

void json_begin(struct json_writer *json, struct buf *out)
{
    *json = (struct json_writer){.out = out};
}

/* Writes the comma before an item, and its key. Level d (from 1) has bit d - 1; the top level holds one item. */
static void put_key(struct json_writer *json, const char *key)
{
    if (json->depth > 0) {
        uint32_t bit = UINT32_C(1) << (json->depth - 1);
        if (json->has_items & bit)
            buf_byte(json->out, ',');
        json->has_items |= bit;
    }
    if (key != NULL) {
        json_quote(json->out, str_of(key));
        buf_byte(json->out, ':');
    }
}

/* Notes in `is_array` what the level is, so that json_close() needs no argument. */
static void open_level(struct json_writer *json, const char *key, bool array)
{
    put_key(json, key);
    assert(json->depth < JSON_DEPTH_MAX);
    uint32_t bit = UINT32_C(1) << json->depth++;
    json->has_items &= ~bit;
    json->is_array = array ? json->is_array | bit : json->is_array & ~bit;
    buf_byte(json->out, array ? '[' : '{');
}

void json_open_object(struct json_writer *json, const char *key)
{
    open_level(json, key, false);
}

void json_open_array(struct json_writer *json, const char *key)
{
    open_level(json, key, true);
}

void json_close(struct json_writer *json)
{
    assert(json->depth > 0);
    uint32_t bit = UINT32_C(1) << --json->depth;
    buf_byte(json->out, json->is_array & bit ? ']' : '}');
}

void json_put_str(struct json_writer *json, const char *key, struct str text)
{
    put_key(json, key);
    json_quote(json->out, text);
}

void json_put_text(struct json_writer *json, const char *key, const char *text)
{
    json_put_str(json, key, str_of(text));
}

void json_put_raw(struct json_writer *json, const char *key, struct str text)
{
    put_key(json, key);
    buf_str(json->out, text);
}

void json_put_int(struct json_writer *json, const char *key, int64_t number)
{
    put_key(json, key);
    json_int(json->out, number);
}

void json_put_known(struct json_writer *json, const char *key, int64_t number)
{
    if (number < 0)
        json_put_null(json, key);
    else
        json_put_int(json, key, number);
}

void json_put_double(struct json_writer *json, const char *key, double number)
{
    if (!isfinite(number)) {
        json_put_null(json, key);
        return;
    }
    put_key(json, key);
    char text[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    for (char *p = text; *p != '\0'; p++)
        if (*p == ',')
            *p = '.'; /* decimal point of some locales */
    buf_puts(json->out, text);
}

void json_put_bool(struct json_writer *json, const char *key, bool value)
{
    put_key(json, key);
    buf_puts(json->out, value ? "true" : "false");
}

void json_put_null(struct json_writer *json, const char *key)
{
    put_key(json, key);
    buf_puts(json->out, "null");
}

void json_put_uuid(struct json_writer *json, const char *key, const struct uuid *uuid)
{
    put_key(json, key);
    json_uuid(json->out, uuid);
}

void json_put_time(struct json_writer *json, const char *key, int64_t us)
{
    put_key(json, key);
    if (us == INT64_MIN || us == INT64_MAX)
        buf_puts(json->out, "null");
    else
        json_time(json->out, us);
}
