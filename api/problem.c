#include "problem.h"

#include <stdio.h>

#include "caseview/json.h"

static const struct {
    int status;
    int error_code; /* 0: none */
    const char *name;
    const char *title;
    const char *detail;
    const char *fields;
} problems[] = {
    [PROBLEM_NOT_FOUND] = {404, 0, "not-found", "No such resource",
                           "The path is none of this API's; it is compared exactly, segment by segment.", ""},
    [PROBLEM_METHOD_NOT_ALLOWED] = {405, 0, "method-not-allowed", "Method not allowed",
                                    "This resource can only be read.", "Allow: GET, HEAD, OPTIONS\r\n"},
    [PROBLEM_NO_TOKEN] = {401, 0, "no-token", "No access token", "Send an access token: `Authorization: Bearer …`.",
                          "WWW-Authenticate: Bearer\r\n"},
    [PROBLEM_INVALID_TOKEN] = {401, 0, "invalid-token", "Invalid access token", "The access token is not accepted.",
                               "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"},
    [PROBLEM_INVALID_ID] = {400, 0, "invalid-id", "Invalid identifier",
                            "applicationId and userId must be GUIDs: 8-4-4-4-12 hex digits.", ""},
    [PROBLEM_APPLICATION_REFUSED] =
        {403, 0, "application-refused", "Application refused",
         "The application is unknown or disabled, or the token was not issued to its client.", ""},
    [PROBLEM_ROLE_MISSING] = {403, 0, "role-missing", "Role missing",
                              "The role Agent Impersonator is required, in the token or in the application.", ""},
    [PROBLEM_NO_CURRENT_UNIT] = {403, 0, "no-current-unit", "No current unit",
                                 "No current unit was selected for the user.", ""},
    [PROBLEM_NO_CURRENT_WORKSPACES] = {409, 1011, "no-current-workspaces", "No current workspaces",
                                       "The user has selected no workspaces in the current unit.", ""},
    [PROBLEM_UNAVAILABLE] = {503, 0, "unavailable", "Temporarily unavailable", "Try again in a moment.",
                             "Retry-After: 1\r\n"},
    [PROBLEM_LIST_TOO_LONG] = {503, 0, "list-too-long", "List too long",
                               "The user's list has more than 2,000 cases or 8 MiB; it cannot be answered.",
                               "Retry-After: 60\r\n"},
    [PROBLEM_BODY_TOO_LARGE] = {413, 0, "body-too-large", "Request body too large",
                                "A request body is ignored, and refused above 64 KiB.", ""},
    [PROBLEM_BAD_REQUEST] = {400, 0, "bad-request", "Bad request", "The request is not well-formed HTTP.", ""},
    [PROBLEM_HTTP_VERSION] = {505, 0, "http-version", "HTTP version not supported",
                              "Only HTTP/1.0 and HTTP/1.1 are spoken here.", ""},
};

void problem_answer(struct http_response *response, enum problem problem, const char *detail)
{
    response->status = problems[problem].status;
    response->content_type = "application/problem+json";
    buf_puts(&response->headers, "Cache-Control: no-store\r\n");
    buf_puts(&response->headers, problems[problem].fields);

    char type[64];
    snprintf(type, sizeof type, "urn:caseview:problem:%s", problems[problem].name);
    buf_reset(&response->body);
    struct json_writer json;
    json_begin(&json, &response->body);
    json_open_object(&json, NULL);
    json_put_text(&json, "type", type);
    json_put_text(&json, "title", problems[problem].title);
    json_put_int(&json, "status", problems[problem].status);
    json_put_text(&json, "detail", detail != NULL ? detail : problems[problem].detail);
    if (problems[problem].error_code)
        json_put_int(&json, "errorCode", problems[problem].error_code);
    json_close(&json);
}

const char *problem_name(enum problem problem)
{
    return problems[problem].name;
}

int problem_status(enum problem problem)
{
    return problems[problem].status;
}
