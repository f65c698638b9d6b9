#include "caseview/uuid.h"

/* Value of a hex digit, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool uuid_parse(struct str text, struct uuid *out_uuid)
{
    if (text.len != UUID_TEXT_LEN || !text.ptr)
        return false;
    struct uuid uuid;
    const char *p = text.ptr;
    for (size_t i = 0; i < sizeof uuid.b; i++) {
        if (dash_before(i) && *p++ != '-')
            return false;
        int high = hex_value(p[0]);
        int low = hex_value(p[1]);
        if ((high | low) < 0)
            return false;
        uuid.b[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
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
