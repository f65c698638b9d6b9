#include "caseview/uuid.h"

/* Value of a hexadecimal digit, with the bit VALID; 0 for other bytes, so that one check at the end finds any of them.
 */
#define VALID 0x10u
static const uint8_t hex_value[256] = {
    ['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15, ['6'] = 0x16, ['7'] = 0x17,
    ['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b, ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f,
    ['A'] = 0x1a, ['B'] = 0x1b, ['C'] = 0x1c, ['D'] = 0x1d, ['E'] = 0x1e, ['F'] = 0x1f,
};

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

/* A hot path: every event has several ids. */
bool uuid_parse(struct str text, struct uuid *out_uuid)
{
    static const uint8_t at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    if (text.len != UUID_TEXT_LEN || text.ptr == NULL)
        return false;
    const uint8_t *p = (const uint8_t *)text.ptr;
    bool dashes = p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-';
    unsigned valid = VALID;
    struct uuid uuid;
    for (size_t i = 0; i < sizeof uuid.b; i++) {
        unsigned high = hex_value[p[at[i]]];
        unsigned low = hex_value[p[at[i] + 1]];
        valid &= high & low;
        uuid.b[i] = (uint8_t)(high << 4 | (low & 0xf));
    }
    if (!dashes || !valid)
        return false;
    *out_uuid = uuid;
    return true;
}

void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof uuid->b; i++) {
        if (dash_before(i))
            *out++ = '-';
        *out++ = digits[uuid->b[i] >> 4];
        *out++ = digits[uuid->b[i] & 15];
    }
    *out = '\0';
}

void uuid_random(struct uuid *out_uuid)
{
    arc4random_buf(out_uuid->b, sizeof out_uuid->b);
    out_uuid->b[6] = (uint8_t)((out_uuid->b[6] & 0x0f) | 0x40);
    out_uuid->b[8] = (uint8_t)((out_uuid->b[8] & 0x3f) | 0x80);
}
