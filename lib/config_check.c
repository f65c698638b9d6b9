/* Checks whether a value is one that its option takes. Texts and URLs are never quoted: they may contain a password. */
#include "config_internal.h"

#include <ctype.h>
#include <stdio.h>

#define QUOTE_MAX 60 /* bytes of a wrong value that an error shows */

static struct str trim(struct str text)
{
    while (text.len > 0 && isblank((unsigned char)text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && isblank((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

struct str option_item(const char *list, size_t i)
{
    for (const char *p = list;;) {
        const char *comma = strchrnul(p, ',');
        if (i-- == 0)
            return trim((struct str){p, (size_t)(comma - p)});
        if (*comma == '\0')
            return STR_NULL;
        p = comma + 1;
    }
}

/* Digits with an optional minus and nothing else: strtoll() would take blanks, a plus and hexadecimal digits, too. */
static bool parse_int(const char *text, int64_t *out)
{
    bool minus = *text == '-';
    const char *p = text + minus;
    int64_t value = 0;
    if (*p == '\0')
        return false;
    for (; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *p - '0', &value)) /* downwards: there is one more negative number */
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
        buf_printf(out, "%lld–%lld%s%s", (long long)option->min, (long long)option->max,
                   option->unit != NULL ? " " : "", option->unit != NULL ? option->unit : "");
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
    for (const char *p = words; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, value, n) == 0)
            return len > 0;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* True for HOST:PORT and [V6]:PORT. A host name is not resolved here, only its characters are checked. */
static bool is_listen(struct str text)
{
    char copy[300];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *colon = strrchr(copy, ':');
    if (colon == NULL || colon == copy)
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
        return strspn(copy + 1, "0123456789abcdefABCDEF:.") == len - 2 && strchr(copy + 1, ':') != NULL;
    }
    for (const char *p = copy; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr(".-_", *p) == NULL)
            return false;
    return true;
}

static size_t scheme_len(const char *url)
{
    return strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
}

/* True for a host, with or without its port: `name`, `name:1`, `[V6]:1`. */
static bool is_host(const char *text, size_t len)
{
    char copy[300];
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    bool has_port = copy[0] == '[' ? copy[len - 1] != ']' : strchr(copy, ':') != NULL;
    char with_port[sizeof copy + 2];
    snprintf(with_port, sizeof with_port, "%s%s", copy, has_port ? "" : ":1");
    return is_listen(str_of(with_port));
}

/*
 * What is wrong with a URL, NULL: nothing. It must be read in one way only, so that user and password are known and
 * can be hidden: `http://user:pass/word@host` has the host `user` by the letter and another one by intention.
 */
static const char *url_fault(const char *url, bool is_base)
{
    size_t scheme = scheme_len(url);
    if (scheme == 0)
        return "it must begin with http:// or https://";
    for (const char *p = url; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return "it contains a blank or a control character";
        if (*p == '%' && (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2])))
            return "a % must be followed by two hexadecimal digits (a % itself is written as %25)";
    }
    const char *authority = url + scheme, *rest = authority + strcspn(authority, "/?#");
    if (strchr(rest, '@') != NULL)
        return "an @ must not follow the host: it is written as %40, and a / ? # in user or password as %2F %3F %23";
    const char *userinfo_end = memrchr(authority, '@', (size_t)(rest - authority));
    const char *host = userinfo_end != NULL ? userinfo_end + 1 : authority;
    if (!is_host(host, (size_t)(rest - host)))
        return "its host or port is not valid (a / ? # in user or password is written as %2F %3F %23)";
    if (is_base && strpbrk(rest, "?#") != NULL)
        return "a base URL has neither query nor fragment";
    return NULL;
}

static enum cv_status check_url(const char *origin, const char *value, bool is_base, struct err *err)
{
    const char *fault = url_fault(value, is_base);
    if (fault == NULL)
        return CV_OK;
    err_set(err, "%s: is not a valid URL: %s", origin, fault);
    return CV_FATAL;
}

/* A file's name that looks like a URL without its scheme is refused: errors show file names, but never a password. */
static enum cv_status check_url_or_file(const char *origin, const char *value, struct err *err)
{
    if (strstr(value, "://") != NULL)
        return check_url(origin, value, false, err);
    const char *colon = strchr(value, ':');
    bool like_url = strncmp(value, "http:", 5) == 0 || strncmp(value, "https:", 6) == 0 ||
                    (colon != NULL && strchr(colon, '@') != NULL);
    if (value[0] != '\0' && !like_url)
        return CV_OK;
    err_set(err, "%s: must be a file or a URL that begins with http:// or https://", origin);
    return CV_FATAL;
}

/* An empty item is an error: most likely a comma too many. */
static enum cv_status check_list(const struct option_def *option, const char *origin, const char *value,
                                 struct err *err)
{
    struct str item;
    for (size_t i = 0; (item = option_item(value, i)).ptr != NULL; i++) {
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
        return value[0] != '\0' && value[0] != '=' && strchr(value, '=') != NULL
                   ? CV_OK
                   : refuse(origin, "PROPERTY=VALUE", err);
    case OPTION_URL:
        return check_url(origin, value, true, err);
    case OPTION_URL_OR_FILE:
        return check_url_or_file(origin, value, err);
    case OPTION_FOLDER: /* that it can be read is checked only where it is used */
        return value[0] != '\0' ? CV_OK : refuse(origin, "a folder", err);
    }
    return refuse(origin, "of a known type", err);
}
