#include "http_guard.h"

#include <ctype.h>
#include <strings.h>

/* RFC 9110, section 5.6.2. */
static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(const char *text)
{
    const char *p = text;
    while (is_token_char(*p))
        p++;
    return p != text && *p == '\0';
}

static bool has_space_before_colon(const struct http_field *field)
{
    for (const char *p = field->name + strlen(field->name) + 1; p < field->value; p++)
        if (*p != ' ' && *p != '\t')
            return true;
    return false;
}

const char *http_guard_layout(const struct http_head *head)
{
    const char *end_of_target = head->query != NULL ? head->query : head->target;
    end_of_target += strlen(end_of_target);
    if (!is_token(head->method))
        return "The method is not a token.";
    if (head->target != head->method + strlen(head->method) + 1 || head->version != end_of_target + 1 + strlen("HTTP/"))
        return "The request line has more than one space between its parts.";
    if (head->field_count >= HTTP_FIELDS_MAX)
        return "The request has more than 63 header fields.";

    const char *end = head->version + strlen(head->version);
    for (int i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->name != end + 2)
            return "A header line does not end in CRLF, or the first one starts with a space.";
        if (!is_token(field->name) || has_space_before_colon(field))
            return "A header field's name is not a token right before its colon.";
        end = field->value + strlen(field->value);
    }
    if (end - head->method > HTTP_HEAD_MAX - 32)
        return "The header block is longer than 8 KiB.";
    /* Here end[1] is inside the block in any case; the last CRLF's `\n` is the parser's NUL. */
    if (head->field_count > 0 && (end[1] != '\0' || end[2] != '\r' || end[3] != '\0'))
        return "A header line is folded or does not end in CRLF.";
    return NULL;
}

/* The length of the first `len` bytes of text without the white space at their end. */
static size_t trimmed(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    return len;
}

void http_guard_trim(struct http_head *head, char *text)
{
    for (int i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        size_t len = strlen(field->value);
        size_t kept = trimmed(field->value, len);
        if (kept == len)
            continue;
        memcpy(text, field->value, kept);
        text[kept] = '\0';
        field->value = text;
        text += kept + 1;
    }
}

/* Is `option` one of the comma-separated items of `list`? */
static bool list_has(const char *list, const char *option)
{
    size_t len = strlen(option);
    for (const char *p = list; *p;) {
        p += strspn(p, ", \t");
        size_t item = strcspn(p, ",");
        if (trimmed(p, item) == len && strncasecmp(p, option, len) == 0)
            return true;
        p += item;
    }
    return false;
}

static bool parse_length(const char *text, int64_t *out_length)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 18 || text[len] != '\0')
        return false;
    *out_length = 0;
    for (size_t i = 0; i < len; i++)
        *out_length = *out_length * 10 + (text[i] - '0');
    return true;
}

struct seen {
    int hosts, lengths, codings;
    bool wants_close, wants_keep_alive;
};

static const char *look_at_field(struct http_head *head, const struct http_field *field, struct seen *seen)
{
    switch (tolower((unsigned char)field->name[0])) {
    case 'c':
        if (strcasecmp(field->name, "Content-Length") == 0) {
            if (seen->lengths++ > 0 || !parse_length(field->value, &head->content_length))
                return "Content-Length is not one number.";
        } else if (strcasecmp(field->name, "Connection") == 0) {
            seen->wants_keep_alive |= list_has(field->value, "keep-alive");
            seen->wants_close |= list_has(field->value, "close");
        }
        break;
    case 'e':
        if (strcasecmp(field->name, "Expect") == 0 && strcasecmp(field->value, "100-continue") == 0)
            head->expects_continue = true;
        break;
    case 'h':
        if (strcasecmp(field->name, "Host") == 0)
            seen->hosts++;
        break;
    case 't':
        if (strcasecmp(field->name, "Transfer-Encoding") == 0) {
            if (seen->codings++ > 0 || strcasecmp(field->value, "chunked") != 0)
                return "Transfer-Encoding is not `chunked` alone.";
            head->chunked = true;
        }
        break;
    default:
        break;
    }
    return NULL;
}

const char *http_guard_fields(struct http_head *head)
{
    struct seen seen = {.hosts = 0};
    head->content_length = 0;
    head->chunked = false;
    head->expects_continue = false;
    for (int i = 0; i < head->field_count; i++) {
        const char *why = look_at_field(head, &head->fields[i], &seen);
        if (why != NULL)
            return why;
    }
    bool is_1_1 = strcmp(head->version, "1.1") == 0;
    if (seen.codings > 0 && seen.lengths > 0)
        return "Content-Length and Transfer-Encoding are both given.";
    if (seen.codings > 0 && !is_1_1)
        return "Transfer-Encoding is not part of HTTP/1.0.";
    if (seen.hosts > 1 || (seen.hosts == 0 && is_1_1))
        return "The Host field is missing or given twice.";
    if (!is_1_1)
        head->expects_continue = false;
    head->keep_alive = !seen.wants_close && (is_1_1 || seen.wants_keep_alive);
    return NULL;
}

const char *http_guard_path(struct http_head *head)
{
    const char *path = head->target;
    if (path[0] != '/' && strcmp(path, "*") != 0) {
        if (strncasecmp(path, "http://", 7) == 0)
            path += 7;
        else if (strncasecmp(path, "https://", 8) == 0)
            path += 8;
        else
            return "The request target is neither a path nor an http or https URI.";
        path += strcspn(path, "/?");
        if (*path != '/')
            path = "/";
    }
    head->path = (struct str){path, strcspn(path, "?")};
    return NULL;
}
