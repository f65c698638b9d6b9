#include "workers/ops/parked_print.h"

#include <stdio.h>

#include "caseview/base64.h"
#include "caseview/clock.h"
#include "caseview/json.h"

#define BYTES_PER_LINE 16

static void put_base64(struct buf *out, struct str bytes)
{
    if (bytes.ptr == NULL) {
        buf_puts(out, "null");
        return;
    }
    buf_byte(out, '"');
    base64_append(out, bytes);
    buf_byte(out, '"');
}

static void put_hex(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        buf_byte(out, digits[(unsigned char)bytes.ptr[i] >> 4]);
        buf_byte(out, digits[bytes.ptr[i] & 15]);
    }
}

void parked_print_readable(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        buf_byte(out, bytes.ptr[i] >= ' ' && bytes.ptr[i] <= '~' ? bytes.ptr[i] : '.');
}

/* ---- JSON ---- */

static void member(struct buf *out, const char *name)
{
    buf_printf(out, ",\"%s\":", name);
}

static void put_time(struct buf *out, int64_t us)
{
    if (us >= CLOCK_MIN_US && us <= CLOCK_MAX_US)
        json_time(out, us);
    else
        buf_puts(out, "null");
}

static void put_common(const struct parked_row *row, struct buf *out)
{
    buf_puts(out, "{\"topic\":");
    json_quote(out, row->topic);
    member(out, "partition");
    json_int(out, row->part);
    member(out, "offset");
    json_int(out, row->offset);
    member(out, "timestamp");
    put_time(out, row->record_us);
    member(out, "organization_id");
    json_uuid(out, row->has_organization ? &row->organization_id : NULL);
    member(out, "headers");
    buf_str(out, row->headers.ptr != NULL ? row->headers : STR("[]"));
    member(out, "reason");
    json_quote(out, row->reason);
    member(out, "text");
    json_quote(out, row->text);
    member(out, "parked_at");
    put_time(out, row->parked_us);
}

void parked_print_export(const struct parked_row *row, struct buf *out)
{
    put_common(row, out);
    member(out, "key");
    put_base64(out, row->key);
    member(out, "value");
    put_base64(out, row->value);
    buf_puts(out, "}\n");
}

static void put_bytes_members(struct buf *out, const char *name, struct str bytes)
{
    buf_printf(out, ",\"%s_hex\":", name);
    if (bytes.ptr != NULL) {
        buf_byte(out, '"');
        put_hex(out, bytes);
        buf_byte(out, '"');
    } else {
        buf_puts(out, "null");
    }
    struct buf readable CV_CLEANUP(buf_done);
    buf_init(&readable, bytes.len + 1);
    parked_print_readable(&readable, bytes);
    buf_printf(out, ",\"%s_text\":", name);
    json_quote(out,
               bytes.ptr != NULL ? (struct str){readable.data != NULL ? readable.data : "", readable.len} : STR_NULL);
}

/* ---- text ---- */

static void put_dump(struct buf *out, const char *name, struct str bytes)
{
    if (bytes.ptr == NULL) {
        buf_printf(out, "%s: none\n", name);
        return;
    }
    buf_printf(out, "%s: %zu bytes\n", name, bytes.len);
    for (size_t at = 0; at < bytes.len; at += BYTES_PER_LINE) {
        size_t count = bytes.len - at < BYTES_PER_LINE ? bytes.len - at : BYTES_PER_LINE;
        struct str line = {bytes.ptr + at, count};
        buf_printf(out, "  %06zx  ", at);
        for (size_t i = 0; i < BYTES_PER_LINE; i++)
            if (i < count)
                buf_printf(out, "%02x ", (unsigned char)line.ptr[i]);
            else
                buf_puts(out, "   ");
        buf_byte(out, ' ');
        parked_print_readable(out, line);
        buf_byte(out, '\n');
    }
}

static void put_line_time(struct buf *out, const char *name, int64_t us)
{
    char text[CLOCK_ISO_MAX + 1] = "unknown";
    if (us >= CLOCK_MIN_US && us <= CLOCK_MAX_US)
        text[clock_iso(us, text)] = '\0';
    buf_printf(out, "%s: %s\n", name, text);
}

static void put_text(const struct parked_row *row, const char *decoding, struct buf *out)
{
    char organization[UUID_TEXT_LEN + 1] = "unknown";
    if (row->has_organization)
        uuid_format(&row->organization_id, organization);
    buf_printf(out, "%.*s/%d offset %" PRId64 "\n", (int)row->topic.len, row->topic.ptr, row->part, row->offset);
    buf_printf(out, "reason: %.*s: %.*s\n", (int)row->reason.len, row->reason.ptr, (int)row->text.len, row->text.ptr);
    buf_printf(out, "decoding now: %s\n", decoding);
    put_line_time(out, "parked at", row->parked_us);
    put_line_time(out, "timestamp", row->record_us);
    buf_printf(out, "organization: %s\n", organization);
    buf_puts(out, "headers: ");
    buf_str(out, row->headers.ptr != NULL ? row->headers : STR("none"));
    buf_byte(out, '\n');
    put_dump(out, "key", row->key);
    put_dump(out, "value", row->value);
}

void parked_print_show(const struct parked_row *row, const char *decoding, bool json, struct buf *out)
{
    if (!json) {
        put_text(row, decoding, out);
        return;
    }
    put_common(row, out);
    put_bytes_members(out, "key", row->key);
    put_bytes_members(out, "value", row->value);
    member(out, "decoding");
    json_quote(out, str_of(decoding));
    buf_puts(out, "}\n");
}
