/*
 * key_set.h: the inside of one key set, for key_set.c and keys.c alone.
 */
#ifndef CASEVIEW_API_KEY_SET_H
#define CASEVIEW_API_KEY_SET_H

#include <stdatomic.h>

#include "keys.h"

struct key_set {
    atomic_int references;
    uint64_t version; /* set before it is published */
    size_t count;
    struct key keys[];
};

size_t key_set_usable(const struct key_set *set);

#endif
