/*
 * base.h: included by every file: attributes, the status type, borrowed strings, checked allocation.
 */
#ifndef CASEVIEW_BASE_H
#define CASEVIEW_BASE_H

#undef NDEBUG /* an assert catches our own bugs and remains active in every build */
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

/* What the caller must do. A function writes its outputs only on CV_OK. */
enum cv_status {
    CV_OK,    /* continue */
    CV_RETRY, /* a service is unreachable or busy: try again later */
    CV_PARK,  /* this event cannot be used: park it and continue */
    CV_HALT,  /* stop this partition; the others continue */
    CV_FATAL, /* end the process: wrong configuration or our bug */
};

/* Exit codes of every program. */
enum cv_exit {
    CV_EXIT_OK = 0,
    CV_EXIT_NO = 1,          /* the answer is no: differences were found, the status is not healthy */
    CV_EXIT_USAGE = 2,       /* wrong usage or configuration */
    CV_EXIT_UNREACHABLE = 3, /* a service could not be reached within the time-out */
    CV_EXIT_BUG = 70,        /* our bug, or out of memory */
    CV_EXIT_OUTPUT = 74,     /* the output could not be written */
};

/* Borrowed bytes, not terminated. ptr == NULL means null as in SQL and JSON; an empty text has ptr != NULL. */
struct str {
    const char *ptr;
    size_t len;
};

#define STR_NULL     ((struct str){NULL, 0})
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

static inline struct str str_of(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

/* True when the bytes are the same; null equals null only. */
static inline bool str_eq(struct str a, struct str b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/*
 * Checked allocation. Running out of memory ends the process with one line (exit code 70): everything that grows with
 * input has its own ceiling (buf, arena, caches), and recovery is built for a worker that has died.
 */
void *cv_alloc(size_t size) CV_MUST_CHECK __attribute__((malloc, returns_nonnull));
void *cv_zalloc(size_t size) CV_MUST_CHECK __attribute__((malloc, returns_nonnull));
void *cv_realloc(void *ptr, size_t size) CV_MUST_CHECK __attribute__((returns_nonnull));
/*
 * Makes room for one more item after the first `count`: the items, perhaps moved; *room items fit, doubled when full.
 */
void *cv_grow(void *items, size_t count, size_t *room, size_t item_size) CV_MUST_CHECK __attribute__((returns_nonnull));
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
