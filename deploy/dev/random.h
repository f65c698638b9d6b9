/*
 * random.h: a pseudo-random generator (xoshiro256** seeded by splitmix64). The same seed gives the same numbers on
 * every machine and with every compiler: no floating point. Not for cryptographic keys, not thread-safe.
 */
#ifndef CASEVIEW_DEV_RANDOM_H
#define CASEVIEW_DEV_RANDOM_H

#include "caseview/uuid.h"

struct random {
    uint64_t s[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
uint32_t random_below(struct random *random, uint32_t limit);         /* 0 … limit-1; limit > 0 */
bool random_chance(struct random *random, uint32_t ten_thousandths);  /* true with this probability */
void random_uuid(struct random *random, char out[UUID_TEXT_LEN + 1]); /* version 4, lower case */

#endif
