/*
 * Shortest decimal of a float32 by Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2022): of the
 * decimals that read back to the number it finds a shortest one, and of several the closest, with three 64×32 bit
 * products and no loop. Exact and independent of the locale. The alternative, printing with more and more digits until
 * strtof() agrees, takes 2 µs per number and misses the shortest decimal at some powers of two, where the gaps on the
 * two sides differ.
 */
#include "caseview/json.h"

#include <math.h>

struct decimal {
    uint32_t digits; /* the number is digits × 10^exponent */
    int exponent;
};

enum { POWER_MIN = -31, POWER_MAX = 45 };

/* 10^k for k in POWER_MIN … POWER_MAX, scaled by a power of two to 64 bits and rounded up. */
static const uint64_t powers[] = {
    0x81ceb32c4b43fcf5, 0xa2425ff75e14fc32, 0xcad2f7f5359a3b3f, 0xfd87b5f28300ca0e, 0x9e74d1b791e07e49,
    0xc612062576589ddb, 0xf79687aed3eec552, 0x9abe14cd44753b53, 0xc16d9a0095928a28, 0xf1c90080baf72cb2,
    0x971da05074da7bef, 0xbce5086492111aeb, 0xec1e4a7db69561a6, 0x9392ee8e921d5d08, 0xb877aa3236a4b44a,
    0xe69594bec44de15c, 0x901d7cf73ab0acda, 0xb424dc35095cd810, 0xe12e13424bb40e14, 0x8cbccc096f5088cc,
    0xafebff0bcb24aaff, 0xdbe6fecebdedd5bf, 0x89705f4136b4a598, 0xabcc77118461cefd, 0xd6bf94d5e57a42bd,
    0x8637bd05af6c69b6, 0xa7c5ac471b478424, 0xd1b71758e219652c, 0x83126e978d4fdf3c, 0xa3d70a3d70a3d70b,
    0xcccccccccccccccd, 0x8000000000000000, 0xa000000000000000, 0xc800000000000000, 0xfa00000000000000,
    0x9c40000000000000, 0xc350000000000000, 0xf424000000000000, 0x9896800000000000, 0xbebc200000000000,
    0xee6b280000000000, 0x9502f90000000000, 0xba43b74000000000, 0xe8d4a51000000000, 0x9184e72a00000000,
    0xb5e620f480000000, 0xe35fa931a0000000, 0x8e1bc9bf04000000, 0xb1a2bc2ec5000000, 0xde0b6b3a76400000,
    0x8ac7230489e80000, 0xad78ebc5ac620000, 0xd8d726b7177a8000, 0x878678326eac9000, 0xa968163f0a57b400,
    0xd3c21bcecceda100, 0x84595161401484a0, 0xa56fa5b99019a5c8, 0xcecb8f27f4200f3a, 0x813f3978f8940985,
    0xa18f07d736b90be6, 0xc9f2c9cd04674edf, 0xfc6f7c4045812297, 0x9dc5ada82b70b59e, 0xc5371912364ce306,
    0xf684df56c3e01bc7, 0x9a130b963a6c115d, 0xc097ce7bc90715b4, 0xf0bdc21abb48db21, 0x96769950b50d88f5,
    0xbc143fa4e250eb32, 0xeb194f8e1ae525fe, 0x92efd1b8d0cf37bf, 0xb7abc627050305ae, 0xe596b7b0c643c71a,
    0x8f7e32ce7bea5c70, 0xb35dbf821ae4f38c,
};

static_assert(ARRAY_LEN(powers) == POWER_MAX - POWER_MIN + 1, "one entry a power");

/* floor(log2(10^e)) in the range of the table. */
static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

/* floor(log10(2^e)), or floor(log10(3/4 × 2^e)) where the gap below the number is smaller. */
static int floor_log10_pow2(int e, bool closer)
{
    return (e * 1262611 - (closer ? 524031 : 0)) >> 22;
}

/* Upper part of the product; its last bit is set when the rest is not zero, which keeps comparisons exact. */
static uint32_t round_to_odd(uint64_t power, uint32_t c)
{
    unsigned __int128 product = (unsigned __int128)power * c;
    uint32_t high = (uint32_t)(product >> 64);
    uint32_t low = (uint32_t)((uint64_t)product >> 32);
    return high | (low > 1);
}

