#include "deploy/dev/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caseview/buf.h"
#include "deploy/dev/file.h"

#define RSA_BITS     2048
#define PATH_CEILING 4096

static const struct {
    const char *kid, *algorithm;
} first_keys[] = {{"rs256", "RS256"}, {"ps256", "PS256"}, {"es256", "ES256"}};

static enum cv_status library_failed(const cjose_err *failure, const char *what, struct err *err)
{
    err_set(err, "%s: %s", what, failure->message ? failure->message : "failed");
    return CV_FATAL;
}

/* Returns the key as a JSON Web Key with kid, alg and use. NULL on failure. */
static json_t *describe(const cjose_jwk_t *key, bool private, const char *kid, const char *algorithm)
{
    cjose_err failure;
    char *text = cjose_jwk_to_json(key, private, &failure);
    json_t *json = text != NULL ? json_loads(text, 0, NULL) : NULL;
    cjose_get_dealloc()(text);
    if (json != NULL) {
        json_object_set_new(json, "kid", json_string(kid));
        json_object_set_new(json, "alg", json_string(algorithm));
        json_object_set_new(json, "use", json_string("sig"));
    }
    return json;
}

static json_t *find(json_t *keys, const char *kid)
{
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        const char *text = json_string_value(json_object_get(key, "kid"));
        if (text != NULL && strcmp(text, kid) == 0)
            return key;
    }
    return NULL;
}

static enum cv_status add_key(json_t *keys, const char *kid, const char *algorithm, bool *changed, struct err *err)
{
    if (find(keys, kid) != NULL)
        return CV_OK;
    static const uint8_t exponent[] = {1, 0, 1};
    cjose_err failure = {0};
    cjose_jwk_t *key = strcmp(algorithm, "ES256") == 0
                           ? cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &failure)
                           : cjose_jwk_create_RSA_random(RSA_BITS, exponent, sizeof exponent, &failure);
    if (key == NULL)
        return library_failed(&failure, "cannot create a key pair", err);
    json_t *json = describe(key, true, kid, algorithm);
    cjose_jwk_release(key);
    if (json == NULL || json_array_append_new(keys, json)) {
        err_set(err, "cannot convert key %s to JSON", kid);
        return CV_FATAL;
    }
    *changed = true;
    return CV_OK;
}

static enum cv_status import(const json_t *json, cjose_jwk_t **out_key, struct err *err)
{
    cjose_err failure = {0};
    char *text CV_CLEANUP(cv_free_ptr) = json_dumps(json, JSON_COMPACT);
    cjose_jwk_t *key = text != NULL ? cjose_jwk_import(text, strlen(text), &failure) : NULL;
    if (key == NULL)
        return library_failed(&failure, "cannot read a private key", err);
    *out_key = key;
    return CV_OK;
}

/*
 * Writes the public keys. They are derived from the key objects, not by removing members, so that no private member can
 * remain.
 */
static enum cv_status publish(const char *path, const json_t *keys, struct err *err)
{
    json_t *public = json_array();
    enum cv_status status = CV_OK;
    size_t i;
    json_t *json;
    json_array_foreach(keys, i, json)
    {
        cjose_jwk_t *key;
        status = import(json, &key, err);
        if (status != CV_OK)
            break;
        json_array_append_new(public, describe(key, false, json_string_value(json_object_get(json, "kid")),
                                               json_string_value(json_object_get(json, "alg"))));
        cjose_jwk_release(key);
    }
    json_t *set = json_object();
    json_object_set_new(set, "keys", public);
    char *text CV_CLEANUP(cv_free_ptr) = json_dumps(set, JSON_INDENT(1));
    json_decref(set);
    return status == CV_OK ? file_replace(path, text, 0644, err) : status;
}

static enum cv_status save(const char *folder, json_t *keys, struct err *err)
{
    char path[PATH_CEILING];
    snprintf(path, sizeof path, "%s/private.json", folder);
    json_t *set = json_object();
    json_object_set(set, "keys", keys);
    char *text CV_CLEANUP(cv_free_ptr) = json_dumps(set, JSON_INDENT(1));
    json_decref(set);
    enum cv_status status = file_replace(path, text, 0600, err);
    if (status != CV_OK)
        return status;
    snprintf(path, sizeof path, "%s/jwks.json", folder);
    return publish(path, keys, err);
}

/* Reads the private keys; an empty array when there is no file yet. */
static enum cv_status load(const char *folder, json_t **out_keys, struct err *err)
{
    char path[PATH_CEILING];
    snprintf(path, sizeof path, "%s/private.json", folder);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        *out_keys = json_array();
        return CV_OK;
    }
    json_error_t failure;
    json_t *set = json_load_file(path, JSON_REJECT_DUPLICATES, &failure);
    json_t *keys = json_incref(json_object_get(set, "keys"));
    json_decref(set);
    if (!json_is_array(keys)) {
        err_set(err, "%s: %s", path, set != NULL ? "not a key set" : failure.text);
        json_decref(keys);
        return CV_FATAL;
    }
    *out_keys = keys;
    return CV_OK;
}

/* Locks the folder until the descriptor is closed, so that two processes do not both create keys. */
static enum cv_status lock_folder(const char *folder, int *out_fd, struct err *err)
{
    char path[PATH_CEILING];
    if (strlen(folder) > sizeof path - 32) {
        err_set(err, "--keys: folder name is too long");
        return CV_FATAL;
    }
    int fd = -1;
    if (mkdir(folder, 0755) == 0 || errno == EEXIST) {
        snprintf(path, sizeof path, "%s/lock", folder);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    if (fd < 0 || flock(fd, LOCK_EX)) {
        err_set(err, "--keys %s: %s", folder, strerror(errno));
        if (fd >= 0)
            close(fd);
        return CV_FATAL;
    }
    *out_fd = fd;
    return CV_OK;
}

static enum cv_status pick(const char *folder, json_t *keys, const char *algorithm, const char *kid,
                           cjose_jwk_t **out_key, struct err *err)
{
    bool changed = false;
    enum cv_status status = CV_OK;
    for (size_t i = 0; i < ARRAY_LEN(first_keys) && status == CV_OK; i++)
        status = add_key(keys, first_keys[i].kid, first_keys[i].algorithm, &changed, err);
    if (status == CV_OK)
        status = add_key(keys, kid, algorithm, &changed, err);
    if (status == CV_OK && changed)
        status = save(folder, keys, err);
    if (status != CV_OK)
        return status;
    json_t *json = find(keys, kid);
    const char *made_for = json_string_value(json_object_get(json, "alg"));
    if (made_for == NULL || strcmp(made_for, algorithm) != 0) {
        err_set(err, "--kid %s: that key is for %s", kid, made_for != NULL ? made_for : "no algorithm");
        return CV_FATAL;
    }
    return import(json, out_key, err);
}

enum cv_status keyring_key(const char *folder, const char *algorithm, const char *kid, cjose_jwk_t **out_key,
                           struct err *err)
{
    int fd;
    json_t *keys = NULL;
    enum cv_status status = lock_folder(folder, &fd, err);
    if (status != CV_OK)
        return status;
    status = load(folder, &keys, err);
    if (status == CV_OK)
        status = pick(folder, keys, algorithm, kid, out_key, err);
    json_decref(keys);
    close(fd);
    return status;
}
