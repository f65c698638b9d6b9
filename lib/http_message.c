#include "caseview/http_message.h"

#include <ctype.h>
#include <strings.h>

#include "caseview/utf8.h"
#include "http_guard.h"

const char *http_header(const struct http_request *request, const char *name, size_t n)
{
    for (int i = 0; i < request->head->field_count; i++)
        if (strcasecmp(request->head->fields[i].name, name) == 0 && n-- == 0)
            return request->head->fields[i].value;
    return NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_decode_segment(struct str text, char *out, size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            out[len++] = text.ptr[i];
            continue;
        }
        int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
        int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        out[len++] = (char)(high << 4 | low);
        i += 2;
    }
    for (size_t i = 0; i < len;) {
        size_t n = out[i] != '\0' ? utf8_length(out + i, len - i) : 0;
        if (n == 0)
            return false;
        i += n;
    }
    *out_len = len;
    return true;
}
