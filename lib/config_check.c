/* Whether a value is one that its option takes. Texts and URLs are never quoted: they may hold a password. */
#include "config_internal.h"

#include <ctype.h>
#include <stdio.h>

#define QUOTE_MAX 60 /* bytes of a wrong value that an error shows */

static struct str trim(struct str text)
{
    while (text.len && isblank((unsigned char)text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && isblank((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

struct str option_item(const char *list, size_t i)
{
    for (const char *p = list;;) {
        const char *comma = strchrnul(p, ',');
        if (i-- == 0)
            return trim((struct str){p, (size_t)(comma - p)});
        if (!*comma)
            return STR_NULL;
        p = comma + 1;
    }
}

/* Digits with an optional minus, nothing else: no blanks, no plus, no hexadecimal, as strtoll() would take. */
static bool parse_int(const char *text, int64_t *out)
{
    bool minus = *text == '-';
    const char *p = text + minus;
    int64_t value = 0;
    if (!*p)
        return false;
    for (; *p; p++) {
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *p - '0', &value)) /* downwards: the negative side is the longer one */
            return false;
    }
    if (!minus && __builtin_sub_overflow(0, value, &value))
        return false;
    *out = value;
    return true;
}

int64_t option_int(const char *value)
{
    int64_t number = 0;
    bool valid = parse_int(value, &number);
    assert(valid);
    return number;
}

bool option_on(const char *value)
{
    return strcmp(value, "on") == 0;
}

void option_range(const struct option_def *option, struct buf *out)
{
    switch (option->type) {
    case OPTION_INT:
        buf_printf(out, "%lld–%lld%s%s", (long long)option->min, (long long)option->max, option->unit ? " " : "",
                   option->unit ? option->unit : "");
        break;
    case OPTION_CHOICE:
        buf_puts(out, option->choices);
        break;
    case OPTION_FLAG:
        buf_puts(out, "on off");
        break;
    case OPTION_LISTEN:
        buf_puts(out, "HOST:PORT");
        break;
    case OPTION_URL:
        buf_puts(out, "URL");
        break;
    case OPTION_URL_OR_FILE:
        buf_puts(out, "file or URL");
        break;
    case OPTION_FOLDER:
        buf_puts(out, "folder");
        break;
    case OPTION_PAIR:
        buf_puts(out, "PROPERTY=VALUE");
        break;
    case OPTION_TEXT:
        break;
    }
}

static enum cv_status check_int(const struct option_def *option, const char *origin, const char *value, struct err *err)
{
    int64_t number;
    bool valid = parse_int(value, &number);
    if (valid && number >= option->min && number <= option->max)
        return CV_OK;
    struct buf range CV_CLEANUP(buf_done);
    buf_init(&range, 128);
    option_range(option, &range);
    err_set(err, "%s: \"%.*s\" is %s (%s)", origin, QUOTE_MAX, value, valid ? "out of range" : "not a whole number",
            range.data);
    return CV_FATAL;
}

bool config_is_word(const char *words, const char *value)
{
    size_t len = strlen(value);
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, value, n) == 0)
            return len > 0;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* HOST:PORT or [V6]:PORT. A name is not looked up here, only its letters are. */
static bool is_listen(struct str text)
{
    char copy[300];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *colon = strrchr(copy, ':');
    if (!colon || colon == copy)
        return false;
    *colon = '\0';
    int64_t port;
    if (!parse_int(colon + 1, &port) || port < 0 || port > 65535 || colon[1] == '-' || strlen(colon + 1) > 5)
        return false;
    size_t len = strlen(copy);
    if (copy[0] == '[') {
        if (len < 4 || copy[len - 1] != ']')
            return false;
        copy[len - 1] = '\0';
        return strspn(copy + 1, "0123456789abcdefABCDEF:.") == len - 2 && strchr(copy + 1, ':');
    }
    for (const char *p = copy; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(".-_", *p))
            return false;
    return true;
}

static bool is_url(const char *value)
{
    size_t scheme = strncmp(value, "http://", 7) == 0 ? 7 : strncmp(value, "https://", 8) == 0 ? 8 : 0;
    if (!scheme || !value[scheme] || value[scheme] == '/')
        return false;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    return true;
}

/* Items must not be empty: a comma too many is a mistake, not a wish. */
static enum cv_status check_list(const struct option_def *option, const char *origin, const char *value,
                                 struct err *err)
{
    struct str item;
    for (size_t i = 0; (item = option_item(value, i)).ptr; i++) {
        if (item.len == 0) {
            err_set(err, "%s: an item of the list is empty", origin);
            return CV_FATAL;
        }
        if (option->type == OPTION_LISTEN && !is_listen(item)) {
            err_set(err, "%s: \"%.*s\" is not HOST:PORT", origin, item.len > QUOTE_MAX ? QUOTE_MAX : (int)item.len,
                    item.ptr);
            return CV_FATAL;
        }
    }
    return CV_OK;
}

static enum cv_status check_choice(const struct option_def *option, const char *origin, const char *value,
                                   struct err *err)
{
    if (config_is_word(option->choices, value))
        return CV_OK;
    err_set(err, "%s: \"%.*s\" is not one of: %s (%s)", origin, QUOTE_MAX, value, option->choices, option->help);
    return CV_FATAL;
}

static enum cv_status refuse(const char *origin, const char *expected, struct err *err)
{
    err_set(err, "%s: must be %s", origin, expected);
    return CV_FATAL;
}

enum cv_status option_check(const struct option_def *option, const char *origin, const char *value, struct err *err)
{
    switch (option->type) {
    case OPTION_TEXT:
        if ((int64_t)strlen(value) < option->min)
            return refuse(origin, "a text that is not empty", err);
        return option->list ? check_list(option, origin, value, err) : CV_OK;
    case OPTION_INT:
        return check_int(option, origin, value, err);
    case OPTION_CHOICE:
        return check_choice(option, origin, value, err);
    case OPTION_FLAG:
        if (option_on(value) || strcmp(value, "off") == 0)
            return CV_OK;
        err_set(err, "%s: \"%.*s\" is not one of: on off", origin, QUOTE_MAX, value);
        return CV_FATAL;
    case OPTION_LISTEN:
        if (!option->list && !is_listen(trim(str_of(value)))) {
            err_set(err, "%s: \"%.*s\" is not HOST:PORT", origin, QUOTE_MAX, value);
            return CV_FATAL;
        }
        return option->list ? check_list(option, origin, value, err) : CV_OK;
    case OPTION_PAIR:
        return value[0] && value[0] != '=' && strchr(value, '=') ? CV_OK : refuse(origin, "PROPERTY=VALUE", err);
    case OPTION_URL:
        return is_url(value) ? CV_OK : refuse(origin, "a URL that begins with http:// or https://", err);
    case OPTION_URL_OR_FILE:
        if (!value[0] || (strstr(value, "://") && !is_url(value)))
            return refuse(origin, "a file or a URL that begins with http:// or https://", err);
        return CV_OK;
    case OPTION_FOLDER: /* whether it can be read is asked when it is used */
        return value[0] ? CV_OK : refuse(origin, "a folder", err);
    }
    return refuse(origin, "of a known type", err);
}
