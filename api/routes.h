/*
 * routes.h: the one route, `/{applicationId}/agents/{userId}/activeCases` (contract, section 1). The path is split at
 * `/` as sent; literals are compared after one percent-decoding.
 */
#ifndef CASEVIEW_API_ROUTES_H
#define CASEVIEW_API_ROUTES_H

#include "caseview/base.h"
#include "caseview/uuid.h"

struct route {
    bool ids_valid; /* false: a segment in the place of an id is no GUID (row 5, asked only after the token) */
    struct uuid application;
    struct uuid user;
};

/* False: no such route (row 1). Else out_route is filled. */
bool route_match(struct str path, struct route *out_route);

#endif
