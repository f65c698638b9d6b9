#include "keys.h"

#include <jansson.h>
#include <openssl/err.h>
#include <stdlib.h>

enum { RSA_BITS_MIN = 2048 /* RFC 7518, section 3.3 */, RSA_BITS_MAX = 8192, KEYS_MAX = 1024 };

static void key_done(struct key *key)
{
    free(key->kid);
    free(key->alg);
    if (key->jwk != NULL)
        cjose_jwk_release(key->jwk);
}

/* NULL when it is absent or null. */
static json_t *member(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static bool is_text(const json_t *object, const char *name, const char *wanted)
{
    const char *text = json_string_value(member(object, name));
    return text != NULL && strcmp(text, wanted) == 0;
}

/* `use` and `key_ops` are optional; where they are given they must allow verifying. An empty `key_ops` says nothing. */
static bool may_verify(const json_t *jwk)
{
    if (member(jwk, "use") != NULL && !is_text(jwk, "use", "sig"))
        return false;
    const json_t *operations = member(jwk, "key_ops");
    if (operations == NULL || (json_is_array(operations) && json_array_size(operations) == 0))
        return true;
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        if (operation != NULL && strcmp(operation, "verify") == 0)
            return true;
    }
    return false;
}

/* A private or symmetric key in a public place must not be used, even if it allows verifying. */
static bool is_public(const json_t *jwk)
{
    static const char *const secret[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        if (member(jwk, secret[i]) != NULL)
            return false;
    return true;
}

/* cjose takes a member that is null for one that is given. */
static void drop_nulls(json_t *jwk)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(jwk, next, name, value) if (json_is_null(value)) json_object_del(jwk, name);
}

static cjose_jwk_t *import(json_t *jwk)
{
    cjose_err ignored;
    cjose_jwk_t *key = cjose_jwk_import_json((cjose_header_t *)jwk, &ignored);
    ERR_clear_error();
    return key;
}

static void load(struct key *key, json_t *jwk)
{
    cjose_err ignored;
    if (is_text(jwk, "kty", "RSA")) {
        key->jwk = import(jwk);
        size_t bits = key->jwk != NULL ? cjose_jwk_get_keysize(key->jwk, &ignored) : 0;
        key->kind = bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? KEY_RSA : KEY_UNUSABLE;
        key->signature_length = (bits + 7) / 8;
    } else if (is_text(jwk, "kty", "EC") && is_text(jwk, "crv", "P-256")) {
        key->jwk = import(jwk);
        key->kind = key->jwk != NULL ? KEY_EC_P256 : KEY_UNUSABLE;
        key->signature_length = 64;
    }
}

static void add_key(struct key_set *set, json_t *jwk)
{
    drop_nulls(jwk);
    const char *kid = json_string_value(member(jwk, "kid"));
    if (kid == NULL || *kid == '\0')
        return; /* tokens choose their key by kid */
    struct key *key = &set->keys[set->count++];
    *key = (struct key){.kid = cv_strdup(kid), .kind = KEY_UNUSABLE};
    const json_t *alg = member(jwk, "alg");
    if (!is_public(jwk) || (alg != NULL && !json_is_string(alg)) || !may_verify(jwk))
        return;
    if (alg != NULL)
        key->alg = cv_strdup(json_string_value(alg));
    load(key, jwk);
}

enum cv_status key_set_parse(struct str json, struct key_set **out_set, struct err *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    json_error_t error;
    if (json.len >= 3 && memcmp(json.ptr, byte_order_mark, 3) == 0)
        json = (struct str){json.ptr + 3, json.len - 3};
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    const json_t *keys = json_object_get(root, "keys");
    if (!json_is_array(keys) || json_array_size(keys) > KEYS_MAX) {
        if (root == NULL)
            err_set(err, "not JSON: %s (line %d)", error.text, error.line);
        else
            err_set(err, "no object with an array `keys` of at most %d", KEYS_MAX);
        json_decref(root);
        return CV_RETRY;
    }
    struct key_set *set = cv_zalloc(sizeof *set + json_array_size(keys) * sizeof set->keys[0]);
    atomic_init(&set->references, 1);
    for (size_t i = 0; i < json_array_size(keys); i++)
        add_key(set, json_array_get(keys, i));
    json_decref(root);
    *out_set = set;
    return CV_OK;
}

static bool fits(const struct key *key, const char *alg)
{
    if (key->alg != NULL && strcmp(key->alg, alg) != 0)
        return false;
    switch (key->kind) {
    case KEY_RSA:
        return strcmp(alg, "RS256") == 0 || strcmp(alg, "PS256") == 0;
    case KEY_EC_P256:
        return strcmp(alg, "ES256") == 0;
    case KEY_UNUSABLE:
        return false;
    }
    return false;
}

enum key_search key_set_find(const struct key_set *set, const char *kid, const char *alg, const struct key **out_key)
{
    const struct key *found = NULL;
    bool known = false;
    for (size_t i = 0; i < set->count; i++) {
        const struct key *key = &set->keys[i];
        if (strcmp(key->kid, kid) != 0)
            continue;
        known = true;
        if (!fits(key, alg))
            continue;
        if (found != NULL)
            return KEY_AMBIGUOUS;
        found = key;
    }
    if (found == NULL)
        return known ? KEY_UNFIT : KEY_UNKNOWN;
    *out_key = found;
    return KEY_FOUND;
}

size_t key_set_usable(const struct key_set *set)
{
    size_t usable = 0;
    for (size_t i = 0; i < set->count; i++)
        usable += set->keys[i].kind != KEY_UNUSABLE;
    return usable;
}

void key_set_hold(struct key_set *set)
{
    atomic_fetch_add(&set->references, 1);
}

void key_set_release(struct key_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        key_done(&set->keys[i]);
    free(set);
}
