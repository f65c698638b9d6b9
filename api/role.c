#include "role.h"

#include <endian.h>

bool role_is_impersonator(struct str role)
{
    static const char wanted[] = "agentimpersonator";
    size_t matched = 0;
    for (size_t i = 0; i < role.len; i++) {
        char c = role.ptr[i];
        if (c == ' ')
            continue;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (matched == sizeof wanted - 1 || c != wanted[matched])
            return false;
        matched++;
    }
    return matched == sizeof wanted - 1;
}

static bool take_int(struct str *rest, int32_t *out)
{
    if (rest->len < sizeof *out)
        return false;
    uint32_t big_endian;
    memcpy(&big_endian, rest->ptr, sizeof big_endian);
    *out = (int32_t)be32toh(big_endian);
    rest->ptr += sizeof *out;
    rest->len -= sizeof *out;
    return true;
}

bool role_array_has_impersonator(struct str array)
{
    /*
     * dimensions, null flag, element type; length and lower bound of each dimension; then length and bytes of each item
     */
    int32_t dimensions, ignored, len;
    struct str rest = array;
    if (array.ptr == NULL || !take_int(&rest, &dimensions) || !take_int(&rest, &ignored) || !take_int(&rest, &ignored))
        return false;
    for (int32_t i = 0; i < 2 * dimensions; i++)
        if (!take_int(&rest, &ignored))
            return false;
    while (take_int(&rest, &len)) {
        if (len < 0)
            continue;
        if ((size_t)len > rest.len)
            return false;
        if (role_is_impersonator((struct str){rest.ptr, (size_t)len}))
            return true;
        rest.ptr += len;
        rest.len -= (size_t)len;
    }
    return false;
}
