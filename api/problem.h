/*
 * problem.h: the answers that are no success, as application/problem+json (RFC 9457; contract, section 1). One row a
 * problem: status, stable name, title, and the fields that its answers carry.
 */
#ifndef CASEVIEW_API_PROBLEM_H
#define CASEVIEW_API_PROBLEM_H

#include "caseview/http.h"

enum problem {
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_NO_TOKEN,
    PROBLEM_INVALID_TOKEN,
    PROBLEM_INVALID_ID,
    PROBLEM_APPLICATION_REFUSED,
    PROBLEM_ROLE_MISSING,
    PROBLEM_NO_CURRENT_UNIT,
    PROBLEM_NO_CURRENT_WORKSPACES,
    PROBLEM_UNAVAILABLE,
    PROBLEM_LIST_TOO_LONG,
    PROBLEM_BODY_TOO_LARGE,
    PROBLEM_BAD_REQUEST,
    PROBLEM_HTTP_VERSION,
};

/* Fills the response but for X-Request-Id. detail: one sentence, NULL for the problem's own. */
void problem_answer(struct http_response *response, enum problem problem, const char *detail);

/* Name behind `urn:caseview:problem:` and status, for tests and documentation. */
const char *problem_name(enum problem problem);
int problem_status(enum problem problem);

#endif
