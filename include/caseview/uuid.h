/*
 * uuid.h: GUIDs of 16 bytes. As text 8-4-4-4-12 hexadecimal digits: read in either letter case, written in lower case.
 */
#ifndef CASEVIEW_UUID_H
#define CASEVIEW_UUID_H

#include "caseview/base.h"

#define UUID_TEXT_LEN 36

struct uuid {
    uint8_t b[16];
};

bool uuid_parse(struct str text, struct uuid *out_uuid) CV_MUST_CHECK;
void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_LEN + 1]); /* NUL-terminated */
void uuid_random(struct uuid *out_uuid);                                /* version 4 */

static inline int uuid_cmp(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
    return uuid_cmp(a, b) == 0;
}

#endif
