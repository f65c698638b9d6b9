/*
 * question.h: what a request asks the database, and what the database knows about it. Plain values, shared by all files
 * of the look-up.
 */
#ifndef CASEVIEW_API_QUESTION_H
#define CASEVIEW_API_QUESTION_H

#include <xxhash.h>

#include "caseview/base.h"
#include "caseview/trace.h"
#include "caseview/uuid.h"

#define CLIENT_ID_MAX 1024 /* bytes, as in directory events; a longer client id is no application's */

struct question {
    struct uuid application;
    struct uuid user;
    struct str client;         /* the token's client id, at most CLIENT_ID_MAX bytes; borrowed */
    bool need_roles;           /* the token does not carry the role itself */
    XXH128_hash_t key;         /* question_key() of the fields above */
    const struct trace *trace; /* of the request; NULL: none; borrowed */
};

/* Everything but the list itself. */
struct findings {
    bool application_accepted; /* known, enabled, and the client is the token's */
    bool application_has_role; /* only looked at with need_roles */
    bool has_current_unit;
    bool has_workspaces;
};

/*
 * Identifies a question: equal questions have equal keys; the secret seed keeps clients from constructing two that
 * collide.
 */
static inline XXH128_hash_t question_key(const struct question *question, uint64_t seed)
{
    char bytes[2 * sizeof(struct uuid) + 1 + CLIENT_ID_MAX];
    size_t len = 0;
    memcpy(bytes, &question->application, sizeof question->application);
    len += sizeof question->application;
    memcpy(bytes + len, &question->user, sizeof question->user);
    len += sizeof question->user;
    bytes[len++] = question->need_roles ? 1 : 0;
    memcpy(bytes + len, question->client.ptr, question->client.len);
    return XXH3_128bits_withSeed(bytes, len + question->client.len, seed);
}

/* May this caller see the list? */
static inline bool findings_allow(const struct findings *findings, bool need_roles)
{
    return findings->application_accepted && (!need_roles || findings->application_has_role) &&
           findings->has_current_unit && findings->has_workspaces;
}

#endif
