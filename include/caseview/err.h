/*
 * err.h: one error, filled once by the function that failed: what failed, on which object, the library's own words.
 * A function either returns an error or logs it, never both.
 */
#ifndef CASEVIEW_ERR_H
#define CASEVIEW_ERR_H

#include "caseview/base.h"

struct err {
    char text[512];   /* one line, never a secret, cut at the end with "…" when too long */
    char sqlstate[6]; /* PostgreSQL's code, or "" */
};

#define ERR_INIT {.text = "", .sqlstate = ""}

/*
 * Replaces the text and clears sqlstate. err may be NULL everywhere here. Line ends and other control characters become
 * spaces, what is no UTF-8 becomes "?".
 */
void err_set(struct err *err, const char *fmt, ...) CV_PRINTF(2, 3);

/* Puts "context: " before the text. */
void err_prefix(struct err *err, const char *fmt, ...) CV_PRINTF(2, 3);

/* PostgreSQL says that a table or its schema is not there: `caseview migrate` has not been run, or for another
 * generation. */
bool err_is_no_schema(const struct err *err);

#endif
