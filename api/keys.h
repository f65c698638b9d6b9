/*
 * keys.h: one key set (JWKS), immutable once published, reference-counted. Only keys.c and auth.c use cjose.
 */
#ifndef CASEVIEW_API_KEYS_H
#define CASEVIEW_API_KEYS_H

#include <cjose/cjose.h>
#include <stdatomic.h>

#include "caseview/base.h"
#include "caseview/err.h"

enum key_kind {
    KEY_UNUSABLE, /* another type or curve, too short, private, not for signatures */
    KEY_RSA,
    KEY_EC_P256,
};

struct key {
    char *kid;
    enum key_kind kind;
    char *alg;               /* the only algorithm it may be used with, NULL: any that fits its kind */
    size_t signature_length; /* in bytes */
    cjose_jwk_t *jwk;        /* public parts only; NULL when unusable */
};

struct key_set {
    atomic_int references;
    uint64_t version; /* set before it is published */
    size_t count;
    struct key keys[];
};

enum key_search {
    KEY_FOUND,
    KEY_UNKNOWN,
    KEY_UNFIT,     /* the set has keys of this kid, but none for this algorithm */
    KEY_AMBIGUOUS, /* the set has several keys of this kid for this algorithm */
    KEY_NO_SET,    /* no set has been read yet */
};

/*
 * A set from its JSON text, with one reference. CV_OK, or CV_RETRY: it is no key set. A byte order mark is skipped, a
 * member that is null counts as absent, keys without a kid are left out.
 */
enum cv_status key_set_parse(struct str json, struct key_set **out_set, struct err *err) CV_MUST_CHECK;
void key_set_hold(struct key_set *set);
void key_set_release(struct key_set *set); /* NULL is fine; the last release frees */
/* The one key of this kid that may verify a signature of this algorithm. */
enum key_search key_set_find(const struct key_set *set, const char *kid, const char *alg, const struct key **out_key);
size_t key_set_usable(const struct key_set *set);

#endif
