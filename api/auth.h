/*
 * auth.h: the access token of a request (contract, section 1, rows 3 and 4): a JWT signed RS256, PS256 or
 * ES256. Header, claims and encoding are checked here; cjose only verifies the signature. Any thread.
 */
#ifndef CASEVIEW_API_AUTH_H
#define CASEVIEW_API_AUTH_H

#include "caseview/http.h"
#include "key_source.h"
#include "tokens.h"

enum auth_outcome {
    AUTH_OK,
    AUTH_NO_TOKEN,      /* row 3 */
    AUTH_INVALID_TOKEN, /* row 4 */
};

struct auth_options {
    const char *const *issuers; /* NULL-terminated, borrowed for the program's life, like all here */
    const char *const *audiences;
    struct key_source *keys;
    struct tokens *tokens;
};

/* out_principal is written on AUTH_OK, out_why (one sentence, static) otherwise. */
enum auth_outcome auth_request(const struct auth_options *options, const struct http_request *request,
                               struct principal *out_principal, const char **out_why);
/* Verifies a bare token, remembered or not. NULL, or why it is refused. */
const char *auth_verify(const struct auth_options *options, struct str token, int64_t now_us,
                        struct principal *out_principal);

#endif
