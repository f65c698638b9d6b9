#include "caseview/uuid.h"

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

/*
 * The four bytes that eight hex digits name, in the order of the digits. *faults gets bits for other characters.
 * All eight are converted at once: each event has several ids, and this is half of what decoding it costs.
 */
static uint64_t eight_digits(uint64_t text, uint64_t *faults)
{
    uint64_t letters = text >> 6 & EACH(1);
    /* A letter, in either case, goes to where digits would go on after 9: 3A to 3F. */
    uint64_t digits = (text | letters << 5) - letters * ('a' - '9' - 1);
    uint64_t values = digits & EACH(0x0f);
    uint64_t above_9 = (values + EACH(6)) >> 4 & EACH(1);
    *faults |= ((digits ^ EACH(0x30)) & EACH(0xf0)) | (above_9 ^ letters);
    uint64_t pairs = (values << 4 | values >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    pairs = (pairs | pairs >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (pairs | pairs >> 16) & UINT32_MAX;
}

static uint64_t load_two(const char *low, const char *high)
{
    uint32_t words[2];
    memcpy(&words[0], low, sizeof words[0]);
    memcpy(&words[1], high, sizeof words[1]);
    return (uint64_t)words[1] << 32 | words[0];
}

bool uuid_parse(struct str text, struct uuid *out_uuid)
{
    const char *p = text.ptr;
    if (text.len != UUID_TEXT_LEN || p == NULL || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
        return false;
    uint64_t faults = 0;
    uint64_t low = eight_digits(load_two(p, p + 4), &faults);
    low |= eight_digits(load_two(p + 9, p + 14), &faults) << 32;
    uint64_t high = eight_digits(load_two(p + 19, p + 24), &faults);
    high |= eight_digits(load_two(p + 28, p + 32), &faults) << 32;
    if (faults != 0)
        return false;
    memcpy(out_uuid->b, &low, sizeof low);
    memcpy(out_uuid->b + sizeof low, &high, sizeof high);
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
