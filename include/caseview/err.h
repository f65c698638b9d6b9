/*
 * err.h: one error, set by the function that failed: what failed, on which object, the library's message. A function
 * either returns an error or logs it, never both.
 */
#ifndef CASEVIEW_ERR_H
#define CASEVIEW_ERR_H

#include "caseview/base.h"

struct err {
    char text[512];   /* one line without secrets; a text that is too long ends in "…" */
    char sqlstate[6]; /* PostgreSQL's code, or "" */
};

#define ERR_INIT                   \
    {                              \
        .text = "", .sqlstate = "" \
    }

/*
 * Replaces the text and clears sqlstate. err may be NULL in all functions here. Line ends and other control characters
 * become spaces, invalid UTF-8 becomes "?".
 */
void err_set(struct err *err, const char *fmt, ...) CV_PRINTF(2, 3);

/* Puts "context: " before the text. */
void err_prefix(struct err *err, const char *fmt, ...) CV_PRINTF(2, 3);

/*
 * True when PostgreSQL has no such table, schema or column: `caseview migrate` of this version was not run, or the
 * generation does not exist.
 */
bool err_is_no_schema(const struct err *err);

#endif
