#include "caseview/base64.h"
#include "caseview/json.h"
#include "caseview/utf8.h"
#include "workers/source/consumer_internal.h"

static rd_kafka_headers_t *headers_of(const struct record *record)
{
    rd_kafka_headers_t *headers;

    if (!record->handle || rd_kafka_message_headers(record->handle, &headers))
        return NULL;
    return headers;
}

static void put(struct buf *out, const char *text_key, const char *bytes_key, const void *data, size_t size)
{
    struct str bytes = {data, data ? size : 0};

    if (utf8_valid_no_nul(bytes)) {
        buf_printf(out, "\"%s\":", text_key);
        json_quote(out, bytes);
    } else {
        buf_printf(out, "\"%s\":\"", bytes_key);
        base64_append(out, bytes);
        buf_byte(out, '"');
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
