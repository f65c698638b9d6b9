/*
 * base.h: what every file needs: attributes, the status type, borrowed strings, checked allocation.
 */
#ifndef CASEVIEW_BASE_H
#define CASEVIEW_BASE_H

#undef NDEBUG /* an assert names a bug of ours and stays on in every build */
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CV_MUST_CHECK       __attribute__((warn_unused_result))
#define CV_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define CV_CLEANUP(fn)      __attribute__((cleanup(fn)))
#define CV_UNUSED           __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A partition as every log line and error names it: log_warn(PARTITION_FMT ": …", PARTITION_ARG(name, number)). */
#define PARTITION_FMT               "%s/%" PRId32
#define PARTITION_ARG(name, number) (name), (int32_t)(number)

/* What the caller must do next. Outputs of a function are written only on CV_OK. */
enum cv_status {
    CV_OK,    /* done */
    CV_RETRY, /* a service is away or busy: the same again later */
    CV_PARK,  /* this one event is bad: store it and go on */
    CV_HALT,  /* this partition must stop, the others go on */
    CV_FATAL, /* the process cannot go on: wrong configuration or a bug of ours */
};

/* Exit codes of every program. */
enum cv_exit {
    CV_EXIT_OK = 0,
    CV_EXIT_NO = 1,          /* the question was answered "no" */
    CV_EXIT_USAGE = 2,       /* wrong usage or configuration */
    CV_EXIT_UNREACHABLE = 3, /* a service could not be reached in the time given */
    CV_EXIT_BUG = 70,
    CV_EXIT_OUTPUT = 74, /* the output could not be written */
};

/* A borrowed run of bytes, not terminated. ptr == NULL is SQL's and JSON's null; an empty text has ptr != NULL. */
struct str {
    const char *ptr;
    size_t len;
};

#define STR_NULL     ((struct str){NULL, 0})
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

/* Same bytes; null equals only null. */
static inline bool str_eq(struct str a, struct str b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Length of the valid UTF-8 character at text (RFC 3629), of which `left` > 0 bytes are there; 0: it is none. */
size_t cv_utf8_length(const char *text, size_t left);

/*
 * Memory that cannot be had ends the process with one line (exit code 70): everything that grows with input has a
 * ceiling of its own (buf, arena, caches), and a dead worker is the case that recovery is built for.
 */
void *cv_alloc(size_t size) CV_MUST_CHECK __attribute__((malloc, returns_nonnull));
void *cv_zalloc(size_t size) CV_MUST_CHECK __attribute__((malloc, returns_nonnull));
void *cv_realloc(void *ptr, size_t size) CV_MUST_CHECK __attribute__((returns_nonnull));
char *cv_strdup(const char *text) CV_MUST_CHECK __attribute__((malloc, returns_nonnull));
char *cv_strndup(const char *text, size_t len) CV_MUST_CHECK __attribute__((malloc, returns_nonnull));

/* For CV_CLEANUP(cv_free_ptr) on a local `char *` or `void *`. */
static inline void cv_free_ptr(void *pointer_to_pointer)
{
    void *ptr;
    memcpy(&ptr, pointer_to_pointer, sizeof ptr);
    free(ptr);
}

#endif
