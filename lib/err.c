#include "caseview/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "caseview/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"

/*
 * Copies text as one line; a text that does not fit is cut between two characters and ends in "…". Invalid UTF-8
 * becomes
 * "?": a caller may have cut a text, a library may use another encoding, and the database would refuse it.
 */
static void put_line(struct err *err, const char *text)
{
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
        len--;

    bool cut = len >= sizeof err->text;
    if (cut) {
        len = sizeof err->text - sizeof ELLIPSIS;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(text + i, len - i);
        memcpy(err->text + i, text + i, n);
        if (n == 0 || (unsigned char)text[i] < 0x20)
            err->text[i] = n == 0 ? '?' : ' ';
        i += n ? n : 1;
    }
    memcpy(err->text + len, cut ? ELLIPSIS : "", cut ? sizeof ELLIPSIS : 1);
}

void err_set(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char text[2 * sizeof err->text]; /* a copy: arguments may point into err->text */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_line(err, text);
    err->sqlstate[0] = '\0';
}

bool err_is_no_schema(const struct err *err)
{
    return err != NULL && (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0 ||
                           strcmp(err->sqlstate, "42703") == 0);
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char text[3 * sizeof err->text];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, 2 * sizeof err->text, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len > 2 * sizeof err->text - 1)
        len = 2 * sizeof err->text - 1;
    snprintf(text + len, sizeof text - len, ": %s", err->text);
    put_line(err, text);
}
