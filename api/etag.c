#include "etag.h"

#include <xxhash.h>

void etag_of(struct str body, char out[ETAG_LEN + 1])
{
    XXH128_hash_t hash = XXH3_128bits(body.ptr, body.len);
    const uint64_t halves[] = {hash.high64, hash.low64};
    char *p = out;
    *p++ = '"';
    for (size_t i = 0; i < ARRAY_LEN(halves); i++)
        for (int shift = 60; shift >= 0; shift -= 4)
            *p++ = "0123456789abcdef"[halves[i] >> shift & 15];
    *p++ = '"';
    *p = '\0';
}

static bool is_any(const char *value)
{
    value += strspn(value, " \t");
    return value[0] == '*' && value[1 + strspn(value + 1, " \t")] == '\0';
}

bool etag_value_matches(const char *value, const char *etag)
{
    if (is_any(value))
        return true;
    size_t len = strlen(etag);
    for (const char *p = value + strspn(value, " \t,"); *p; p += strspn(p, " \t,")) {
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        const char *end = *p == '"' ? strchr(p + 1, '"') : NULL;
        if (end == NULL)
            return false;
        end++;
        if ((size_t)(end - p) == len && memcmp(p, etag, len) == 0)
            return true;
        p = end + strspn(end, " \t");
        if (*p && *p != ',')
            return false;
    }
    return false;
}

bool etag_matches(const struct http_request *request, const char *etag)
{
    const char *value;
    for (size_t i = 0; (value = http_header(request, "If-None-Match", i)) != NULL; i++)
        if (etag_value_matches(value, etag))
            return true;
    return false;
}
