#include "caseview/base64.h"

static const char digits[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
                                'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
                                'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
                                'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};

void base64_append(struct buf *out, struct str bytes)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;
    char *text = left > 0 ? buf_reserve(out, base64_length(left)) : NULL;

    if (text == NULL)
        return;
    out->len += base64_length(left);
    for (; left >= 3; in += 3, left -= 3) {
        *text++ = digits[in[0] >> 2];
        *text++ = digits[(in[0] & 3) << 4 | in[1] >> 4];
        *text++ = digits[(in[1] & 15) << 2 | in[2] >> 6];
        *text++ = digits[in[2] & 63];
    }
    if (left > 0) {
        unsigned second = left == 2 ? in[1] : 0;
        *text++ = digits[in[0] >> 2];
        *text++ = digits[(in[0] & 3) << 4 | second >> 4];
        *text++ = left == 2 ? digits[(second & 15) << 2] : '=';
        *text = '=';
    }
    buf_append(out, "", 0); /* terminates */
}
