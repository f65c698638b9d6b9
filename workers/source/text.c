#include "workers/source/text.h"

/*
 * A validator of its own, because the JSON library at hand builds values and so refuses numbers that fit none of its
 * types. It keeps one bit a level instead of recursing.
 */
struct scan {
    const char *p, *end;
    unsigned depth;
    uint64_t in_object[TEXT_JSON_DEPTH_MAX / 64];
    bool bad_escape;
    const char *fault;
};

static bool fail(struct scan *scan, const char *fault)
{
    scan->fault = fault;
    return false;
}

static bool is_digit(const struct scan *scan)
{
    return scan->p < scan->end && *scan->p >= '0' && *scan->p <= '9';
}

static bool take(struct scan *scan, char c)
{
    if (scan->p == scan->end || *scan->p != c)
        return false;
    scan->p++;
    return true;
}

static void skip_space(struct scan *scan)
{
    while (scan->p < scan->end && (*scan->p == ' ' || *scan->p == '\t' || *scan->p == '\n' || *scan->p == '\r'))
        scan->p++;
}

static bool hex4(struct scan *scan, unsigned *out)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        if (scan->p == scan->end)
            return false;
        char c = *scan->p++;
        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            value = value << 4 | ((unsigned)(c | 0x20) - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

/* After \u: four digits, and after a high surrogate the escape of a low one. A lone one is bad text, but still JSON. */
static bool scan_unicode(struct scan *scan)
{
    unsigned unit;
    if (!hex4(scan, &unit))
        return false;
    if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        scan->bad_escape = true;
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    const char *after = scan->p;
    unsigned low;
    if (take(scan, '\\') && take(scan, 'u')) {
        if (!hex4(scan, &low))
            return false;
        if (low >= 0xdc00 && low <= 0xdfff)
            return true;
    }
    scan->bad_escape = true;
    scan->p = after;
    return true;
}

static bool scan_string(struct scan *scan)
{
    while (scan->p < scan->end) {
        uint8_t c = (uint8_t)*scan->p++;
        if (c == '"')
            return true;
        if (c < 0x20)
            return fail(scan, "a control character in a string");
        if (c != '\\')
            continue;
        if (scan->p == scan->end)
            break;
        char escape = *scan->p++;
        if (escape == 'u' ? !scan_unicode(scan) : memchr("\"\\/bfnrt", escape, 8) == NULL)
            return fail(scan, "an unknown escape in a string");
    }
    return fail(scan, "a string is not closed");
}

static bool scan_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0')) {
        if (!is_digit(scan))
            return fail(scan, "a value is missing or unknown");
        while (is_digit(scan))
            scan->p++;
    }
    if (take(scan, '.')) {
        if (!is_digit(scan))
            return fail(scan, "a number without a digit after its point");
        while (is_digit(scan))
            scan->p++;
    }
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        if (!is_digit(scan))
            return fail(scan, "a number without a digit in its exponent");
        while (is_digit(scan))
            scan->p++;
    }
    return true;
}

static bool scan_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(scan->end - scan->p) < len || memcmp(scan->p, word, len) != 0)
        return fail(scan, "a value is missing or unknown");
    scan->p += len;
    return true;
}

static bool scan_key(struct scan *scan)
{
    skip_space(scan);
    if (!take(scan, '"'))
        return fail(scan, "a member's name is missing");
    if (!scan_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':') || fail(scan, "a colon is missing");
}

static bool innermost_is_object(const struct scan *scan)
{
    unsigned level = scan->depth - 1;
    return scan->in_object[level / 64] >> (level % 64) & 1;
}

/* Opens an object or array; *out_empty: it was closed at once. */
static bool scan_open(struct scan *scan, bool object, bool *out_empty)
{
    if (scan->depth == TEXT_JSON_DEPTH_MAX)
        return fail(scan, "nested too deep");
    unsigned level = scan->depth;
    uint64_t bit = UINT64_C(1) << (level % 64);
    scan->in_object[level / 64] = object ? scan->in_object[level / 64] | bit : scan->in_object[level / 64] & ~bit;
    skip_space(scan);
    *out_empty = take(scan, object ? '}' : ']');
    if (*out_empty)
        return true;
    scan->depth++;
    return !object || scan_key(scan);
}

/* One value, or the opening of one: then *out_done is false and its first item comes next. */
static bool scan_value(struct scan *scan, bool *out_done)
{
    skip_space(scan);
    *out_done = true;
    if (scan->p == scan->end)
        return fail(scan, "it ends too early");
    switch (*scan->p) {
    case '{':
    case '[':
        return scan_open(scan, *scan->p++ == '{', out_done);
    case '"':
        scan->p++;
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        return scan_number(scan);
    }
}

/* After a value: closes what ends here. True when another value follows or all is closed (depth 0). */
static bool scan_after(struct scan *scan)
{
    while (scan->depth > 0) {
        bool object = innermost_is_object(scan);
        skip_space(scan);
        if (take(scan, ','))
            return !object || scan_key(scan);
        if (!take(scan, object ? '}' : ']'))
            return fail(scan, "a comma or a closing bracket is missing");
        scan->depth--;
    }
    return true;
}

enum park_reason text_json_object(struct str text, struct str *out_object, const char **out_fault)
{
    struct scan scan = {.p = text.ptr, .end = text.ptr + text.len, .fault = "not a JSON object"};
    skip_space(&scan);
    const char *start = scan.p;
    bool ok = scan.p < scan.end && *scan.p == '{';
    bool done = false;
    while (ok && !(done && scan.depth == 0)) {
        ok = scan_value(&scan, &done);
        if (ok && done)
            ok = scan_after(&scan);
    }
    const char *stop = scan.p;
    if (ok) {
        skip_space(&scan);
        ok = scan.p == scan.end || fail(&scan, "text follows the object");
    }
    if (scan.bad_escape) {
        *out_fault = "an escaped U+0000 or lone surrogate";
        return PARK_BAD_TEXT;
    }
    if (!ok) {
        *out_fault = scan.fault;
        return PARK_BAD_JSON;
    }
    *out_object = (struct str){start, (size_t)(stop - start)};
    return PARK_NONE;
}