/* number = c × 2^q, c > 0. Bounds are kept in quarters of a unit of the last digit, as in the paper's figure 4. */
static struct decimal shortest(uint32_t c, int q, bool closer)
{
    int k = floor_log10_pow2(q, closer);
    int h = q + floor_log2_pow10(-k) + 1;
    uint64_t power = powers[-k - POWER_MIN];
    uint32_t odd = c & 1; /* ties go to even significands: the bounds of an odd one are excluded */
    uint32_t lower = round_to_odd(power, (4 * c - 2 + closer) << h) + odd;
    uint32_t middle = round_to_odd(power, (4 * c) << h);
    uint32_t upper = round_to_odd(power, (4 * c + 2) << h) - odd;

    uint32_t s = middle / 4;
    if (s >= 10) { /* one digit less, if exactly one of its two neighbours is inside */
        uint32_t tens = s / 10;
        bool down_inside = lower <= 40 * tens;
        bool up_inside = 40 * tens + 40 <= upper;
        if (down_inside != up_inside)
            return (struct decimal){tens + up_inside, k + 1};
    }
    bool down_inside = lower <= 4 * s;
    bool up_inside = 4 * s + 4 <= upper;
    if (down_inside != up_inside)
        return (struct decimal){s + up_inside, k};
    uint32_t half = 4 * s + 2;
    bool round_up = middle > half || (middle == half && (s & 1));
    return (struct decimal){s + round_up, k};
}

static struct decimal to_decimal(float magnitude)
{
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    uint32_t fraction = bits & 0x7fffff;
    int biased = (int)(bits >> 23);
    uint32_t c = biased ? fraction | 0x800000 : fraction;
    int q = (biased ? biased : 1) - 150;

    struct decimal decimal;
    if (q <= 0 && q > -24 && (c & ((1u << -q) - 1)) == 0)
        decimal = (struct decimal){c >> -q, 0}; /* an integer up to 2^24 keeps all of its digits */
    else
        decimal = shortest(c, q, fraction == 0 && biased > 1);
    while (decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        decimal.exponent++;
    }
    return decimal;
}

/* Writes `d.ddddE±xx`. */
static char *put_scientific(char *out, const char *digits, int count, int exponent)
{
    *out++ = digits[0];
    if (count > 1) {
        *out++ = '.';
        memcpy(out, digits + 1, (size_t)count - 1);
        out += count - 1;
    }
    *out++ = 'E';
    *out++ = exponent < 0 ? '-' : '+';
    int e = abs(exponent); /* at most 45 */
    *out++ = (char)('0' + e / 10);
    *out++ = (char)('0' + e % 10);
    return out;
}

/* Writes without an exponent: the point follows digit `exponent` (counted from 0). */
static char *put_plain(char *out, const char *digits, int count, int exponent)
{
    if (exponent < 0) {
        *out++ = '0';
        *out++ = '.';
        for (int i = exponent + 1; i < 0; i++)
            *out++ = '0';
        memcpy(out, digits, (size_t)count);
        return out + count;
    }
    for (int i = 0; i < count || i <= exponent; i++) {
        if (i == exponent + 1)
            *out++ = '.';
        *out++ = i < count ? digits[i] : '0';
    }
    return out;
}

void json_float32(struct buf *out, float number)
{
    assert(isfinite(number)); /* events with another rank are parked before */
    char *start = buf_reserve(out, 32);
    if (start == NULL)
        return;
    char *p = start;
    if (signbit(number))
        *p++ = '-';
    if (number == 0) {
        *p++ = '0';
    } else {
        struct decimal decimal = to_decimal(fabsf(number));
        char text[10];
        char *digits = text + sizeof text;
        for (uint32_t rest = decimal.digits; rest; rest /= 10)
            *--digits = (char)('0' + rest % 10);
        int count = (int)(text + sizeof text - digits);
        int exponent = decimal.exponent + count - 1; /* of the first digit */
        bool plain = exponent >= -5 && exponent <= 14;
        p = plain ? put_plain(p, digits, count, exponent) : put_scientific(p, digits, count, exponent);
    }
    out->len += (size_t)(p - start);
    out->data[out->len] = '\0';
}
