/*
 * tokens.h: the memory of verified tokens. Only what auth.c has verified is put in, never a bad token; a token is found
 * by a seeded hash and the comparison of all its bytes. Bounded in entries and bytes; what is full forgets the oldest.
 * Any thread.
 */
#ifndef CASEVIEW_API_TOKENS_H
#define CASEVIEW_API_TOKENS_H

#include "caseview/base.h"
#include "caseview/metrics.h"
#include "question.h"

/* Who calls, as a token says. */
struct principal {
    int64_t not_before_us; /* leeway included */
    int64_t expires_us;    /* leeway included */
    uint64_t keys_version; /* of the key set that it was verified with */
    bool has_role;
    bool client_too_long; /* it names one of more than CLIENT_ID_MAX bytes, which is not kept */
    uint16_t client_len;  /* 0: the token names no client, or client_too_long */
    char client[CLIENT_ID_MAX];
};

struct tokens;

struct tokens *tokens_new(struct metrics *metrics);
void tokens_free(struct tokens *tokens);
/* True: remembered, verified with this version of the key set, and in its time at now_us. */
bool tokens_find(struct tokens *tokens, struct str token, uint64_t keys_version, int64_t now_us,
                 struct principal *out_principal);
void tokens_remember(struct tokens *tokens, struct str token, const struct principal *principal);

#endif
