#include "http_answer.h"

#include <time.h>

#include "caseview/clock.h"

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return status < 400 ? "Done" : status < 500 ? "Client Error" : "Internal Server Error";
    }
}

static void put_number(struct buf *out, size_t number)
{
    char digits[20];
    char *p = digits + sizeof digits;
    do
        *--p = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    buf_append(out, p, (size_t)(digits + sizeof digits - p));
}

static void refresh(struct http_date *date)
{
    int64_t now_s = clock_wall_us() / 1000000;
    if (now_s == date->second)
        return;
    time_t time = (time_t)now_s;
    struct tm utc;
    if (gmtime_r(&time, &utc) != NULL && strftime(date->text, sizeof date->text, "%a, %d %b %Y %H:%M:%S GMT", &utc) > 0)
        date->second = now_s;
}

bool http_answer_head(struct buf *out, const struct http_response *response, const struct http_answer_form *form,
                      struct http_date *date)
{
    bool has_body = response->status != 204 && response->status != 304;
    refresh(date);
    buf_str(out, STR("HTTP/1.1 "));
    put_number(out, (size_t)response->status);
    buf_byte(out, ' ');
    buf_puts(out, reason_phrase(response->status));
    buf_str(out, STR("\r\nDate: "));
    buf_append(out, date->text, sizeof date->text - 1);
    buf_str(out, STR("\r\n"));
    if (has_body && response->content_type != NULL) {
        buf_str(out, STR("Content-Type: "));
        buf_puts(out, response->content_type);
        buf_str(out, STR("\r\n"));
    }
    if (has_body) {
        buf_str(out, STR("Content-Length: "));
        put_number(out, response->large.ptr != NULL ? response->large.len : response->body.len);
        buf_str(out, STR("\r\n"));
    }
    buf_append(out, response->headers.data, response->headers.len);
    if (form->keep_alive == NULL)
        buf_str(out, STR("Connection: close\r\n"));
    else if (form->is_1_0)
        buf_str(out, STR("Connection: keep-alive\r\n"));
    if (form->keep_alive != NULL)
        buf_puts(out, form->keep_alive);
    buf_str(out, STR("\r\n"));
    return has_body && !form->is_head;
}
