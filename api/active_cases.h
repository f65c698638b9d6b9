/*
 * active_cases.h: the endpoint (contract, section 1): the order of its checks, and its answers. Any thread.
 */
#ifndef CASEVIEW_API_ACTIVE_CASES_H
#define CASEVIEW_API_ACTIVE_CASES_H

#include "auth.h"
#include "caseview/http.h"
#include "caseview/metrics.h"
#include "lookup.h"

#define ANSWER_MAX ((size_t)256 * 1024) /* bytes of a body made by a thread itself; long lists are shared */

struct active_cases;

/* auth is copied; what it points to, and lookup, are borrowed. */
struct active_cases *active_cases_new(const struct auth_options *auth, struct lookup *lookup, struct metrics *metrics);
void active_cases_free(struct active_cases *endpoint);

/* http_handler: context is a struct active_cases. */
void active_cases_handle(void *context, const struct http_request *request, struct http_response *response);
void active_cases_refused(void *context, const struct http_request *request, struct http_response *response);

#endif
