/*
 * Any bytes as a request target, and as If-None-Match: no crash, and a route's ids are GUIDs that lead to the same
 * route.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/etag.h"
#include "api/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_route(struct str path)
{
    struct route route, again;
    char application[UUID_TEXT_LEN + 1], user[UUID_TEXT_LEN + 1], text[256];
    if (!route_match(path, &route) || !route.ids_valid)
        return;
    uuid_format(&route.application, application);
    uuid_format(&route.user, user);
    snprintf(text, sizeof text, "/%s/agents/%s/activeCases", application, user);
    assert(route_match(str_of(text), &again) && again.ids_valid);
    assert(uuid_eq(&route.application, &again.application) && uuid_eq(&route.user, &again.user));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char etag[ETAG_LEN + 1];
    char *text = cv_strndup((const char *)data, size);
    check_route((struct str){(const char *)data, size});
    etag_of((struct str){(const char *)data, size}, etag);
    assert(etag_value_matches(etag, etag) && etag_value_matches("*", etag));
    (void)etag_value_matches(text, etag);
    free(text);
    return 0;
}
