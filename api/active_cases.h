/*
 * active_cases.h: the endpoint (contract, section 1): the order of its checks, and its answers.
 */
#ifndef CASEVIEW_API_ACTIVE_CASES_H
#define CASEVIEW_API_ACTIVE_CASES_H

#include "auth.h"
#include "caseview/http.h"
#include "caseview/metrics.h"
#include "reader.h"

#define ANSWER_MAX ((size_t)8 * 1024 * 1024) /* bytes of a body; what is longer is answered with 503 */

struct active_cases;

/* auth is copied, what it points to and reader are borrowed. */
struct active_cases *active_cases_new(const struct auth_options *auth, struct reader *reader, struct metrics *metrics);
void active_cases_free(struct active_cases *endpoint);

/* http_handler: context is a struct active_cases. */
void active_cases_handle(void *context, const struct http_request *request, struct http_response *response);
void active_cases_refused(void *context, const struct http_request *request, struct http_response *response);

#endif
