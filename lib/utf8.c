#include "caseview/utf8.h"

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    size_t length;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0) {
        length = 2;
    } else if (p[0] < 0xf0) {
        length = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;   /* overlong */
        high = p[0] == 0xed ? 0x9f : high; /* surrogates */
    } else {
        length = 4;
        low = p[0] == 0xf0 ? 0x90 : low;   /* overlong */
        high = p[0] == 0xf4 ? 0x8f : high; /* above U+10FFFF */
    }
    if (left < length || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool utf8_valid_no_nul(struct str text)
{
    const char *p = text.ptr;
    size_t left = text.len;

    while (left > 0) {
        uint64_t word;
        /* Eight ASCII bytes at a time. The test for a zero byte is exact as long as no byte is above 7F. */
        for (; left >= sizeof word; p += sizeof word, left -= sizeof word) {
            memcpy(&word, p, sizeof word);
            if ((word | (word - ONES)) & HIGHS)
                break;
        }
        if (left == 0)
            return true;
        size_t length = *p == '\0' ? 0 : utf8_length(p, left);
        if (length == 0)
            return false;
        p += length;
        left -= length;
    }
    return true;
}
