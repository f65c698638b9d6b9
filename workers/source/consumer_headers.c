#include "workers/source/consumer_headers.h"

#include <librdkafka/rdkafka.h>

#include "caseview/base64.h"
#include "caseview/json.h"
#include "caseview/utf8.h"

static rd_kafka_headers_t *headers_of(const struct record *record)
{
    rd_kafka_headers_t *headers;

    if (record->handle == NULL || rd_kafka_message_headers(record->handle, &headers))
        return NULL;
    return headers;
}

struct header {
    struct str name, value;
};

static bool get(const rd_kafka_headers_t *headers, size_t i, struct header *out_header)
{
    const char *name;
    const void *value;
    size_t size;

    if (rd_kafka_header_get_all(headers, i, &name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    *out_header = (struct header){str_of(name), {value, value != NULL ? size : 0}};
    return true;
}

static void put(struct buf *out, const char *text_key, const char *bytes_key, struct str bytes)
{
    if (utf8_valid_no_nul(bytes)) {
        buf_printf(out, "\"%s\":", text_key);
        json_quote(out, bytes);
    } else {
        buf_printf(out, "\"%s\":\"", bytes_key);
        base64_append(out, bytes);
        buf_byte(out, '"');
    }
}

/* A byte becomes at most six (\u0001), so the text of N bytes is no longer than 6 N + 6 times the cost. */
static bool fits(const struct header *header, size_t *left)
{
    size_t cost = header->name.len + header->value.len + CONSUMER_HEADER_COST;

    if (cost > *left)
        return false;
    *left -= cost;
    return true;
}

bool consumer_headers_json(const struct record *record, struct buf *out)
{
    const rd_kafka_headers_t *headers = headers_of(record);
    size_t count = headers != NULL ? rd_kafka_header_cnt(headers) : 0, left = RECORD_MAX_BYTES, i = 0, omitted = 0;
    struct header header;

    if (count == 0)
        return false;
    for (; get(headers, i, &header) && fits(&header, &left); i++) {
        buf_puts(out, i == 0 ? "[{" : ",{");
        put(out, "name", "name_base64", header.name);
        buf_byte(out, ',');
        put(out, "value", "base64", header.value);
        buf_byte(out, '}');
    }
    for (size_t j = i; get(headers, j, &header); j++)
        omitted += header.name.len + header.value.len;
    if (i < count)
        buf_printf(out, "%s{\"truncated\":{\"headers\":%zu,\"bytes\":%zu}}", i == 0 ? "[" : ",", count - i, omitted);
    buf_byte(out, ']');
    return true;
}

size_t consumer_headers_size(const struct record *record)
{
    const rd_kafka_headers_t *headers = headers_of(record);
    struct header header;
    size_t total = 0;

    for (size_t i = 0; headers != NULL && get(headers, i, &header); i++)
        total += header.name.len + 1 + header.value.len;
    return total;
}

/*
 * True: the headers have at most `room` bytes. They follow the value in the broker's answer, of which librdkafka makes
 * no copy, so they end before the next message begins, or before any other object behind them. To parse the headers,
 * even if there are none, is an allocation, and was a twentieth of a worker's CPU time.
 */
static bool have_headers_at_most(const struct record *record, size_t room)
{
    struct str before = record->value.ptr != NULL ? record->value : record->key;
    uintptr_t end = (uintptr_t)before.ptr + before.len, behind = (uintptr_t)record->behind;

    return before.ptr != NULL && behind >= end && behind - end <= room;
}

bool consumer_record_is_too_large(const struct record *record)
{
    size_t size = record->key.len + record->value.len;

    if (size > RECORD_MAX_BYTES)
        return true;
    size_t room = RECORD_MAX_BYTES - size;
    return !have_headers_at_most(record, room) && consumer_headers_size(record) > room;
}

struct trace consumer_headers_trace(const struct record *record)
{
    const rd_kafka_headers_t *headers = headers_of(record);
    struct trace trace = {.text = ""};
    const void *value;
    size_t size;

    if (headers != NULL && !rd_kafka_header_get_last(headers, TRACE_HEADER, &value, &size) && value != NULL)
        (void)trace_parse((struct str){value, size}, &trace);
    return trace;
}
