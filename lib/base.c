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

void *cv_grow(void *items, size_t count, size_t *room, size_t item_size)
{
    if (count < *room)
        return items;
    *room = *room > 0 ? *room * 2 : 64;
    return cv_realloc(items, *room * item_size);
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
