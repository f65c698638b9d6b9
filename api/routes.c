#include "routes.h"

#include "caseview/http.h"

enum { SEGMENTS = 4, SEGMENT_MAX = 3 * UUID_TEXT_LEN }; /* a GUID with every character escaped */

static bool is_encoded_slash(const char *p)
{
    return p[0] == '%' && p[1] == '2' && (p[2] == 'F' || p[2] == 'f');
}

static bool has_encoded_slash(struct str text)
{
    for (size_t i = 0; i + 2 < text.len; i++)
        if (is_encoded_slash(text.ptr + i))
            return true;
    return false;
}

/* Exactly SEGMENTS of them, each behind one `/`. */
static bool split(struct str path, struct str out[SEGMENTS])
{
    const char *p = path.ptr;
    const char *end = path.ptr + path.len;
    for (size_t i = 0; i < SEGMENTS; i++) {
        if (p == end || *p != '/')
            return false;
        const char *begin = ++p;
        while (p != end && *p != '/')
            p++;
        out[i] = (struct str){begin, (size_t)(p - begin)};
    }
    return p == end;
}

static bool is_literal(struct str segment, struct str literal)
{
    if (str_eq(segment, literal))
        return true;
    char text[SEGMENT_MAX];
    size_t len;
    return segment.len <= sizeof text && http_decode_segment(segment, text, &len) &&
           str_eq((struct str){text, len}, literal);
}

/* An id segment that is empty, a dot segment (escaped or not) or has an escaped slash makes another route. */
static bool is_id_place(struct str segment)
{
    char text[sizeof "%2e%2e" - 1];
    size_t len;
    if (segment.len == 0 || has_encoded_slash(segment))
        return false;
    if (segment.len > sizeof text || !http_decode_segment(segment, text, &len))
        return true;
    struct str decoded = {text, len};
    return !str_eq(decoded, STR(".")) && !str_eq(decoded, STR(".."));
}

static bool parse_id(struct str segment, struct uuid *out_id)
{
    if (uuid_parse(segment, out_id))
        return true;
    char text[SEGMENT_MAX];
    size_t len;
    return segment.len <= sizeof text && http_decode_segment(segment, text, &len) &&
           uuid_parse((struct str){text, len}, out_id);
}

bool route_match(struct str path, struct route *out_route)
{
    struct str segments[SEGMENTS];
    if (!split(path, segments) || !is_id_place(segments[0]) || !is_literal(segments[1], STR("agents")) ||
        !is_id_place(segments[2]) || !is_literal(segments[3], STR("activeCases")))
        return false;
    struct route route;
    bool application = parse_id(segments[0], &route.application);
    bool user = parse_id(segments[2], &route.user);
    route.ids_valid = application && user;
    *out_route = route;
    return true;
}
