/*
 * request_id.h: X-Request-Id of every answer: the caller's if it is 1–128 of `A–Z a–z 0–9 . _ ~ -`, else a fresh UUID.
 */
#ifndef CASEVIEW_API_REQUEST_ID_H
#define CASEVIEW_API_REQUEST_ID_H

#include "caseview/http.h"

#define REQUEST_ID_MAX 128

/* Once, before threads. */
void request_id_init(void);
/* Puts the field into the response. Returns the id, which is out. */
const char *request_id_put(const struct http_request *request, struct http_response *response,
                           char out[REQUEST_ID_MAX + 1]);

#endif
