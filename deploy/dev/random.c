#include "deploy/dev/random.h"

void random_seed(struct random *random, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(random->s); i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint32_t random_below(struct random *random, uint32_t limit)
{
    assert(limit > 0);
    return (uint32_t)(((random_next(random) >> 32) * limit) >> 32);
}

bool random_chance(struct random *random, uint32_t ten_thousandths)
{
    return random_below(random, 10000) < ten_thousandths;
}

void random_uuid(struct random *random, char out[UUID_TEXT_LEN + 1])
{
    uint64_t words[2] = {random_next(random), random_next(random)};
    struct uuid uuid;
    for (size_t i = 0; i < sizeof uuid.b; i++) /* byte by byte, so that byte order does not matter */
        uuid.b[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
    uuid.b[6] = (uint8_t)((uuid.b[6] & 0x0f) | 0x40);
    uuid.b[8] = (uint8_t)((uuid.b[8] & 0x3f) | 0x80);
    uuid_format(&uuid, out);
}
