#include "caseview/base.h"

#include <unistd.h>

/* Neither stdio, which may need memory, nor exit(), which runs handlers that may. */
__attribute__((noreturn)) static void die(void)
{
    static const char line[] = "out of memory, exiting\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof line - 1);
    (void)ignored;
    _exit(CV_EXIT_BUG);
}

void *cv_alloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    if (ptr == NULL)
        die();
    return ptr;
}

void *cv_zalloc(size_t size)
{
    void *ptr = calloc(1, size ? size : 1);
    if (ptr == NULL)
        die();
    return ptr;
}

void *cv_realloc(void *ptr, size_t size)
{
    void *bigger = realloc(ptr, size ? size : 1);
    if (bigger == NULL)
        die();
    return bigger;
}

char *cv_strdup(const char *text)
{
    return cv_strndup(text, strlen(text));
}

char *cv_strndup(const char *text, size_t len)
{
    char *copy = cv_alloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

size_t cv_utf8_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : len;
}
