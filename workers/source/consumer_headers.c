#include "caseview/json.h"
#include "workers/source/consumer_internal.h"

static rd_kafka_headers_t *headers_of(const struct record *record)
{
    rd_kafka_headers_t *headers;

    if (!record->handle || rd_kafka_message_headers(record->handle, &headers))
        return NULL;
    return headers;
}

/* Length of the valid UTF-8 sequence at s (RFC 3629), 0: none. U+0000 is none either: jsonb cannot hold it. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const struct {
        unsigned char first, last, low, high; /* range of the first byte, and of the second with it */
        size_t length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    if (s[0] < 0x80)
        return s[0] != 0;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last)
            continue;
        if (left < forms[i].length || s[1] < forms[i].low || s[1] > forms[i].high)
            return 0;
        for (size_t j = 2; j < forms[i].length; j++)
            if ((s[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static bool is_text(const void *data, size_t size)
{
    const unsigned char *bytes = data;

    for (size_t at = 0; at < size;) {
        size_t length = utf8_length(bytes + at, size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

static void base64(struct buf *out, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = data;

    buf_byte(out, '"');
    for (size_t at = 0; at < size; at += 3) {
        unsigned second = at + 1 < size ? bytes[at + 1] : 0, third = at + 2 < size ? bytes[at + 2] : 0;
        unsigned group = (unsigned)bytes[at] << 16 | second << 8 | third;
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63], digits[group & 63]};
        if (at + 1 >= size)
            four[2] = '=';
        if (at + 2 >= size)
            four[3] = '=';
        buf_append(out, four, sizeof four);
    }
    buf_byte(out, '"');
}

static void put(struct buf *out, const char *text_key, const char *bytes_key, const void *data, size_t size)
{
    if (!data || is_text(data, size)) {
        buf_printf(out, "\"%s\":", text_key);
        json_quote(out, data ? (struct str){data, size} : STR_NULL);
    } else {
        buf_printf(out, "\"%s\":", bytes_key);
        base64(out, data, size);
    }
}

bool consumer_headers_json(const struct record *record, struct buf *out)
{
    rd_kafka_headers_t *headers = headers_of(record);
    const char *name;
    const void *value;
    size_t size;

    if (!headers || rd_kafka_header_cnt(headers) == 0)
        return false;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        buf_puts(out, i == 0 ? "[{" : ",{");
        put(out, "name", "name_base64", name, strlen(name));
        buf_byte(out, ',');
        put(out, "value", "base64", value, size);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
    return true;
}

size_t consumer_headers_size(const struct record *record)
{
    rd_kafka_headers_t *headers = headers_of(record);
    const char *name;
    const void *value;
    size_t size, total = 0;

    for (size_t i = 0;
         headers && rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        total += strlen(name) + 1 + size;
    return total;
}
