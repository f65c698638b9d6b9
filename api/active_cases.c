#include "active_cases.h"

#include <stdio.h>
#include <stdlib.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "etag.h"
#include "problem.h"
#include "request_id.h"
#include "routes.h"

static const int statuses[] = {200, 204, 304, 400, 401, 403, 404, 405, 409, 413, 503, 505};

struct active_cases {
    struct auth_options auth;
    struct lookup *lookup;
    struct metric *by_status[ARRAY_LEN(statuses)];
    struct metric *duration;
};

struct active_cases *active_cases_new(const struct auth_options *auth, struct lookup *lookup, struct metrics *metrics)
{
    struct active_cases *endpoint = cv_zalloc(sizeof *endpoint);
    endpoint->auth = *auth;
    endpoint->lookup = lookup;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "status=\"%d\"", statuses[i]);
        endpoint->by_status[i] = metrics_counter(metrics, "caseview_api_requests_total", labels,
                                                 "Answers by their HTTP status");
    }
    endpoint->duration = metrics_histogram(metrics, "caseview_api_request_seconds", NULL,
                                           "From the request's header read to its answer made");
    return endpoint;
}

void active_cases_free(struct active_cases *endpoint)
{
    free(endpoint);
}

static void count(const struct active_cases *endpoint, int status)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i] == status)
            metric_add(endpoint->by_status[i], 1);
}

static void put_success(const struct http_request *request, struct http_response *response, struct long_list *list)
{
    if (list != NULL) {
        response->large = long_list_text(list);
        response->release = long_list_release;
        response->owner = list;
    }
    char etag[ETAG_LEN + 1];
    etag_of(list != NULL ? response->large : (struct str){response->body.data, response->body.len}, etag);
    response->content_type = "application/json; charset=utf-8";
    buf_str(&response->headers, STR("Cache-Control: private, no-cache\r\nETag: "));
    buf_append(&response->headers, etag, ETAG_LEN);
    buf_str(&response->headers, STR("\r\n"));
    response->status = etag_matches(request, etag) ? 304 : 200;
}

/* Rows 6 to 9: the first that the findings fail. False: none, the list is the answer. */
static bool refuse(const struct findings *findings, bool need_roles, struct http_response *response)
{
    if (!findings->application_accepted)
        problem_answer(response, PROBLEM_APPLICATION_REFUSED, NULL);
    else if (need_roles && !findings->application_has_role)
        problem_answer(response, PROBLEM_ROLE_MISSING, NULL);
    else if (!findings->has_current_unit)
        problem_answer(response, PROBLEM_NO_CURRENT_UNIT, NULL);
    else if (!findings->has_workspaces)
        problem_answer(response, PROBLEM_NO_CURRENT_WORKSPACES, NULL);
    else
        return false;
    return true;
}

/* Rows 6 to 10. */
static void answer_for(const struct active_cases *endpoint, const struct route *route,
                       const struct principal *principal, const struct trace *trace, const struct http_request *request,
                       struct http_response *response)
{
    if (principal->client_len == 0) {
        problem_answer(response, PROBLEM_APPLICATION_REFUSED,
                       principal->client_too_long ? "The token's client id is longer than 1,024 bytes."
                                                  : "The token names no client.");
        return;
    }
    struct question question = {
        .application = route->application,
        .user = route->user,
        .client = {principal->client, principal->client_len},
        .need_roles = !principal->has_role,
        .trace = trace,
    };
    struct lookup_result result;
    switch (lookup_ask(endpoint->lookup, &question, &response->body, &result)) {
    case LOOKUP_UNAVAILABLE:
        problem_answer(response, PROBLEM_UNAVAILABLE, result.why);
        break;
    case LOOKUP_TOO_LONG:
        problem_answer(response, PROBLEM_LIST_TOO_LONG, NULL);
        break;
    case LOOKUP_FOUND:
        if (!refuse(&result.findings, question.need_roles, response))
            put_success(request, response, result.list);
        break;
    }
}

/* In the contract's order; the first check that fails answers. */
static void check_in_order(const struct active_cases *endpoint, const struct trace *trace,
                           const struct http_request *request, struct http_response *response)
{
    struct route route;
    if (!route_match(request->path, &route)) {
        problem_answer(response, PROBLEM_NOT_FOUND, NULL);
        return;
    }
    if (strcmp(request->method, "OPTIONS") == 0) {
        response->status = 204;
        buf_str(&response->headers, STR("Allow: GET, HEAD, OPTIONS\r\n"));
        return;
    }
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        problem_answer(response, PROBLEM_METHOD_NOT_ALLOWED, NULL);
        return;
    }
    struct principal principal;
    const char *why = NULL;
    switch (auth_request(&endpoint->auth, request, &principal, &why)) {
    case AUTH_NO_TOKEN:
        problem_answer(response, PROBLEM_NO_TOKEN, NULL);
        return;
    case AUTH_INVALID_TOKEN:
        problem_answer(response, PROBLEM_INVALID_TOKEN, why);
        return;
    case AUTH_OK:
        break;
    }
    if (!route.ids_valid)
        problem_answer(response, PROBLEM_INVALID_ID, NULL);
    else
        answer_for(endpoint, &route, &principal, trace, request, response);
}

/* The request's trace; not set when it has none, more than one, or one that is not valid. */
static struct trace trace_of(const struct http_request *request)
{
    struct trace trace = {.text = ""};
    const char *given = http_header(request, TRACE_HEADER, 0);

    if (given != NULL && http_header(request, TRACE_HEADER, 1) == NULL)
        (void)trace_parse(str_of(given), &trace);
    return trace;
}

void active_cases_handle(void *context, const struct http_request *request, struct http_response *response)
{
    const struct active_cases *endpoint = context;
    int64_t begin_us = clock_mono_us();
    char id[REQUEST_ID_MAX + 1];
    request_id_put(request, response, id);
    const struct trace trace = trace_of(request);
    check_in_order(endpoint, &trace, request, response);
    count(endpoint, response->status);
    metric_observe_us(endpoint->duration, clock_mono_us() - begin_us);
    log_traced(LOG_LEVEL_DEBUG, &trace, "%s %s %.*s: %d", id, request->method, (int)request->path.len,
               request->path.ptr, response->status);
}

void active_cases_refused(void *context, const struct http_request *request, struct http_response *response)
{
    const struct active_cases *endpoint = context;
    char id[REQUEST_ID_MAX + 1];
    request_id_put(request, response, id);
    enum problem problem = request->refusal_status == 413   ? PROBLEM_BODY_TOO_LARGE
                           : request->refusal_status == 503 ? PROBLEM_UNAVAILABLE
                           : request->refusal_status == 505 ? PROBLEM_HTTP_VERSION
                                                            : PROBLEM_BAD_REQUEST;
    problem_answer(response, problem, request->refusal);
    count(endpoint, response->status);
    const struct trace trace = trace_of(request);
    log_traced(LOG_LEVEL_DEBUG, &trace, "%s refused: %s", id, request->refusal);
}
