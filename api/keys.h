/*
 * keys.h: the key set (JWKS) that access tokens are verified with, from a file or a URL, kept fresh by a thread of its
 * own: read again every refresh_s, and when a token names an unknown kid (at most every 5 s). A set that cannot be read
 * or parsed leaves the old one in force. Only keys.c and auth.c know cjose and OpenSSL.
 *
 * A set is immutable once published; version grows with every published set that differs from the one before, so that
 * what was verified with a withdrawn key can be told. All functions but new and free: any thread.
 */
#ifndef CASEVIEW_API_KEYS_H
#define CASEVIEW_API_KEYS_H

#include <cjose/cjose.h>

#include "caseview/base.h"
#include "caseview/err.h"
#include "caseview/metrics.h"

struct keys;
struct key_set; /* one published set, counted */

enum key_kind {
    KEY_UNUSABLE, /* another type or curve, too short, private, not for signatures */
    KEY_RSA,
    KEY_EC_P256,
};

struct key {
    char *kid;
    enum key_kind kind;
    char *alg;               /* the only one it may be used with, NULL: any that fits its kind */
    size_t signature_length; /* in bytes */
    cjose_jwk_t *jwk;        /* public parts only; NULL when unusable */
};

enum key_search {
    KEY_FOUND,
    KEY_UNKNOWN,
    KEY_AMBIGUOUS, /* the set has several keys of this kid */
    KEY_NO_SET,    /* no set has been read yet */
};

/* Starts the thread; returns at once, whether the set can be read or not. source is borrowed for the life of keys. */
struct keys *keys_new(const char *source, int refresh_s, struct metrics *metrics);
void keys_free(struct keys *keys);

/* Version of the set in force; 0: none yet. */
uint64_t keys_version(const struct keys *keys);
/* Empty when there is a set, else why there is none. */
void keys_reason(struct keys *keys, char *out, size_t size);

/*
 * KEY_FOUND: the key lies in the set, which the caller gives back by key_set_release(). An unknown kid is looked for
 * again after the set was read anew; the call waits for that, at most 3 s, and not at all when the last such reading
 * was less than 5 s ago or many calls are waiting already.
 */
enum key_search keys_find(struct keys *keys, const char *kid, const struct key **out_key, struct key_set **out_set);
uint64_t key_set_version(const struct key_set *set);
void key_set_release(struct key_set *set);

/* A set from its JSON text, for keys.c and its test. CV_OK, or CV_RETRY: no key set. Keys without a kid are left out.
 */
enum cv_status key_set_parse(struct str json, struct key_set **out_set, struct err *err) CV_MUST_CHECK;
enum key_search key_set_find(const struct key_set *set, const char *kid, const struct key **out_key);

#endif
